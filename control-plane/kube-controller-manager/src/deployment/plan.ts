import type { Deployment, ReplicaSet } from "@coracle/api/apps/v1";
import { scaledValue } from "../templates/int-or-percent.ts";
import { byAge, instantOf } from "../time/timestamp.ts";
import { availableOf, DESIRED_REPLICAS, isRolling, MAX_REPLICAS, replicasOf, sum } from "./replica-sets.ts";

/** One set to be given another size. */
export interface Scaling {
  readonly set: ReplicaSet;
  readonly replicas: number;
}

/** How many pods more and how many available ones less than wanted there may be. Never both 0. */
export function fenceposts(deployment: Deployment): { readonly maxSurge: number; readonly maxUnavailable: number } {
  const replicas = replicasOf(deployment);
  if (!isRolling(deployment)) return { maxSurge: 0, maxUnavailable: 0 };
  const { maxSurge: surge = "25%", maxUnavailable: unavailable = "25%" } =
    deployment.spec.strategy?.rollingUpdate ?? {};
  const maxSurge = scaledValue(surge, replicas, "up");
  const maxUnavailable = scaledValue(unavailable, replicas, "down");
  return { maxSurge, maxUnavailable: maxSurge === 0 && maxUnavailable === 0 ? 1 : Math.min(maxUnavailable, replicas) };
}

/** The size that the new set may have now. */
export function newSetSize(deployment: Deployment, newSet: ReplicaSet | undefined, all: readonly ReplicaSet[]): number {
  const wanted = replicasOf(deployment);
  if (!isRolling(deployment)) return wanted;
  // One that was just made smaller may still have its pods.
  const current = sum(all, (set) => Math.max(replicasOf(set), set.status?.replicas ?? 0));
  const limit = wanted + fenceposts(deployment).maxSurge;
  const present = replicasOf(newSet);
  if (newSet === undefined) return Math.max(0, Math.min(limit - current, wanted));
  if (present >= wanted) return wanted;
  if (current >= limit) return present;
  return present + Math.min(limit - current, wanted - present);
}

/** The new set gets its size, if it has another one. */
export function planNewSet(deployment: Deployment, newSet: ReplicaSet, all: readonly ReplicaSet[]): readonly Scaling[] {
  const replicas = newSetSize(deployment, newSet, all);
  return replicas === replicasOf(newSet) ? [] : [{ set: newSet, replicas }];
}

/** Which old sets shrink in this pass of a rolling update: pods that are not available first, then as many as the new set stands in for. */
export function planOldSets(
  deployment: Deployment,
  newSet: ReplicaSet,
  old: readonly ReplicaSet[],
): readonly Scaling[] {
  const active = old.filter((set) => replicasOf(set) > 0);
  if (active.length === 0) return [];
  const minAvailable = replicasOf(deployment) - fenceposts(deployment).maxUnavailable;
  const total = sum([...old, newSet], replicasOf);
  const newUnavailable = replicasOf(newSet) - availableOf(newSet);
  let unhealthyBudget = total - minAvailable - newUnavailable;
  if (unhealthyBudget <= 0) return [];

  const sizes = new Map<ReplicaSet, number>();
  const byCreation = active.toSorted(byAge);
  for (const set of byCreation) {
    const size = replicasOf(set);
    const drop = Math.max(0, Math.min(unhealthyBudget, size - availableOf(set)));
    unhealthyBudget -= drop;
    sizes.set(set, size - drop);
  }
  // A set that was just made smaller may still report what it is about to lose.
  const lasting = (set: ReplicaSet): number => Math.min(availableOf(set), replicasOf(set));
  let healthyBudget = sum([...old, newSet], lasting) - minAvailable;
  for (const set of byCreation) {
    if (healthyBudget <= 0) break;
    const size = sizes.get(set) ?? 0;
    const drop = Math.min(size, healthyBudget);
    healthyBudget -= drop;
    sizes.set(set, size - drop);
  }
  return [...sizes].filter(([set, size]) => size !== replicasOf(set)).map(([set, replicas]) => ({ set, replicas }));
}

/** True when the Deployment was resized since its sets were last told so. */
export function isScalingEvent(deployment: Deployment, all: readonly ReplicaSet[]): boolean {
  return all.some((set) => {
    const told = set.metadata.annotations?.[DESIRED_REPLICAS];
    return replicasOf(set) > 0 && told !== undefined && Number(told) !== replicasOf(deployment);
  });
}

