import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { Counter, Gauge, Histogram, exponentialBuckets } from "@coracle/base";
import type { CacheKey } from "@coracle/client";
import { wantsSpread } from "./hints.ts";
import type { SlicePlan } from "./plan.ts";
import { outcomeOf } from "./outcome.ts";

/** How a pass ended; stale: our own writes were not seen yet. */
export type SliceSync = "success" | "stale" | "error";

interface Totals {
  readonly endpoints: number;
  readonly slices: number;
  readonly fewestSlices: number;
  readonly distribution: string | undefined;
}

const PREFIX = "endpoint_slice_controller";
const ENDPOINTS = exponentialBuckets(2, 2, 15);
/** The library's own, where nobody chose others. */
const SLICES = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What the controller of EndpointSlices counts of itself, under upstream's names. */
export class SliceMonitor {
  readonly #services = new Map<CacheKey, Totals>();
  readonly #added = new Histogram(
    `${PREFIX}_endpoints_added_per_sync`,
    "[ALPHA] Number of endpoints added on each Service sync",
    ENDPOINTS,
  );
  readonly #removed = new Histogram(
    `${PREFIX}_endpoints_removed_per_sync`,
    "[ALPHA] Number of endpoints removed on each Service sync",
    ENDPOINTS,
  );
  readonly #desired = this.#sum("endpoints_desired", "Number of endpoints desired", (each) => each.endpoints);
  readonly #slices = this.#sum("num_endpoint_slices", "Number of EndpointSlices", (each) => each.slices);
  readonly #fewest = this.#sum(
    "desired_endpoint_slices",
    "Number of EndpointSlices that would exist with perfect endpoint allocation",
    (each) => each.fewestSlices,
  );
  readonly #changes = new Counter(`${PREFIX}_changes`, "[ALPHA] Number of EndpointSlice changes", ["operation"]);
  readonly #changed = new Histogram(
    `${PREFIX}_endpointslices_changed_per_sync`,
    "[ALPHA] Number of EndpointSlices changed on each Service sync",
    SLICES,
    ["topology", "traffic_distribution"],
  );
  readonly #syncs = new Counter(`${PREFIX}_syncs`, "[ALPHA] Number of EndpointSlice syncs", ["result"]);
  readonly #distributions = new Gauge(
    `${PREFIX}_services_count_by_traffic_distribution`,
    "[ALPHA] Number of Services using some specific trafficDistribution",
    ["traffic_distribution"],
    () => {
      const counts = new Map<string, number>();
      for (const { distribution } of this.#services.values())
        if (distribution !== undefined) counts.set(distribution, (counts.get(distribution) ?? 0) + 1);
      return [...counts].map(([distribution, count]) => [[distribution], count] as const);
    },
  );

  #sum(name: string, help: string, valueOf: (totals: Totals) => number): Gauge {
    return new Gauge(`${PREFIX}_${name}`, `[ALPHA] ${help}`, [], () => [
      [[], [...this.#services.values()].reduce((total, each) => total + valueOf(each), 0)],
    ]);
  }

  /** What a pass is about to write for the service. */
  planned(
    key: CacheKey,
    service: Service,
    existing: readonly EndpointSlice[],
    plan: SlicePlan,
    maxPerSlice: number,
  ): void {
    const { added, removed, ...totals } = outcomeOf(existing, plan, maxPerSlice);
    const distribution = service.spec?.trafficDistribution;
    this.#services.set(key, { ...totals, distribution });
    this.#added.observe(added);
    this.#removed.observe(removed);
    const written = plan.create.length + plan.update.length + plan.delete.length;
    this.#changed.observe(written, wantsSpread(service) ? "Auto" : "Disabled", distribution ?? "");
  }

  written(operation: "create" | "update" | "delete"): void {
    this.#changes.add(1, operation);
  }

  synced(result: SliceSync): void {
    this.#syncs.add(1, result);
  }

  /** The service is gone. */
  forget(key: CacheKey): void {
    this.#services.delete(key);
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    const all = [this.#changes, this.#fewest, this.#added, this.#desired, this.#removed];
    return [...all, this.#changed, this.#slices, this.#distributions, this.#syncs].map((each) => each.text()).join("");
  }
}
