import { Endpoints, Pod, Service } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, splitCacheKey, type CacheKey } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { hasSelector, lastChange, podsOf, watchServicePods } from "../services/service-pods.ts";
import { MAX_ADDRESSES, planEndpoints } from "./plan.ts";

/** After a write of so many addresses the next one waits a millisecond: every reader is told the whole object again. */
const ADDRESSES_PER_MS = 4;

/** Keeps the older form of a service's endpoints, one object per service, for those who still read it. */
export function createEndpointsController(deps: ControllerDeps, workers?: number): Controller {
  const { client, informers, clock } = deps;
  const services = informers.informer(Service).lister;
  const pods = informers.informer(Pod).lister;
  const endpoints = informers.informer(Endpoints).lister;
  const mayWriteAt = new Map<CacheKey, number>();

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
        mayWriteAt.delete(key);
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
      const waitMs = (mayWriteAt.get(key) ?? 0) - clock.monotonicMs();
      if (waitMs > 0) return requeueAfter(waitMs);
      const matching = podsOf(service, pods);
      const wanted = planEndpoints(service, matching, present, lastChange(service, matching));
      if (wanted === undefined) return done;
      if (present === undefined) await client.create(Endpoints, wanted, { signal });
      else await client.update(Endpoints, wanted, { signal });
      const pauseMs = Math.floor(Math.min(matching.length, MAX_ADDRESSES) / ADDRESSES_PER_MS);
      if (pauseMs > 0) mayWriteAt.set(key, clock.monotonicMs() + pauseMs);
      return done;
    },
  });
}
