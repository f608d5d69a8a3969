import type { Endpoints } from "@coracle/api/core/v1";
import type { Endpoint, EndpointSlice } from "@coracle/api/discovery/v1";
import { equalJson } from "@coracle/apimachinery";
import { Counter, exponentialBuckets, Gauge, Histogram } from "@coracle/base";
import type { CacheKey } from "@coracle/client";
import type { MirrorPlan } from "./plan.ts";

interface Totals {
  readonly endpoints: number;
  readonly slices: number;
}

const PREFIX = "endpoint_slice_mirroring_controller";
const ENDPOINTS = exponentialBuckets(2, 2, 15);

/** What the mirroring controller counts of itself, under upstream's names. */
export class MirrorMonitor {
  readonly #mirrored = new Map<CacheKey, Totals>();
  readonly #added = perSync("endpoints_added", "endpoints added");
  readonly #updated = perSync("endpoints_updated", "endpoints updated");
  readonly #removed = perSync("endpoints_removed", "endpoints removed");
  readonly #skipped = new Histogram(
    `${PREFIX}_addresses_skipped_per_sync`,
    "[ALPHA] Number of addresses skipped on each Endpoints sync due to being invalid or exceeding MaxEndpointsPerSubset",
    ENDPOINTS,
  );
  readonly #seconds = new Histogram(
    `${PREFIX}_endpoints_sync_duration`,
    "[ALPHA] Duration of syncEndpoints() in seconds",
    exponentialBuckets(0.001, 2, 15),
  );
  readonly #changes = new Counter(`${PREFIX}_changes`, "[ALPHA] Number of EndpointSlice changes", ["operation"]);
  readonly #desired = this.#sum("endpoints_desired", "Number of endpoints desired", ({ endpoints }) => endpoints);
  readonly #slices = this.#sum("num_endpoint_slices", "Number of EndpointSlices", ({ slices }) => slices);
  readonly #fewest = this.#sum(
    "desired_endpoint_slices",
    "Number of EndpointSlices that would exist with perfect endpoint allocation",
    ({ slices }) => slices, // one for each set of ports and family: never more than there need be
  );

  #sum(name: string, help: string, valueOf: (totals: Totals) => number): Gauge {
    return new Gauge(`${PREFIX}_${name}`, `[ALPHA] ${help}`, [], () => [
      [[], [...this.#mirrored.values()].reduce((total, each) => total + valueOf(each), 0)],
    ]);
  }

  /** What a pass is about to write; `wanted` are all slices that there will be. */
  planned(
    key: CacheKey,
    endpoints: Endpoints,
    existing: readonly EndpointSlice[],
    plan: MirrorPlan,
    max: number,
  ): void {
    const touched = new Set([...plan.update, ...plan.delete].map(({ metadata }) => metadata.name));
    const before = byAddress(existing.filter(({ metadata }) => touched.has(metadata.name)));
    const after = byAddress([...plan.create, ...plan.update]);
    const both = [...after].filter(([address]) => before.has(address));
    this.#added.observe(after.size - both.length);
    this.#removed.observe(before.size - both.length);
    this.#updated.observe(both.filter(([address, endpoint]) => !equalJson(endpoint, before.get(address))).length);
    const sizes = (endpoints.subsets ?? []).map(
      ({ addresses = [], notReadyAddresses = [] }) => addresses.length + notReadyAddresses.length,
    );
    this.#skipped.observe(sizes.reduce((total, size) => total + Math.max(0, size - max), 0));
    const left = [...existing.filter(({ metadata }) => !touched.has(metadata.name)), ...plan.create, ...plan.update];
    this.#mirrored.set(key, {
      endpoints: left.reduce((total, slice) => total + (slice.endpoints ?? []).length, 0),
      slices: left.length,
    });
  }

  written(operation: "create" | "update" | "delete"): void {
    this.#changes.add(1, operation);
  }

  synced(durationMs: number): void {
    this.#seconds.observe(durationMs / 1000);
  }

  /** Nothing is mirrored there any more. */
  forget(key: CacheKey): void {
    this.#mirrored.delete(key);
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    const sizes = [this.#skipped, this.#changes, this.#fewest, this.#added, this.#desired, this.#removed];
    return [...sizes, this.#seconds, this.#updated, this.#slices].map((each) => each.text()).join("");
  }
}

const perSync = (name: string, what: string): Histogram =>
  new Histogram(`${PREFIX}_${name}_per_sync`, `[ALPHA] Number of ${what} on each Endpoints sync`, ENDPOINTS);

const byAddress = (slices: readonly EndpointSlice[]): ReadonlyMap<string, Endpoint> =>
  new Map(slices.flatMap(({ endpoints }) => (endpoints ?? []).map((each) => [each.addresses[0] ?? "", each] as const)));
