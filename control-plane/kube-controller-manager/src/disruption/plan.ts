import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from "@coracle/api/policy/v1";
import type { Pod } from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import type { Instant } from "@coracle/base";
import { isActive, isFinished, isReady } from "../pods/pod-state.ts";
import { scaledValue } from "../templates/int-or-percent.ts";
import { instantOf, timestamp } from "../time/timestamp.ts";

/** How long an eviction that was granted counts although the pod is still there. */
const DISRUPTION_MS = 120_000;

/** What the budget's status says, given the pods it selects and how many their controllers want. */
export function budgetStatus(
  budget: PodDisruptionBudget,
  pods: readonly Pod[],
  wantedByControllers: number,
  now: Instant,
): {
  readonly status: PodDisruptionBudgetStatus;
  readonly recheckMs: number | undefined;
  /** Granted, and not deleted in time. */
  readonly overdue: readonly Pod[];
} {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  const counted = pods.filter((pod) => !isFinished(pod));
  let expectedPods = wantedByControllers;
  let desiredHealthy: number;
  if (maxUnavailable !== undefined)
    desiredHealthy = Math.max(0, expectedPods - scaledValue(maxUnavailable, expectedPods, "up"));
  else if (typeof minAvailable === "string" && minAvailable.endsWith("%"))
    desiredHealthy = scaledValue(minAvailable, expectedPods, "up");
  else {
    expectedPods = pods.length;
    desiredHealthy = scaledValue(minAvailable, expectedPods, "up");
  }
  const disruptedPods: Record<string, string> = {};
  const overdue: Pod[] = [];
  let recheckMs: number | undefined;
  for (const pod of pods) {
    const { name = "" } = pod.metadata;
    const at = budget.status?.disruptedPods?.[name];
    if (at === undefined || pod.metadata.deletionTimestamp !== undefined) continue;
    const leftMs = (instantOf(at) ?? 0) + DISRUPTION_MS - now;
    if (leftMs < 0) {
      overdue.push(pod);
      continue;
    }
    disruptedPods[name] = at;
    recheckMs = Math.min(recheckMs ?? leftMs, leftMs);
  }
  const currentHealthy = counted.filter(
    (pod) => isActive(pod) && isReady(pod) && disruptedPods[pod.metadata.name ?? ""] === undefined,
  ).length;
  const disruptionsAllowed = expectedPods <= 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy);
  const reason = disruptionsAllowed > 0 ? "SufficientPods" : "InsufficientPods";
  const verdict = disruptionsAllowed > 0 ? "True" : "False";
  const before = budget.status?.conditions?.find((condition) => condition.type === "DisruptionAllowed");
  const { generation } = budget.metadata;
  const condition = {
    type: "DisruptionAllowed",
    status: verdict,
    reason,
    message: "",
    observedGeneration: generation,
    lastTransitionTime: before?.status === verdict ? before.lastTransitionTime : timestamp(now),
  };
  return {
    status: {
      currentHealthy,
      desiredHealthy,
      expectedPods,
      disruptionsAllowed,
      observedGeneration: generation,
      ...(Object.keys(disruptedPods).length === 0 ? {} : { disruptedPods }),
      conditions: [
        ...(budget.status?.conditions ?? []).filter((each) => each.type !== "DisruptionAllowed"),
        condition as NonNullable<PodDisruptionBudgetStatus["conditions"]>[number],
      ],
    },
    recheckMs,
    overdue,
  };
}

/** Whether the budget is about what controllers want, and not just about the pods there are. */
export function countsControllers({ spec }: PodDisruptionBudget): boolean {
  return spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === "string";
}

/** What the status says when it cannot be counted: nobody may be evicted, and why. */
export function failedStatus(
  { status }: PodDisruptionBudget,
  { message }: Error,
  now: Instant,
): PodDisruptionBudgetStatus {
  const before = status?.conditions?.find((each) => each.type === "DisruptionAllowed");
  const condition = {
    type: "DisruptionAllowed",
    status: "False",
    reason: "SyncFailed",
    message,
    observedGeneration: status?.observedGeneration,
    lastTransitionTime: before?.status === "False" ? before.lastTransitionTime : timestamp(now),
  };
  return {
    currentHealthy: 0,
    desiredHealthy: 0,
    expectedPods: 0,
    ...status,
    disruptionsAllowed: 0,
    conditions: [...(status?.conditions ?? []).filter((each) => each.type !== "DisruptionAllowed"), condition],
  };
}

/** How long a pod may be said to be disrupted without being deleted. */
const STALE_MS = 120_000;

/** Milliseconds until what is said of the pod's disruption is out of date; undefined: nothing is said, or it is true. */
export function msUntilStale({ metadata, status }: Pod, now: Instant): number | undefined {
  const target = status?.conditions?.find((each) => each.type === "DisruptionTarget");
  const isOver = status?.phase === "Succeeded" || status?.phase === "Failed";
  if (metadata.deletionTimestamp !== undefined || isOver) return undefined;
  if (target?.status !== "True" || target.reason === "TerminationByKubelet") return undefined;
  return Math.max(0, (instantOf(target.lastTransitionTime) ?? 0) + STALE_MS - now);
}

/** A selector as upstream's messages show it. */
export function describeSelector(selector: LabelSelector | undefined): string {
  if (selector === undefined) return "nil";
  const labels = Object.entries(selector.matchLabels ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}: ${value},`);
  const expressions = (selector.matchExpressions ?? []).map(
    ({ key, operator, values = [] }) =>
      `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(" ")}],},`,
  );
  return `&LabelSelector{MatchLabels:map[string]string{${labels.join("")}},MatchExpressions:[]LabelSelectorRequirement{${expressions.join("")}},}`;
}
