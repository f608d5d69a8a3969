const BUCKETS = [0.0000005, 0.001, 0.01, 0.1, 1];

/** What a check led to, as metrics say it. */
export type Enforcement = "allow" | "deny" | "warn" | "audit";

interface Series {
  total: number;
  sum: number;
  readonly counts: number[];
}

/** Why a check failed to say anything, as metrics say it. */
export function errorTypeOf(message: string, isEvaluated: boolean): string {
  if (isEvaluated) return "no_error";
  if (message.startsWith("compilation")) return "compile_error";
  return message.startsWith("validation failed due to running out of cost budget") ? "out_of_budget" : "invalid_error";
}

/** Counts the checks of admission policies, under upstream's names. */
export class PolicyMetrics {
  readonly #prefix: string;
  readonly #series = new Map<string, Series>();

  constructor(kind: "validating" | "mutating") {
    this.#prefix = `apiserver_${kind}_admission_policy_check`;
  }

  observe(policy: string, binding: string, enforcement: Enforcement, errorType: string, seconds: number): void {
    const labels = `enforcement_action="${enforcement}",error_type="${errorType}",policy="${policy}",policy_binding="${binding}"`;
    let series = this.#series.get(labels);
    if (series === undefined) {
      series = { total: 0, sum: 0, counts: BUCKETS.map(() => 0) };
      this.#series.set(labels, series);
    }
    series.total++;
    series.sum += seconds;
    const bucket = BUCKETS.findIndex((limit) => seconds <= limit);
    if (bucket !== -1) series.counts[bucket]! += 1;
  }

  /** The Prometheus text format. */
  render(): string {
    if (this.#series.size === 0) return "";
    const totals = [`# TYPE ${this.#prefix}_total counter`];
    const durations = [`# TYPE ${this.#prefix}_duration_seconds histogram`];
    for (const [labels, { total, sum, counts }] of this.#series) {
      totals.push(`${this.#prefix}_total{${labels}} ${total}`);
      const name = `${this.#prefix}_duration_seconds`;
      let running = 0;
      for (const [index, limit] of BUCKETS.entries()) {
        running += counts[index]!;
        durations.push(`${name}_bucket{${labels},le="${limit}"} ${running}`);
      }
      durations.push(`${name}_bucket{${labels},le="+Inf"} ${total}`);
      durations.push(`${name}_sum{${labels}} ${sum}`, `${name}_count{${labels}} ${total}`);
    }
    return [...totals, ...durations].join("\n");
  }
}
