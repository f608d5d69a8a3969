import { Endpoints, Pod, Service } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, splitCacheKey } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { PassPace } from "../services/pass-pace.ts";
import { hasSelector, podsOf, watchServicePods } from "../services/service-pods.ts";
import { TriggerTimes } from "../services/trigger-times.ts";
import { planEndpoints } from "./plan.ts";

/** One pass a second over 5,000 pods: every reader is told the whole object again. */
const PODS_PER_MS = 5;

/** Keeps the older form of a service's endpoints, one object per service, for those who still read it. */
export function createEndpointsController(deps: ControllerDeps, workers?: number): Controller {
  const { client, informers, clock } = deps;
  const services = informers.informer(Service).lister;
  const pods = informers.informer(Pod).lister;
  const endpoints = informers.informer(Endpoints).lister;
  const pace = new PassPace(clock, PODS_PER_MS);
  const times = new TriggerTimes();

  return defineController<Service>(deps, {
    name: "endpoints",
    for: Service,
    watches: [
      watchServicePods(services),
      mapped(Endpoints, (object) => (services.byKey(cacheKeyOf(object)) === undefined ? [] : [cacheKeyOf(object)])),
    ],
    workers,
    async reconcile(key, { signal }) {
      const service = services.byKey(key);
      const present = endpoints.byKey(key);
      if (service === undefined) {
        pace.forget(key);
        times.forget(key);
        if (present === undefined) return done;
        const { namespace, name } = splitCacheKey(key);
        try {
          await client.delete(Endpoints, { namespace, name }, { signal });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
        return done;
      }
      if (!hasSelector(service) || service.spec?.type === "ExternalName") return done;
      const waitMs = pace.waitMs(key);
      if (waitMs > 0) return requeueAfter(waitMs);
      const matching = podsOf(service, pods);
      pace.begin(key, matching.length);
      const wanted = planEndpoints(service, matching, present, times.changedAt(key, service, matching));
      if (wanted === undefined) return done;
      if (present === undefined) await client.create(Endpoints, wanted, { metadataOnly: true, signal });
      else await client.update(Endpoints, wanted, { metadataOnly: true, signal });
      return done;
    },
  });
}
