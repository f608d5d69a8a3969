import type { ReplicaSetCondition, ReplicaSetStatus } from "@coracle/api/apps/v1";
import type { Pod } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import type { LabelMatcher } from "@coracle/controller-kit";
import { isActive, isAvailable, isReady, isTerminating, podCondition } from "../pods/pod-state.ts";
import { instantOf, timestamp } from "../time/timestamp.ts";

export type ReplicaPlan =
  | { readonly action: "none" }
  | { readonly action: "create"; readonly count: number }
  | { readonly action: "delete"; readonly pods: readonly Pod[] };

/** Changes in one pass at most. */
export const BURST = 500;

/**
 * How to come from `pods` to `replicas` active ones. `related` are all active pods of the owner's siblings (the
 * ReplicaSets of one Deployment): pods that share a node with many of them go first.
 */
export function planReplicas(
  replicas: number,
  pods: readonly Pod[],
  related: readonly Pod[],
  now: Instant,
): ReplicaPlan {
  const active = pods.filter(isActive);
  const surplus = active.length - replicas;
  if (surplus === 0) return { action: "none" };
  if (surplus < 0) return { action: "create", count: Math.min(-surplus, BURST) };
  const count = Math.min(surplus, BURST);
  if (count === active.length) return { action: "delete", pods: active };
  const perNode = new Map<string, number>();
  for (const pod of related) {
    const { nodeName } = pod.spec;
    if (nodeName !== undefined && isActive(pod)) perNode.set(nodeName, (perNode.get(nodeName) ?? 0) + 1);
  }
  return { action: "delete", pods: active.toSorted(byDeletionPriority(perNode, now)).slice(0, count) };
}

const PHASE_ORDER: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

/** The documented order in which pods of a controller go; `perNode`: how many there are on each node. */
export function byDeletionPriority(perNode: ReadonlyMap<string, number>, now: Instant): (a: Pod, b: Pod) => number {
  const rank = (pod: Pod): number => perNode.get(pod.spec.nodeName ?? "") ?? 0;
  return (a, b) =>
    Number(hasNode(a)) - Number(hasNode(b)) ||
    phase(a) - phase(b) ||
    Number(isReady(a)) - Number(isReady(b)) ||
    deletionCost(a) - deletionCost(b) ||
    rank(b) - rank(a) ||
    byYouth(readyAt(a), readyAt(b), a, b, now) ||
    restarts(b) - restarts(a) ||
    byYouth(instantOf(a.metadata.creationTimestamp), instantOf(b.metadata.creationTimestamp), a, b, now);
}

const hasNode = (pod: Pod): boolean => (pod.spec.nodeName ?? "") !== "";
const phase = (pod: Pod): number => PHASE_ORDER[pod.status?.phase ?? "Pending"] ?? 0;
const deletionCost = (pod: Pod): number => {
  const cost = pod.metadata.annotations?.["controller.kubernetes.io/pod-deletion-cost"];
  return cost !== undefined && /^(0|[-+]?[1-9]\d*)$/.test(cost) ? Number(cost) : 0;
};
const readyAt = (pod: Pod): Instant | undefined =>
  isReady(pod) ? instantOf(podCondition(pod, "Ready")?.lastTransitionTime) : undefined;
const restarts = (pod: Pod): number =>
  Math.max(0, ...(pod.status?.containerStatuses ?? []).map((container) => container.restartCount));

/** Younger first, by order of magnitude, so that equals in age are chosen evenly (by uid). */
function byYouth(at: Instant | undefined, bt: Instant | undefined, a: Pod, b: Pod, now: Instant): number {
  if (at === bt) return 0;
  if (at === undefined) return -1;
  if (bt === undefined) return 1;
  const magnitude = (instant: Instant): number => Math.floor(Math.log2(Math.max(1, (now - instant) * 1e6)));
  const difference = magnitude(at) - magnitude(bt);
  if (difference !== 0) return difference;
  const [left = "", right = ""] = [a.metadata.uid, b.metadata.uid];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** How old the chosen pods that are ready are, in whole multiples of the age of the youngest ready one. */
export function deletionAgeRatios(pods: readonly Pod[], chosen: readonly Pod[], now: Instant): readonly number[] {
  const bornAt = (pod: Pod): Instant => instantOf(pod.metadata.creationTimestamp) ?? 0;
  const youngestMs = Math.max(1, now - Math.max(0, ...pods.filter((pod) => isActive(pod) && isReady(pod)).map(bornAt)));
  return chosen.filter(isReady).map((pod) => Math.floor((now - bornAt(pod)) / youngestMs));
}

/** What a failed pass was doing, for the ReplicaFailure condition. */
export interface ReplicaFailure {
  readonly reason: "FailedCreate" | "FailedDelete";
  readonly message: string;
}

export interface StatusInput {
  readonly generation: number | undefined;
  readonly minReadySeconds: number;
  readonly matchesTemplate: LabelMatcher;
  readonly previous: ReplicaSetStatus | undefined;
}

/** What to report: counts, and whether the last pass failed. */
export function replicaStatus(
  input: StatusInput,
  pods: readonly Pod[],
  failure: ReplicaFailure | undefined,
  now: Instant,
): ReplicaSetStatus {
  const active = pods.filter(isActive);
  const conditions = failureConditions(input.previous?.conditions ?? [], failure, now);
  return {
    replicas: active.length,
    fullyLabeledReplicas: active.filter((pod) => input.matchesTemplate(pod.metadata.labels)).length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter((pod) => isAvailable(pod, input.minReadySeconds, now)).length,
    terminatingReplicas: pods.filter(isTerminating).length,
    observedGeneration: input.generation,
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}

function failureConditions(
  conditions: readonly ReplicaSetCondition[],
  failure: ReplicaFailure | undefined,
  now: Instant,
): readonly ReplicaSetCondition[] {
  const current = conditions.find((condition) => condition.type === "ReplicaFailure");
  if ((current === undefined) === (failure === undefined)) return conditions;
  const others = conditions.filter((condition) => condition.type !== "ReplicaFailure");
  if (failure === undefined) return others;
  return [...others, { type: "ReplicaFailure", status: "True", lastTransitionTime: timestamp(now), ...failure }];
}

/** Equal as far as a reader can tell: a zero and an absent count are the same. */
export function sameStatus(a: ReplicaSetStatus | undefined, b: ReplicaSetStatus): boolean {
  return (
    (a?.replicas ?? 0) === b.replicas &&
    (a?.fullyLabeledReplicas ?? 0) === (b.fullyLabeledReplicas ?? 0) &&
    (a?.readyReplicas ?? 0) === (b.readyReplicas ?? 0) &&
    (a?.availableReplicas ?? 0) === (b.availableReplicas ?? 0) &&
    (a?.terminatingReplicas ?? 0) === (b.terminatingReplicas ?? 0) &&
    a?.observedGeneration === b.observedGeneration &&
    JSON.stringify(a?.conditions ?? []) === JSON.stringify(b.conditions ?? [])
  );
}
