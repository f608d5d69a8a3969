import type { Clock } from "@coracle/base";
import type { Store } from "@coracle/etcd";
import { Histogram, renderHistograms } from "./histogram.ts";
import { family } from "./metric-text.ts";

const BUCKETS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const OPERATIONS = ["create", "delete", "list", "update"] as const;
const SIZE_WAIT_MS = 1_000;

/** What is asked of the store. */
type StoreOperation = (typeof OPERATIONS)[number];

/** One operation on one resource. */
export class StoreSeries {
  readonly durations: Histogram;
  readonly #clock: Clock;
  errors = 0;

  constructor(labels: string, clock: Clock) {
    this.durations = new Histogram(labels, BUCKETS);
    this.#clock = clock;
  }

  /** Counts what `work` asks of the store. */
  async measure<T>(work: () => Promise<T>): Promise<T> {
    const startedAt = this.begin();
    let isFailure = true;
    try {
      const result = await work();
      isFailure = false;
      return result;
    } finally {
      this.end(startedAt, isFailure);
    }
  }

  /** When something is asked, for `end`. */
  begin(): number {
    return this.#clock.monotonicMs();
  }

  end(startedAt: number, isFailure: boolean): void {
    if (isFailure) this.errors += 1;
    this.durations.observe((this.#clock.monotonicMs() - startedAt) / 1000);
  }
}

/** Lists of one resource, and what they held. */
export class ListCounts {
  readonly labels: string;
  total = 0;
  returned = 0;

  constructor(labels: string) {
    this.labels = labels;
  }

  note(returned: number): void {
    this.total += 1;
    this.returned += returned;
  }
}

/** One resource's operations. */
export type ResourceStoreMetrics = Readonly<Record<StoreOperation, StoreSeries>> & {
  /** Answered from the cache, and by the store. */
  readonly cacheLists: ListCounts;
  readonly storeLists: ListCounts;
};

/** The series of a resource, for whoever counts them. */
export function createResourceStoreMetrics(
  { group, resource }: { readonly group: string; readonly resource: string },
  clock: Clock,
): ResourceStoreMetrics {
  const of = (operation: StoreOperation): StoreSeries =>
    new StoreSeries(`group="${group}",operation="${operation}",resource="${resource}"`, clock);
  const what = `group="${group}",resource="${resource}"`;
  const lists = { cacheLists: new ListCounts(what), storeLists: new ListCounts(what) };
  return { create: of("create"), delete: of("delete"), list: of("list"), update: of("update"), ...lists };
}

/** Counts what is asked of the store for each resource, under upstream's names. */
export class StoreMetrics {
  readonly #clock: Clock;
  readonly #resources = new Map<string, ResourceStoreMetrics>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The same for all versions of a resource. */
  of(type: { readonly group: string; readonly resource: string }): ResourceStoreMetrics {
    const key = `${type.group}/${type.resource}`;
    let found = this.#resources.get(key);
    if (found === undefined) this.#resources.set(key, (found = createResourceStoreMetrics(type, this.#clock)));
    return found;
  }

  /** The Prometheus text format. */
  render(): string {
    const series: StoreSeries[] = [];
    for (const resource of this.#resources.values()) {
      for (const operation of OPERATIONS) if (resource[operation].durations.total > 0) series.push(resource[operation]);
    }
    const lines: string[] = [];
    renderHistograms(
      "etcd_request_duration_seconds",
      series.map(({ durations }) => durations),
      lines,
    );
    lines.push("# TYPE etcd_requests_total counter");
    for (const { durations } of series) lines.push(`etcd_requests_total{${durations.labels}} ${durations.total}`);
    lines.push("# TYPE etcd_request_errors_total counter");
    for (const { durations, errors } of series) {
      if (errors > 0) lines.push(`etcd_request_errors_total{${durations.labels}} ${errors}`);
    }
    const lists = (kind: "cacheLists" | "storeLists", prefix: string, index: string): void => {
      const counts = [...this.#resources.values()].map((one) => one[kind]).filter(({ total }) => total > 0);
      const total = counts.map((one): [string, number] => [`${index}${one.labels}`, one.total]);
      const returned = counts.map((one): [string, number] => [one.labels, one.returned]);
      lines.push(family(`${prefix}_list_total`, "counter", total));
      lines.push(family(`${prefix}_list_returned_objects_total`, "counter", returned));
    };
    lists("cacheLists", "apiserver_cache", 'index="",');
    lists("storeLists", "apiserver_storage", "");
    return lines.join("\n");
  }
}

/**
 * How much room the store takes; nothing when it does not say so in time. Of a store with a quota also what etcd itself would tell, under its
 * names: the usual alerts on a store that fills up work.
 */
export async function storageSizeMetrics(store: Pick<Store, "size">, clock: Clock): Promise<string> {
  const asked = store.size().catch(() => undefined);
  const size = await new Promise<Awaited<typeof asked>>((resolve) => {
    const timer = clock.after(SIZE_WAIT_MS, () => resolve(undefined));
    void asked.then((found) => {
      timer[Symbol.dispose]();
      resolve(found);
    });
  });
  if (size === undefined) return "";
  const { totalBytes, usedBytes, quotaBytes } = size;
  const gauge = (name: string, labels: string, value: number): string =>
    `# TYPE ${name} gauge\n${name}${labels} ${value}\n`;
  const own = gauge("apiserver_storage_size_bytes", '{storage_cluster_id="etcd-0"}', totalBytes);
  if (quotaBytes === undefined) return own;
  return [
    own,
    gauge("etcd_server_quota_backend_bytes", "", quotaBytes),
    gauge("etcd_mvcc_db_total_size_in_bytes", "", totalBytes),
    gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "", usedBytes),
  ].join("");
}
