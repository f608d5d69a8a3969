import { Endpoints, Service } from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, type CacheKey } from "@coracle/client";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { MANAGED_BY, SERVICE_NAME } from "../endpointslice/plan.ts";
import type { MirrorMonitor } from "./monitor.ts";
import { isMirrored, MIRROR_MANAGER, planMirror } from "./plan.ts";

const BY_ENDPOINTS = "mirrored";

/** Shows Endpoints that people wrote by hand as EndpointSlices, which is what proxies read. */
export function createEndpointSliceMirroringController(
  deps: ControllerDeps,
  workers: number,
  maxPerSubset: number,
  monitor: MirrorMonitor,
): Controller {
  const { client, informers, clock } = deps;
  const services = informers.informer(Service).lister;
  const endpoints = informers.informer(Endpoints).lister;
  const ours = ({ metadata: { labels, namespace } }: EndpointSlice): readonly CacheKey[] =>
    labels?.[MANAGED_BY] === MIRROR_MANAGER ? [`${namespace}/${labels[SERVICE_NAME]}`] : [];
  const slices = informers.informer(EndpointSlice, { indexes: { [BY_ENDPOINTS]: ours } }).lister;

  async function counted(operation: "create" | "update" | "delete", write: Promise<unknown>): Promise<void> {
    await write;
    monitor.written(operation);
  }

  return defineController<Endpoints>(deps, {
    name: "endpointslicemirroring",
    for: Endpoints,
    watches: [
      mapped(Service, (service) => (endpoints.byKey(cacheKeyOf(service)) === undefined ? [] : [cacheKeyOf(service)])),
      mapped(EndpointSlice, (slice, old) => (old === undefined ? ours(slice) : [...ours(slice), ...ours(old)])),
    ],
    workers,
    async reconcile(key, { signal }) {
      const began = clock.monotonicMs();
      const existing = slices.byIndex(BY_ENDPOINTS, key);
      const source = endpoints.byKey(key);
      const service = services.byKey(key);
      const plan = planMirror(source, service, existing, maxPerSubset);
      if (isMirrored(source, service)) monitor.planned(key, source, existing, plan, maxPerSubset);
      else monitor.forget(key);
      for (const slice of plan.create) {
        try {
          await counted("create", client.create(EndpointSlice, slice, { signal }));
        } catch (error) {
          if (!isAlreadyExists(error)) throw error; // ours, and not seen yet: its event brings us back
        }
      }
      for (const slice of plan.update) await counted("update", client.update(EndpointSlice, slice, { signal }));
      for (const { metadata } of plan.delete) {
        try {
          const slice = { namespace: metadata.namespace, name: metadata.name ?? "" };
          await counted("delete", client.delete(EndpointSlice, slice, { signal }));
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      }
      monitor.synced(clock.monotonicMs() - began);
      return done;
    },
  });
}
