import { Node, Pod, Service } from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { equalJson, isNotFound } from "@coracle/apimachinery";
import { isAbort } from "@coracle/base";
import { cacheKeyOf, referenceTo, type CacheKey, type Lister } from "@coracle/client";
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
import { EndpointMemory } from "./endpoint-memory.ts";
import { wantsSpread, withHints, zoneShares } from "./hints.ts";
import { SliceMonitor } from "./monitor.ts";
import { MANAGED_BY, MANAGER, planSlices, podsOfUnknownNodes, SERVICE_NAME } from "./plan.ts";

const BY_SERVICE = "service";
/** How long to wait for our own writes to come back before trusting the cache as it is. */
const STALE_MS = 5000;

/** Fifteen passes a second over 5,000 pods. */
const PODS_PER_MS = 75;

/** Keeps every service's EndpointSlices equal to the pods that its selector matches. */
export function createEndpointSliceController(
  deps: ControllerDeps,
  workers?: number,
  maxPerSlice = 100,
  monitor: SliceMonitor = new SliceMonitor(),
): Controller {
  const { client, informers, clock, recorder } = deps;
  const services = informers.informer(Service).lister;
  const pods = informers.informer(Pod).lister;
  const nodes = informers.informer(Node).lister;
  const ours = (slice: EndpointSlice): readonly CacheKey[] => {
    const { labels, namespace } = slice.metadata;
    const name = labels?.[SERVICE_NAME];
    return labels?.[MANAGED_BY] === MANAGER && name !== undefined ? [`${namespace}/${name}`] : [];
  };
  const slices = informers.informer(EndpointSlice, { indexes: { [BY_SERVICE]: ours } }).lister;

  const memory = new EndpointMemory();
  const pace = new PassPace(clock, PODS_PER_MS);
  const times = new TriggerTimes();

  /** What was written and not seen yet: service → slice → generation (undefined: deleted). */
  const written = new Map<CacheKey, { readonly at: number; readonly slices: Map<string, number | undefined> }>();

  /** Services whose endpoints are spread over zones. */
  const spreading = new Set<CacheKey>();

  function staleFor(key: CacheKey): number {
    const entry = written.get(key);
    if (entry === undefined) return 0;
    for (const [name, generation] of entry.slices) {
      const seen = slices.byKey(name);
      const isSeen = generation === undefined ? seen === undefined : (seen?.metadata.generation ?? -1) >= generation;
      if (isSeen) entry.slices.delete(name);
    }
    const leftMs = entry.at + STALE_MS - clock.now();
    if (entry.slices.size > 0 && leftMs > 0) return leftMs;
    written.delete(key);
    return 0;
  }

  return defineController<Service>(deps, {
    name: "endpointslice",
    for: Service,
    watches: [
      watchServicePods(services),
      mapped(EndpointSlice, (slice, old) => (old === undefined ? ours(slice) : [...ours(slice), ...ours(old)])),
      mapped(Node, (node, old) =>
        isSameForHints(node, old, nodes) ? [] : services.list().filter(wantsSpread).map(cacheKeyOf),
      ),
    ],
    workers,
    async reconcile(key, { signal }) {
      const service = services.byKey(key);
      if (service === undefined) {
        spreading.delete(key);
        pace.forget(key);
        times.forget(key);
        monitor.forget(key);
      }
      if (service === undefined || service.metadata.deletionTimestamp !== undefined) return done;
      if (!hasSelector(service) || service.spec?.type === "ExternalName") return done;
      const staleMs = staleFor(key);
      if (staleMs > 0) {
        monitor.synced("stale");
        return requeueAfter(staleMs); // a slice's event brings us back earlier
      }
      const waitMs = pace.waitMs(key);
      if (waitMs > 0) return requeueAfter(waitMs);

      try {
        await pass(key, service, signal);
        monitor.synced("success");
      } catch (error) {
        if (!isAbort(error, signal)) monitor.synced("error");
        throw error;
      }
      return done;
    },
  });

  async function pass(key: CacheKey, service: Service, signal: AbortSignal): Promise<void> {
    const matching = podsOf(service, pods);
    pace.begin(key, matching.length);
    const existing = slices.byIndex(BY_SERVICE, key).filter((slice) => slice.metadata.deletionTimestamp === undefined);
    const changedAt = times.changedAt(key, service, matching);
    const nodeOf = (name: string): Node | undefined => nodes.byKey(name);
    const slicing = planSlices(service, matching, existing, nodeOf, maxPerSlice, changedAt, memory);
    const shares = wantsSpread(service) ? zoneShares(nodes.list()) : undefined;
    const { plan, events, isSpread } = withHints(service, slicing, existing, shares, spreading.has(key));
    if (isSpread) spreading.add(key);
    else spreading.delete(key);
    monitor.planned(key, service, existing, plan, maxPerSlice);
    const seen = new Map<string, number | undefined>();
    const note = (operation: "create" | "update", { metadata }: EndpointSlice): void => {
      seen.set(`${metadata.namespace}/${metadata.name}`, metadata.generation ?? 0);
      monitor.written(operation);
    };
    const options = { metadataOnly: true, signal };
    try {
      for (const slice of plan.create) note("create", await client.create(EndpointSlice, slice, options));
      await allDone(
        plan.update.map(async (slice) => note("update", await client.update(EndpointSlice, slice, options))),
      );
      for (const { metadata } of plan.delete) {
        const { namespace, name = "" } = metadata;
        try {
          await client.delete(EndpointSlice, { namespace, name }, { signal });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
        seen.set(`${namespace}/${name}`, undefined);
        monitor.written("delete");
      }
    } finally {
      if (seen.size > 0) written.set(key, { at: clock.now(), slices: seen });
    }
    for (const { type, reason, message } of events)
      recorder.event(referenceTo(Service, service), type, reason, message);
    const [hidden] = podsOfUnknownNodes(service, matching, nodeOf);
    if (hidden !== undefined)
      throw new Error(
        `skipping Pod ${hidden.metadata.name} for Service ${key}: Node ${hidden.spec.nodeName} Not Found`,
      );
  }
}

/** Waits for all, also for those that are under way when one fails. */
async function allDone(writes: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(writes);
  const failed = results.find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** The node's zone, readiness and CPUs are as they were; false for one that came or went. */
function isSameForHints(node: Node, old: Node | undefined, nodes: Lister<Node>): boolean {
  if (old === undefined || nodes.byKey(node.metadata.name ?? "") === undefined) return false;
  const [before, after] = [zoneShares([old, STANDARD]), zoneShares([node, STANDARD])];
  return (before === undefined && after === undefined) || equalJson([...(before ?? [])], [...(after ?? [])]);
}

/** Beside it the weight of a node can be told. */
const STANDARD: Node = {
  metadata: { name: "", labels: { "topology.kubernetes.io/zone": "/" } },
  spec: {},
  status: { allocatable: { cpu: "1" }, conditions: [{ type: "Ready", status: "True" }] },
};
