import { createHash } from "node:crypto";
import { hostname } from "node:os";

/** Seconds from a millisecond on, doubled 14 times. */
const DURATIONS = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);

interface Histogram {
  readonly counts: Float64Array;
  sum: number;
  total: number;
}

type Labels = Readonly<Record<string, string>>;

const NO_LABELS: Labels = {};

/** Labels of every request are the same few objects. */
const rendered = new WeakMap<Labels, string>();

function render(labels: Labels): string {
  let text = rendered.get(labels);
  if (text === undefined) rendered.set(labels, (text = textOf(labels)));
  return text;
}

const textOf = (labels: Labels): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`)
    .join(",");

/** Counters and histograms of authentication and authorisation, under upstream's names. */
export class AccessMetrics {
  readonly #counters = new Map<string, Map<string, number>>();
  readonly #gauges = new Map<string, Map<string, number>>();
  readonly #histograms = new Map<
    string,
    { readonly buckets: readonly number[]; readonly series: Map<string, Histogram> }
  >();

  /** Label objects are not to be changed: what is counted often best uses the same one again. */
  count(name: string, labels: Labels = NO_LABELS): void {
    let series = this.#counters.get(name);
    if (series === undefined) this.#counters.set(name, (series = new Map()));
    const key = render(labels);
    series.set(key, (series.get(key) ?? 0) + 1);
  }

  /** Sets a value that stands until it is set again; `replaces`: no other series of the name stays. */
  set(name: string, labels: Labels, value: number, replaces = false): void {
    let series = this.#gauges.get(name);
    if (series === undefined || replaces) this.#gauges.set(name, (series = new Map()));
    series.set(render(labels), value);
  }

  observe(name: string, labels: Labels, value: number, buckets: readonly number[] = DURATIONS): void {
    let family = this.#histograms.get(name);
    if (family === undefined) this.#histograms.set(name, (family = { buckets, series: new Map() }));
    const key = render(labels);
    let histogram = family.series.get(key);
    if (histogram === undefined) {
      histogram = { counts: new Float64Array(family.buckets.length), sum: 0, total: 0 };
      family.series.set(key, histogram);
    }
    let bucket = 0;
    while (bucket < family.buckets.length && value > family.buckets[bucket]!) bucket += 1;
    if (bucket < family.buckets.length) histogram.counts[bucket]! += 1;
    histogram.sum += value;
    histogram.total += 1;
  }

  /** The Prometheus text format. */
  render(): string {
    const lines: string[] = [];
    const simple = (families: Map<string, Map<string, number>>, type: string): void => {
      for (const [name, series] of families) {
        lines.push(`# TYPE ${name} ${type}`);
        for (const [labels, value] of series)
          lines.push(labels === "" ? `${name} ${value}` : `${name}{${labels}} ${value}`);
      }
    };
    simple(this.#counters, "counter");
    simple(this.#gauges, "gauge");
    for (const [name, { buckets, series }] of this.#histograms) {
      lines.push(`# TYPE ${name} histogram`);
      for (const [labels, { counts, sum, total }] of series) {
        const comma = labels === "" ? "" : `${labels},`;
        const braces = labels === "" ? "" : `{${labels}}`;
        let running = 0;
        for (const [i, limit] of buckets.entries()) {
          running += counts[i]!;
          lines.push(`${name}_bucket{${comma}le="${limit}"} ${running}`);
        }
        lines.push(
          `${name}_bucket{${comma}le="+Inf"} ${total}`,
          `${name}_sum${braces} ${sum}`,
          `${name}_count${braces} ${total}`,
        );
      }
    }
    return lines.join("\n");
  }
}

/** A user's name as the metrics have it: few values, no identities. */
export function compressedUsername(name: string): string {
  const known = ["admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default"];
  if (known.includes(name)) return name;
  return name.includes("@") ? "email_id" : "other";
}

/** `apiserver_id_hash` of the metrics. */
export const serverIdHash = (): string =>
  `sha256:${createHash("sha256").update(`kube-apiserver-${hostname()}`).digest("hex")}`;
