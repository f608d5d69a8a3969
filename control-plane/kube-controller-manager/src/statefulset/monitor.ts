import type { StatefulSet } from "@coracle/api/apps/v1";
import { Gauge } from "@coracle/base";
import { cacheKeyOf, type CacheKey } from "@coracle/client";

interface Seen {
  readonly labels: readonly string[];
  readonly maxUnavailable: number;
  readonly unavailable: number;
}

/** How many pods of each set may be away, and how many are, under upstream's names. */
export class StatefulSetMonitor {
  readonly #sets = new Map<CacheKey, Seen>();
  readonly #gauges = [
    this.#gauge(
      "max_unavailable",
      "Maximum number of unavailable pods allowed during StatefulSet rolling updates",
      (seen) => seen.maxUnavailable,
    ),
    this.#gauge(
      "unavailable_replicas",
      "Current number of unavailable pods in StatefulSet",
      (seen) => seen.unavailable,
    ),
  ];

  #gauge(name: string, help: string, valueOf: (seen: Seen) => number): Gauge {
    return new Gauge(
      `statefulset_controller_statefulset_${name}`,
      `[ALPHA] ${help}`,
      ["statefulset_namespace", "statefulset_name", "pod_management_policy"],
      () => [...this.#sets.values()].map((seen) => [seen.labels, valueOf(seen)] as const),
    );
  }

  observe(set: StatefulSet, maxUnavailable: number, unavailable: number): void {
    const { namespace = "", name = "" } = set.metadata;
    const labels = [namespace, name, set.spec.podManagementPolicy ?? ""];
    this.#sets.set(cacheKeyOf(set), { labels, maxUnavailable, unavailable });
  }

  /** The set is gone. */
  forget(key: CacheKey): void {
    this.#sets.delete(key);
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    return this.#gauges.map((each) => each.text()).join("");
  }
}
