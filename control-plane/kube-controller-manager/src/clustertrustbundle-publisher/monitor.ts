import { Counter, exponentialBuckets, Histogram } from "@coracle/base";

const PREFIX = "clustertrustbundle_publisher";

/** What the publisher of bundles counts of itself, under upstream's names. */
export class BundleMonitor {
  readonly #syncs = new Counter(
    `${PREFIX}_sync_total`,
    "[ALPHA] Number of syncs that occurred in cluster trust bundle publisher.",
    ["code"],
  );
  readonly #seconds = new Histogram(
    `${PREFIX}_sync_duration_seconds`,
    "[ALPHA] The time it took to sync a cluster trust bundle.",
    exponentialBuckets(0.001, 2, 15),
    ["code"],
  );

  synced(code: number, durationMs: number): void {
    this.#syncs.add(1, String(code));
    this.#seconds.observe(durationMs / 1000, String(code));
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    return this.#syncs.text() + this.#seconds.text();
  }
}
