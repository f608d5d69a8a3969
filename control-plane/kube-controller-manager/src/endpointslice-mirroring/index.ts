import { Endpoints, Service } from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, type CacheKey } from "@coracle/client";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { MANAGED_BY, SERVICE_NAME } from "../endpointslice/plan.ts";
import { MIRROR_MANAGER, planMirror } from "./plan.ts";

const BY_ENDPOINTS = "mirrored";

/** Shows Endpoints that people wrote by hand as EndpointSlices, which is what proxies read. */
export function createEndpointSliceMirroringController(
  deps: ControllerDeps,
  workers: number,
  maxPerSubset: number,
): Controller {
  const { client, informers } = deps;
  const services = informers.informer(Service).lister;
  const endpoints = informers.informer(Endpoints).lister;
  const ours = ({ metadata: { labels, namespace } }: EndpointSlice): readonly CacheKey[] =>
    labels?.[MANAGED_BY] === MIRROR_MANAGER ? [`${namespace}/${labels[SERVICE_NAME]}`] : [];
  const slices = informers.informer(EndpointSlice, { indexes: { [BY_ENDPOINTS]: ours } }).lister;

  return defineController<Endpoints>(deps, {
    name: "endpointslicemirroring",
    for: Endpoints,
    watches: [
      mapped(Service, (service) => (endpoints.byKey(cacheKeyOf(service)) === undefined ? [] : [cacheKeyOf(service)])),
      mapped(EndpointSlice, (slice, old) => (old === undefined ? ours(slice) : [...ours(slice), ...ours(old)])),
    ],
    workers,
    async reconcile(key, { signal }) {
      const existing = slices.byIndex(BY_ENDPOINTS, key);
      const plan = planMirror(endpoints.byKey(key), services.byKey(key), existing, maxPerSubset);
      for (const slice of plan.create) {
        try {
          await client.create(EndpointSlice, slice, { signal });
        } catch (error) {
          if (!isAlreadyExists(error)) throw error; // ours, and not seen yet: its event brings us back
        }
      }
      for (const slice of plan.update) await client.update(EndpointSlice, slice, { signal });
      for (const { metadata } of plan.delete) {
        try {
          await client.delete(EndpointSlice, { namespace: metadata.namespace, name: metadata.name ?? "" }, { signal });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      }
      return done;
    },
  });
}
