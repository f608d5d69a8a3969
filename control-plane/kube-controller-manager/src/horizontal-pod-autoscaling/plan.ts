import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerCondition as Condition,
  HorizontalPodAutoscalerStatus,
  MetricStatus,
} from "@coracle/api/autoscaling/v2";
import { quantityMilliValue } from "@coracle/apimachinery";
import type { Instant } from "@coracle/base";
import { timestamp } from "../time/timestamp.ts";
import { withCondition } from "./conditions.ts";
import { MetricFailure, type Proposal } from "./evaluate-metric.ts";
import type { Tolerances } from "./replica-count.ts";
import { limitByBehavior, limitPlainly, type ScalingHistory } from "./scaling-history.ts";

/** What the flags say of all autoscalers. */
export interface AutoscalerRules {
  readonly tolerance: number;
  readonly downscaleStabilizationMs: number;
  /** An autoscaler may name tolerances of its own (the gate HPAConfigurableTolerance). */
  readonly hasOwnTolerances: boolean;
}

/** How far the metrics of `hpa` may be off. */
export function tolerancesOf({ spec }: HorizontalPodAutoscaler, rules: AutoscalerRules): Tolerances {
  const own = (side: "scaleUp" | "scaleDown"): number => {
    const tolerance = rules.hasOwnTolerances ? spec.behavior?.[side]?.tolerance : undefined;
    return tolerance === undefined ? rules.tolerance : quantityMilliValue(tolerance) / 1000;
  };
  return { scaleUp: own("scaleUp"), scaleDown: own("scaleDown") };
}

/** What the bounds alone say; undefined: the metrics are to be asked. */
export type PlanByBounds =
  | { readonly action: "disabled" }
  | { readonly action: "rescale"; readonly replicas: number; readonly reason: string }
  | { readonly action: "ask" };

/** A target without replicas is left alone, one beyond its bounds is brought back, whatever the metrics say. */
export function planByBounds({ spec }: HorizontalPodAutoscaler, current: number): PlanByBounds {
  const min = spec.minReplicas ?? 1;
  if (current === 0 && min !== 0) return { action: "disabled" };
  if (current > spec.maxReplicas)
    return {
      action: "rescale",
      replicas: spec.maxReplicas,
      reason: "Current number of replicas above Spec.MaxReplicas",
    };
  if (current < min)
    return { action: "rescale", replicas: min, reason: "Current number of replicas below Spec.MinReplicas" };
  return { action: "ask" };
}

/** What all metrics together say. */
export type MetricsVerdict =
  | {
      readonly isUsable: true;
      readonly replicas: number;
      readonly metric: string;
      readonly statuses: readonly MetricStatus[];
      /** Some metrics failed, and the others ask for no less than there is. */
      readonly error: string | undefined;
    }
  | {
      readonly isUsable: false;
      readonly statuses: readonly MetricStatus[];
      readonly failure: MetricFailure;
      readonly error: string;
    };

/** The largest proposal counts. With a metric that failed nothing is scaled down. */
export function combineProposals(outcomes: readonly (Proposal | MetricFailure)[], current: number): MetricsVerdict {
  let best: Proposal | undefined;
  const failures: MetricFailure[] = [];
  const statuses: MetricStatus[] = [];
  for (const outcome of outcomes) {
    if (outcome instanceof MetricFailure) {
      failures.push(outcome);
      statuses.push({ type: "" });
      continue;
    }
    statuses.push(outcome.status);
    if (best === undefined || best.replicas === 0 || outcome.replicas > best.replicas) best = outcome;
  }
  const [failure] = failures;
  const count = `${failures.length} invalid out of ${outcomes.length}`;
  const error = failure === undefined ? undefined : `invalid metrics (${count}), first error is: ${failure.message}`;
  if (failure !== undefined && error !== undefined && (best === undefined || best.replicas < current))
    return { isUsable: false, statuses, failure, error };
  return { isUsable: true, replicas: best?.replicas ?? 0, metric: best?.metric ?? "", statuses, error };
}

/** How many replicas there shall be, by what the metrics say and all limits. */
export interface ScalingPlan {
  readonly replicas: number;
  /** Of the event, when it differs from what there is. */
  readonly reason: string;
  readonly conditions: readonly Condition[];
  readonly history: ScalingHistory;
}

/** Applies the autoscaler's bounds, rates and windows to what the metrics ask for. */
export function planScaling(
  { spec }: HorizontalPodAutoscaler,
  current: number,
  wanted: { readonly replicas: number; readonly metric: string },
  conditions: readonly Condition[],
  history: ScalingHistory,
  rules: AutoscalerRules,
  now: Instant,
): ScalingPlan {
  const bounds = { current, min: spec.minReplicas ?? 1, max: spec.maxReplicas, now };
  const limited =
    spec.behavior === undefined
      ? limitPlainly(wanted.replicas, history, bounds, rules.downscaleStabilizationMs)
      : limitByBehavior(wanted.replicas, history, bounds, spec.behavior, rules.downscaleStabilizationMs);
  const able = withCondition(conditions, "AbleToScale", true, limited.ableToScale, now);
  return {
    replicas: limited.replicas,
    reason:
      wanted.replicas > current
        ? `${wanted.metric} above target`
        : wanted.replicas < current
          ? "All metrics below target"
          : "",
    conditions: withCondition(able, "ScalingLimited", limited.scalingLimited.isTrue, limited.scalingLimited, now),
    history: limited.history,
  };
}

/** The status as it is written; members that would be empty are left out. */
export function statusOf(
  old: HorizontalPodAutoscalerStatus | undefined,
  seen: {
    readonly currentReplicas: number;
    readonly desiredReplicas: number;
    readonly metrics: readonly MetricStatus[];
    readonly conditions: readonly Condition[];
    readonly isRescaled: boolean;
  },
  now: Instant,
): HorizontalPodAutoscalerStatus {
  const lastScaleTime = seen.isRescaled ? timestamp(now) : old?.lastScaleTime;
  return {
    currentReplicas: seen.currentReplicas,
    desiredReplicas: seen.desiredReplicas,
    ...(lastScaleTime === undefined ? {} : { lastScaleTime }),
    ...(seen.metrics.length === 0 ? {} : { currentMetrics: seen.metrics }),
    conditions: seen.conditions,
  };
}

/** True when writing `status` would change nothing that counts. */
export function isSameStatus(
  old: HorizontalPodAutoscalerStatus | undefined,
  status: HorizontalPodAutoscalerStatus,
): boolean {
  const plain = (each: HorizontalPodAutoscalerStatus | undefined): string =>
    JSON.stringify([
      each?.currentReplicas ?? 0,
      each?.desiredReplicas ?? 0,
      each?.lastScaleTime ?? "",
      (each?.currentMetrics ?? []).map(sorted),
      (each?.conditions ?? []).map(sorted),
    ]);
  return plain(old) === plain(status);
}

/** Members in the order of their names, however deep. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  );
}
