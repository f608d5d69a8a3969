import type { ApiRequest } from "./api-request.ts";

const BUCKETS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];

interface Histogram {
  readonly counts: Float64Array;
  sum: number;
  total: number;
}

const MAX_RESOURCES = 5_000;
/** Codes that nothing has that is not there. */
const FOUND: ReadonlySet<number> = new Set([200, 201, 202, 409, 422]);
const PLAIN = /^group="[a-z0-9.-]*",resource="[a-z0-9.-]*"$/;
const PLAIN_NAME = /^[a-z]{0,32}$/;
const VERSION = /^v[0-9a-z]{0,30}$/;
const VERBS: ReadonlySet<string> = new Set(
  "CREATE DELETE DELETECOLLECTION GET HEAD LIST OPTIONS PATCH POST PUT UPDATE WATCH".split(" "),
);

/** Counts requests under upstream's names. */
export class RequestMetrics {
  readonly #totals = new Map<string, number>();
  readonly #durations = new Map<string, Histogram>();
  /** Resources that were found, as labels. */
  readonly #known = new Set<string>();
  inflightReadOnly = 0;
  inflightMutating = 0;
  readonly #extra: (() => string)[] = [];

  /** Adds lines to what is served. */
  add(lines: () => string): void {
    this.#extra.push(lines);
  }

  observe(request: ApiRequest, code: number, seconds: number): void {
    const { info } = request;
    const scope = !info.isResource ? "" : info.isNamed ? "resource" : info.namespace === "" ? "cluster" : "namespace";
    const verb = info.isResource ? info.verb.toUpperCase() : request.exchange.method;
    const labels = this.#labelsOf(request, code, scope, verb);
    const key = `code="${code}",${labels}`;
    this.#totals.set(key, (this.#totals.get(key) ?? 0) + 1);
    if (info.verb === "watch") return;
    let histogram = this.#durations.get(labels);
    if (histogram === undefined) {
      histogram = { counts: new Float64Array(BUCKETS.length), sum: 0, total: 0 };
      this.#durations.set(labels, histogram);
    }
    const bucket = BUCKETS.findIndex((limit) => seconds <= limit);
    if (bucket !== -1) histogram.counts[bucket]! += 1;
    histogram.sum += seconds;
    histogram.total += 1;
  }

  /**
   * What a URL names counts only once something was found there: otherwise whoever asks for what there is not would
   * make series without end.
   */
  #labelsOf({ info }: ApiRequest, code: number, scope: string, verb: string): string {
    const what = `group="${info.group}",resource="${info.resource}"`;
    const isKnown = this.#known.has(what);
    const isFound = PLAIN.test(what) && FOUND.has(code);
    if (isFound && !isKnown && this.#known.size < MAX_RESOURCES) this.#known.add(what);
    const isNamed = isKnown || isFound;
    const subresource =
      isNamed && PLAIN_NAME.test(info.subresource) && (isFound || code !== 404) ? info.subresource : "";
    const version = isNamed && VERSION.test(info.version) ? info.version : "";
    const method = VERBS.has(verb) ? verb : "other";
    return `${isNamed ? what : 'group="",resource=""'},scope="${scope}",subresource="${subresource}",verb="${method}",version="${version}"`;
  }

  /** The Prometheus text format. */
  render(): string {
    const lines = ["# TYPE apiserver_request_total counter"];
    for (const [labels, count] of this.#totals) lines.push(`apiserver_request_total{${labels}} ${count}`);
    lines.push("# TYPE apiserver_request_duration_seconds histogram");
    for (const [labels, { counts, sum, total }] of this.#durations) {
      let running = 0;
      for (const [i, limit] of BUCKETS.entries()) {
        running += counts[i]!;
        lines.push(`apiserver_request_duration_seconds_bucket{${labels},le="${limit}"} ${running}`);
      }
      lines.push(`apiserver_request_duration_seconds_bucket{${labels},le="+Inf"} ${total}`);
      lines.push(`apiserver_request_duration_seconds_sum{${labels}} ${sum}`);
      lines.push(`apiserver_request_duration_seconds_count{${labels}} ${total}`);
    }
    lines.push("# TYPE apiserver_current_inflight_requests gauge");
    lines.push(`apiserver_current_inflight_requests{request_kind="mutating"} ${this.inflightMutating}`);
    lines.push(`apiserver_current_inflight_requests{request_kind="readOnly"} ${this.inflightReadOnly}`);
    const usage = process.resourceUsage();
    const memory = process.memoryUsage();
    lines.push("# TYPE process_cpu_seconds_total counter");
    lines.push(`process_cpu_seconds_total ${(usage.userCPUTime + usage.systemCPUTime) / 1e6}`);
    lines.push("# TYPE process_resident_memory_bytes gauge", `process_resident_memory_bytes ${memory.rss}`);
    lines.push("# TYPE process_heap_bytes gauge", `process_heap_bytes ${memory.heapUsed}`);
    for (const more of this.#extra) lines.push(more());
    return `${lines.join("\n")}\n`;
  }
}
