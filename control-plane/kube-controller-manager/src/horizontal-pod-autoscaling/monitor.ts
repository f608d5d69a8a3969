import type { HorizontalPodAutoscaler } from "@coracle/api/autoscaling/v2";
import { Counter, exponentialBuckets, Gauge, Histogram } from "@coracle/base";
import { cacheKeyOf, splitCacheKey, type Lister } from "@coracle/client";
import { MetricFailure, type Proposal } from "./evaluate-metric.ts";

/** What a pass did. */
export type ScalingAction = "scale_up" | "scale_down" | "none";
/** Whose fault it was that it did less. */
export type ScalingFault = "spec" | "internal" | "none";

const PREFIX = "horizontal_pod_autoscaler_controller";
const BUCKETS = exponentialBuckets(0.001, 2, 15);
const LABELS =
  "The label 'action' should be either 'scale_down', 'scale_up', or 'none'. Also, the label 'error' should be either 'spec', 'internal', or 'none'.";
const FIRST =
  "Note that if both spec and internal errors happen during a reconciliation, the first one to occur is reported in `error` label.";
const TYPE = "The label 'metric_type' corresponds to HPA.spec.metrics[*].type";

/** What the autoscalers count of themselves, under upstream's names. */
export class AutoscalerMonitor {
  readonly #desired = new Map<string, number>();
  #autoscalers: Lister<HorizontalPodAutoscaler> | undefined;
  readonly #reconciliations = new Counter(
    `${PREFIX}_reconciliations_total`,
    `[ALPHA] Number of reconciliations of HPA controller. ${LABELS} ${FIRST}`,
    ["action", "error"],
  );
  readonly #reconciliationSeconds = new Histogram(
    `${PREFIX}_reconciliation_duration_seconds`,
    `[ALPHA] The time(seconds) that the HPA controller takes to reconcile once. ${LABELS} ${FIRST}`,
    BUCKETS,
    ["action", "error"],
  );
  readonly #computations = new Counter(
    `${PREFIX}_metric_computation_total`,
    `[ALPHA] Number of metric computations. ${LABELS} ${TYPE}`,
    ["action", "error", "metric_type"],
  );
  readonly #computationSeconds = new Histogram(
    `${PREFIX}_metric_computation_duration_seconds`,
    `[ALPHA] The time(seconds) that the HPA controller takes to calculate one metric. ${LABELS} ${TYPE}`,
    BUCKETS,
    ["action", "error", "metric_type"],
  );
  readonly #count = new Gauge(
    `${PREFIX}_num_horizontal_pod_autoscalers`,
    "[ALPHA] Current number of controlled HPA objects.",
    [],
    () => [[[], this.#autoscalers?.size ?? 0]],
  );
  readonly #desiredReplicas = new Gauge(
    `${PREFIX}_desired_replicas`,
    "[ALPHA] Current desired replica count for HPA objects.",
    ["namespace", "hpa_name"],
    () =>
      [...this.#desired].map(([key, replicas]) => {
        const { namespace = "", name } = splitCacheKey(key);
        return [[namespace, name], replicas] as const;
      }),
  );

  /** How many there are is looked up there. */
  watch(autoscalers: Lister<HorizontalPodAutoscaler>): void {
    this.#autoscalers = autoscalers;
  }

  reconciled(action: ScalingAction, fault: ScalingFault, durationMs: number): void {
    this.#reconciliations.add(1, action, fault);
    this.#reconciliationSeconds.observe(durationMs / 1000, action, fault);
  }

  metricComputed(type: string, outcome: Proposal | MetricFailure, present: number, durationMs: number): void {
    const isFailed = outcome instanceof MetricFailure;
    const fault: ScalingFault = !isFailed ? "none" : outcome.isSpecError ? "spec" : "internal";
    const action: ScalingAction =
      isFailed || outcome.replicas === present ? "none" : outcome.replicas > present ? "scale_up" : "scale_down";
    this.#computations.add(1, action, fault, type);
    this.#computationSeconds.observe(durationMs / 1000, action, fault, type);
  }

  desired(hpa: HorizontalPodAutoscaler, replicas: number): void {
    this.#desired.set(cacheKeyOf(hpa), replicas);
  }

  forget(key: string): void {
    this.#desired.delete(key);
  }

  text(): string {
    const all = [
      this.#computationSeconds,
      this.#computations,
      this.#desiredReplicas,
      this.#count,
      this.#reconciliationSeconds,
      this.#reconciliations,
    ];
    return all.map((each) => each.text()).join("");
  }
}