/**
 * Spreads a new size over the sets: all to the only active one; with several in the middle of a rollout, in
 * proportion to their sizes, so that the risk stays as it was.
 */
export function planScale(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): readonly Scaling[] {
  const wanted = replicasOf(deployment);
  const all = newSet === undefined ? old : [...old, newSet];
  const active = all.filter((set) => replicasOf(set) > 0);
  if (active.length <= 1) {
    const only = active[0] ?? newSet ?? old.toSorted(byAge).at(-1);
    // One that has the size by other hands still has to be told, or resizing would go on for ever.
    const isToBeTold = only !== undefined && (replicasOf(only) !== wanted || isScalingEvent(deployment, [only]));
    return isToBeTold ? [{ set: only, replicas: wanted }] : [];
  }
  if (newSet !== undefined && isSaturated(deployment, newSet))
    return old.filter((set) => replicasOf(set) > 0).map((set) => ({ set, replicas: 0 }));
  if (!isRolling(deployment)) return [];

  const allowed = wanted > 0 ? wanted + fenceposts(deployment).maxSurge : 0;
  const toAdd = allowed - sum(active, replicasOf);
  const bySize = (a: ReplicaSet, b: ReplicaSet): number =>
    replicasOf(b) - replicasOf(a) || (toAdd > 0 ? byAge(b, a) : byAge(a, b));
  const sizes = new Map<ReplicaSet, number>();
  let added = 0;
  const ordered = active.toSorted(bySize);
  for (const set of ordered) {
    const share = toAdd === 0 ? 0 : proportion(set, deployment, toAdd, added);
    added += share;
    sizes.set(set, replicasOf(set) + share);
  }
  const [largest] = ordered;
  if (largest !== undefined && toAdd !== 0) sizes.set(largest, Math.max(0, (sizes.get(largest) ?? 0) + toAdd - added));
  return [...sizes].map(([set, replicas]) => ({ set, replicas }));
}

/** All of the wanted pods are the new set's, and available. */
function isSaturated(deployment: Deployment, set: ReplicaSet): boolean {
  const told = Number(set.metadata.annotations?.[DESIRED_REPLICAS]);
  const wanted = replicasOf(deployment);
  return replicasOf(set) === wanted && told === wanted && availableOf(set) === wanted;
}

function proportion(set: ReplicaSet, deployment: Deployment, toAdd: number, added: number): number {
  const size = replicasOf(set);
  const left = toAdd - added;
  if (size === 0 || left === 0) return 0;
  const share = fraction(set, deployment);
  return toAdd > 0 ? Math.min(share, left) : Math.max(share, left);
}

/** What the set would gain or lose if it kept its part of the whole. */
function fraction(set: ReplicaSet, deployment: Deployment): number {
  const size = replicasOf(set);
  const wanted = replicasOf(deployment);
  if (wanted === 0) return -size;
  const told = Number(set.metadata.annotations?.[MAX_REPLICAS] ?? "0");
  const before = told > 0 ? told : (deployment.status?.replicas ?? 0);
  if (before === 0) return 0;
  return Math.round((size * (wanted + fenceposts(deployment).maxSurge)) / before) - size;
}

/** Old sets beyond the history limit that nothing uses any more, oldest revision first. */
export function surplusHistory(
  deployment: Deployment,
  old: readonly ReplicaSet[],
  revisionOf: (set: ReplicaSet) => bigint,
): readonly ReplicaSet[] {
  const limit = deployment.spec.revisionHistoryLimit;
  if (limit === undefined || limit >= 2_147_483_647) return [];
  const alive = old.filter((set) => set.metadata.deletionTimestamp === undefined);
  const surplus = alive.length - limit;
  if (surplus <= 0) return [];
  return alive
    .toSorted((a, b) => Number(revisionOf(a) - revisionOf(b)))
    .slice(0, surplus)
    .filter(
      (set) =>
        (set.status?.replicas ?? 0) === 0 &&
        replicasOf(set) === 0 &&
        (set.metadata.generation ?? 0) <= (set.status?.observedGeneration ?? 0),
    );
}

/** Milliseconds until the rollout counts as stuck. */
export function msUntilDeadline(deployment: Deployment, lastUpdateTime: string | undefined, now: number): number {
  const since = instantOf(lastUpdateTime) ?? now;
  return since + (deployment.spec.progressDeadlineSeconds ?? 0) * 1000 - now;
}
