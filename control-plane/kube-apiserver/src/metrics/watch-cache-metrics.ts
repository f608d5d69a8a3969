import { readResourceCatalog } from "../registry/resource-catalog.ts";
import { MAX_EVENTS } from "../storage/event-window.ts";
import type { StorageHub } from "../storage/storage-hub.ts";
import { family } from "./metric-text.ts";

/** By the keys of built-in resources: what labels call them. */
let builtIn: ReadonlyMap<string, string> | undefined;

function labelsOf(prefix: string): string {
  builtIn ??= new Map(
    readResourceCatalog(() => true)
      .filter(({ etcdPrefix }) => etcdPrefix !== undefined)
      .map(({ group, plural, etcdPrefix }) => [etcdPrefix as string, `group="${group}",resource="${plural}"`]),
  );
  const known = builtIn.get(prefix);
  if (known !== undefined) return known;
  const [plural = "", group = ""] = prefix.split("/").toReversed();
  return `group="${group}",resource="${plural}"`;
}

/** What the caches of resources have seen, under upstream's names. */
export function watchCacheMetrics(hub: Pick<StorageHub, "cacheCounts">): string {
  const counts = [...hub.cacheCounts()].map((one) => ({ ...one, labels: labelsOf(one.prefix) }));
  const of = (name: string, type: "counter" | "gauge", value: (one: (typeof counts)[number]) => number): string =>
    family(
      name,
      type,
      counts.map((one) => [one.labels, value(one)]),
    );
  return [
    of("apiserver_storage_events_received_total", "counter", ({ events }) => events),
    of("apiserver_watch_cache_events_received_total", "counter", ({ events }) => events),
    of("apiserver_watch_cache_events_dispatched_total", "counter", ({ events }) => events),
    of("apiserver_watch_cache_initializations_total", "counter", ({ initializations }) => initializations),
    of("apiserver_watch_cache_resource_version", "gauge", ({ revision }) => revision),
    of("watch_cache_capacity", "gauge", () => MAX_EVENTS),
  ].join("\n");
}
