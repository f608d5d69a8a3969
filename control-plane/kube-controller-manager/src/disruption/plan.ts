import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from "@coracle/api/policy/v1";
import type { Pod } from "@coracle/api/core/v1";
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
): { readonly status: PodDisruptionBudgetStatus; readonly recheckMs: number | undefined } {
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
  let recheckMs: number | undefined;
  for (const pod of counted) {
    const { name = "" } = pod.metadata;
    const at = budget.status?.disruptedPods?.[name];
    if (at === undefined || pod.metadata.deletionTimestamp !== undefined) continue;
    const leftMs = (instantOf(at) ?? 0) + DISRUPTION_MS - now;
    if (leftMs <= 0) continue;
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
  };
}
