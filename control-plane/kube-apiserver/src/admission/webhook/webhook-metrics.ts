const BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25];
const MAX_CODE = 600;

interface Histogram {
  readonly counts: Float64Array;
  sum: number;
  total: number;
}

/** Which half of admission a webhook belongs to, as metrics say it. */
export type WebhookType = "admit" | "validating";

/** What went wrong, as metrics say it. */
export type RejectionCause = "calling_webhook_error" | "apiserver_internal_error" | "no_error";

const increment = (counters: Map<string, number>, key: string): void => {
  counters.set(key, (counters.get(key) ?? 0) + 1);
};

const codeOf = (code: number): number => Math.min(code, MAX_CODE);

/** Counts calls to admission webhooks, under upstream's names. */
export class WebhookMetrics {
  readonly #durations = new Map<string, Histogram>();
  readonly #requests = new Map<string, number>();
  readonly #rejections = new Map<string, number>();
  readonly #failOpen = new Map<string, number>();
  readonly #exclusions = new Map<string, number>();
  readonly #conditionErrors = new Map<string, number>();

  /** A call that ended. */
  observe(call: {
    readonly name: string;
    readonly type: WebhookType;
    readonly operation: string;
    readonly isRejected: boolean;
    readonly code: number;
    readonly seconds: number;
  }): void {
    const { name, type, operation, isRejected, seconds } = call;
    const labels = `name="${name}",operation="${operation}",rejected="${isRejected}",type="${type}"`;
    let histogram = this.#durations.get(labels);
    if (histogram === undefined) {
      histogram = { counts: new Float64Array(BUCKETS.length), sum: 0, total: 0 };
      this.#durations.set(labels, histogram);
    }
    const bucket = BUCKETS.findIndex((limit) => seconds <= limit);
    if (bucket !== -1) histogram.counts[bucket]! += 1;
    histogram.sum += seconds;
    histogram.total += 1;
    increment(this.#requests, `code="${codeOf(call.code)}",${labels}`);
  }

  /** A request that was refused because of a webhook. */
  observeRejection(name: string, type: WebhookType, operation: string, cause: RejectionCause, code: number): void {
    const labels = `error_type="${cause}",name="${name}",operation="${operation}",rejection_code="${codeOf(code)}",type="${type}"`;
    increment(this.#rejections, labels);
  }

  /** A failure that was ignored. */
  observeFailOpen(name: string, type: WebhookType): void {
    increment(this.#failOpen, `name="${name}",type="${type}"`);
  }

  /** A webhook that was not called, by its conditions. */
  observeExclusion(name: string, type: WebhookType, operation: string): void {
    increment(this.#exclusions, `kind="webhook",name="${name}",operation="${operation}",type="${type}"`);
  }

  /** A condition that failed. */
  observeConditionError(name: string, type: WebhookType, operation: string): void {
    increment(this.#conditionErrors, `kind="webhook",name="${name}",operation="${operation}",type="${type}"`);
  }

  /** The Prometheus text format. */
  render(): string {
    const lines = ["# TYPE apiserver_admission_webhook_admission_duration_seconds histogram"];
    const prefix = "apiserver_admission_webhook_admission_duration_seconds";
    for (const [labels, { counts, sum, total }] of this.#durations) {
      let running = 0;
      for (const [i, limit] of BUCKETS.entries()) {
        running += counts[i]!;
        lines.push(`${prefix}_bucket{${labels},le="${limit}"} ${running}`);
      }
      lines.push(`${prefix}_bucket{${labels},le="+Inf"} ${total}`);
      lines.push(`${prefix}_sum{${labels}} ${sum}`, `${prefix}_count{${labels}} ${total}`);
    }
    const counter = (name: string, counters: ReadonlyMap<string, number>): void => {
      lines.push(`# TYPE apiserver_admission_${name} counter`);
      for (const [labels, count] of counters) lines.push(`apiserver_admission_${name}{${labels}} ${count}`);
    };
    counter("webhook_request_total", this.#requests);
    counter("webhook_rejection_count", this.#rejections);
    counter("webhook_fail_open_count", this.#failOpen);
    counter("match_condition_exclusions_total", this.#exclusions);
    counter("match_condition_evaluation_errors_total", this.#conditionErrors);
    return lines.join("\n");
  }
}
