import { Histogram, renderHistograms } from "../metrics/histogram.ts";
import type { ApiRequest } from "./api-request.ts";

const BUCKETS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const SLI_BUCKETS = BUCKETS.slice(2);
const SIZE_BUCKETS = Array.from({ length: 7 }, (_, i) => 1_000 * 10 ** i);
/** Every 100 kB up to 3.05 MB. */
const BODY_BUCKETS = Array.from({ length: 31 }, (_, i) => 50_000 + 100_000 * i);

const MAX_RESOURCES = 5_000;
/** Beyond, labels are made anew for each request. */
const MAX_QUICK = 20_000;
/** Codes that nothing has that is not there. */
const FOUND: ReadonlySet<number> = new Set([200, 201, 202, 409, 422]);
const PLAIN = /^group="[a-z0-9.-]*",resource="[a-z0-9.-]*"$/;
const PLAIN_NAME = /^[a-z]{0,32}$/;
const VERSION = /^v[0-9a-z]{0,30}$/;
const VERBS: ReadonlySet<string> = new Set(
  "CREATE DELETE DELETECOLLECTION GET HEAD LIST OPTIONS PATCH POST PUT UPDATE WATCH".split(" "),
);
/** What is counted of requests with the same labels. */
class Series {
  readonly labels: string;
  readonly totals = new Map<number, number>();
  readonly durations: Histogram;
  readonly sli: Histogram;
  readonly sizes: Histogram;
  /** Of requests' bodies: shared by all series of a resource and a verb. */
  bodies: Histogram | undefined;

  constructor(labels: string, dryRun: string) {
    const withComponent = `component="apiserver",${labels}`;
    this.labels = `component="apiserver",dry_run="${dryRun}",${labels}`;
    this.durations = new Histogram(this.labels, BUCKETS);
    this.sli = new Histogram(withComponent, SLI_BUCKETS);
    this.sizes = new Histogram(withComponent, SIZE_BUCKETS);
  }
}

/** A series as requests name it. */
interface Quick {
  readonly group: string;
  readonly version: string;
  readonly subresource: string;
  readonly scope: string;
  readonly series: Series;
}

const verbOf = ({ info, exchange }: ApiRequest): string => (info.isResource ? info.verb : exchange.method);

const scopeOf = ({ info }: ApiRequest): string =>
  !info.isResource ? "" : info.isNamed ? "resource" : info.namespace === "" ? "cluster" : "namespace";

/** Counts requests under upstream's names. */
export class RequestMetrics {
  readonly #series = new Map<string, Series>();
  /** Series of what was found, by resource and verb: to be found again without making a string. */
  readonly #quick = new Map<string, Map<string, Quick[]>>();
  #quickSize = 0;
  readonly #bodies = new Map<string, Histogram>();
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
    const { info, query } = request;
    const series = this.#seriesOf(request, code);
    series.totals.set(code, (series.totals.get(code) ?? 0) + 1);
    if (info.verb === "watch") return;
    series.durations.observe(seconds);
    if (!info.isResource) return;
    if (query.size === 0 || !query.has("dryRun")) series.sli.observe(Math.max(0, seconds - request.waitedMs / 1000));
    if (request.bodyBytes > 0) (series.bodies ??= this.#bodiesOf(series, info.verb)).observe(request.bodyBytes);
    if (info.verb !== "get" && info.verb !== "list") return;
    const size = (request.exchange.sentBytes ?? 0) + request.streamedBytes;
    if (size > 0) series.sizes.observe(size);
  }

  #seriesOf(request: ApiRequest, code: number): Series {
    const { info } = request;
    const scope = scopeOf(request);
    const verb = verbOf(request);
    const dryRun = request.query.size > 0 && request.query.has("dryRun") ? "All" : "";
    const quick = dryRun !== "" ? undefined : this.#quick.get(info.resource)?.get(verb);
    // A subresource that is not there is counted with its object.
    if (quick !== undefined && (code !== 404 || info.subresource === "")) {
      for (const one of quick) {
        if (
          one.version === info.version &&
          one.subresource === info.subresource &&
          one.scope === scope &&
          one.group === info.group
        )
          return one.series;
      }
    }
    const labels = this.#labelsOf(request, code, scope, verb.toUpperCase());
    const key = dryRun === "" ? labels : `${labels},dry`;
    let series = this.#series.get(key);
    if (series === undefined) this.#series.set(key, (series = new Series(labels, dryRun)));
    if (dryRun === "" && FOUND.has(code) && this.#quickSize < MAX_QUICK) this.#remember(request, scope, verb, series);
    return series;
  }

  #bodiesOf({ labels }: Series, verb: string): Histogram {
    // What a URL names counts as the series has it.
    const [what] = /group="[^"]*",resource="[^"]*"/.exec(labels)!;
    const own = `${what},verb="${verb}"`;
    let bodies = this.#bodies.get(own);
    if (bodies === undefined) this.#bodies.set(own, (bodies = new Histogram(own, BODY_BUCKETS)));
    return bodies;
  }

  #remember({ info }: ApiRequest, scope: string, verb: string, series: Series): void {
    let verbs = this.#quick.get(info.resource);
    if (verbs === undefined) this.#quick.set(info.resource, (verbs = new Map()));
    let quick = verbs.get(verb);
    if (quick === undefined) verbs.set(verb, (quick = []));
    const { group, version, subresource } = info;
    quick.push({ group, version, subresource, scope, series });
    this.#quickSize += 1;
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
    const all = [...this.#series.values()];
    for (const { labels, totals } of all) {
      for (const [code, count] of totals) lines.push(`apiserver_request_total{code="${code}",${labels}} ${count}`);
    }
    const histograms = (name: string, of: (series: Series) => Histogram): void =>
      renderHistograms(name, all.map(of), lines);
    histograms("apiserver_request_duration_seconds", ({ durations }) => durations);
    histograms("apiserver_request_sli_duration_seconds", ({ sli }) => sli);
    histograms("apiserver_response_sizes", ({ sizes }) => sizes);
    renderHistograms("apiserver_request_body_size_bytes", this.#bodies.values(), lines);
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
