import type { StatefulSet, StatefulSetStatus } from "@coracle/api/apps/v1";
import type { Pod } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { REVISION_HASH } from "../history/revisions.ts";
import { isAvailable, isFinished, isReady } from "../pods/pod-state.ts";
import { scaledValue } from "../templates/int-or-percent.ts";
import { isInRange, ordinalOf } from "./pod.ts";

export type Step =
  /** Gives a pod the claims that are missing; with `isReached` also its labels, and its claims the right owners. */
  | { readonly action: "settle"; readonly pod: Pod; readonly isReached: boolean }
  | { readonly action: "create"; readonly ordinal: number; readonly revision: "current" | "update" }
  | { readonly action: "delete"; readonly pod: Pod };

export interface Revisions {
  readonly current: string;
  readonly update: string;
}

const isTerminating = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;
const isRunningAndReady = (pod: Pod): boolean => pod.status?.phase === "Running" && isReady(pod);
export const revisionOf = (pod: Pod): string => pod.metadata.labels?.[REVISION_HASH] ?? "";

/**
 * The next steps in phases: first what is wanted, then claims of pods that are not, then these pods, then updates. Should
 * a step fail, the phases behind it are not for now. Ordered sets take one step at a time: up in order, each after the one
 * before is available; down in reverse; updates from the highest ordinal, each after the last one is back. Parallel sets
 * start and stop at once. With `takesSeveral` (the feature MaxUnavailableStatefulSet) updates take as many pods away as the set says.
 */
export function planPhases(
  set: StatefulSet,
  pods: readonly Pod[],
  revisions: Revisions,
  now: Instant,
  takesSeveral = false,
): readonly (readonly Step[])[] {
  const { name = "" } = set.metadata;
  const start = set.spec.ordinals?.start ?? 0;
  const end = start + (set.spec.replicas ?? 1);
  const isOrdered = set.spec.podManagementPolicy !== "Parallel";
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  const byOrdinal = new Map<number, Pod>();
  const condemned: Pod[] = [];
  for (const pod of pods) {
    const ordinal = ordinalOf(name, pod.metadata.name);
    if (ordinal === undefined) continue;
    if (isInRange(set, ordinal)) byOrdinal.set(ordinal, pod);
    else condemned.push(pod);
  }
  const wanted: Step[] = [];
  const claims: Step[] = [];
  const unwanted: Step[] = [];
  const updates: Step[] = [];
  const phases = [wanted, claims, unwanted, updates];
  const isSettled = (pod: Pod): boolean =>
    !isTerminating(pod) && isRunningAndReady(pod) && isAvailable(pod, minReadySeconds, now);

  for (let ordinal = start; ordinal < end; ordinal++) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined) {
      wanted.push({ action: "create", ordinal, revision: revisionForNew(set, ordinal) });
      if (isOrdered) return phases;
    } else if (isFinished(pod)) {
      if (!isTerminating(pod)) wanted.push({ action: "delete", pod });
      if (isOrdered) return phases;
    } else {
      const isReached = !isOrdered || isSettled(pod);
      wanted.push({ action: "settle", pod, isReached });
      if (!isReached) return phases;
    }
  }

  const byOrdinalDown = (a: Pod, b: Pod): number =>
    (ordinalOf(name, b.metadata.name) ?? 0) - (ordinalOf(name, a.metadata.name) ?? 0);
  const downwards = condemned.toSorted(byOrdinalDown);
  // Before they go: their claims may have to go with them.
  for (const pod of downwards) claims.push({ action: "settle", pod, isReached: true });
  // An unhealthy pod halts the way down, so that no quorum is lost on it; only the last unhealthy one may go.
  const lastUnhealthy = downwards.findLast((pod) => !isSettled(pod));
  for (const pod of downwards) {
    if (isOrdered && (isTerminating(pod) || (!isSettled(pod) && pod !== lastUnhealthy))) return phases;
    if (!isTerminating(pod)) unwanted.push({ action: "delete", pod });
    if (isOrdered) return phases;
  }
  const isScaled = unwanted.length === 0 && wanted.every(({ action }) => action === "settle");
  if (!isScaled || set.spec.updateStrategy?.type === "OnDelete") return phases;

  const first = Math.max(start, start + (set.spec.updateStrategy?.rollingUpdate?.partition ?? 0));
  const replicas = end - start;
  const unavailable = replicas - [...byOrdinal.values()].filter(isSettled).length;
  // Several at a time, however those above are.
  const atOnce = takesSeveral ? maxUnavailableOf(set) : undefined;
  let taken = 0;
  for (let ordinal = end - 1; ordinal >= first; ordinal--) {
    const pod = byOrdinal.get(ordinal);
    if (atOnce !== undefined && unavailable + taken >= atOnce) return phases;
    if (pod !== undefined && revisionOf(pod) !== revisions.update && !isTerminating(pod)) {
      updates.push({ action: "delete", pod });
      taken++;
      if (atOnce === undefined) return phases;
    } else if (atOnce === undefined && (pod === undefined || !isSettled(pod))) return phases;
  }
  return phases;
}

/** How many pods of a set an update may take away at a time. */
export function maxUnavailableOf({ spec }: StatefulSet): number {
  const { maxUnavailable = 1 } = spec.updateStrategy?.rollingUpdate ?? {};
  return Math.max(1, scaledValue(maxUnavailable, spec.replicas ?? 1, "down"));
}

/** How many of a set's pods are missing, or not ready for long enough. */
export function unavailableOf(set: StatefulSet, pods: readonly Pod[], now: Instant): number {
  const isThere = (pod: Pod): boolean => {
    const ordinal = ordinalOf(set.metadata.name ?? "", pod.metadata.name);
    return ordinal !== undefined && isInRange(set, ordinal) && !isTerminating(pod) && isRunningAndReady(pod);
  };
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  return (set.spec.replicas ?? 1) - pods.filter((pod) => isThere(pod) && isAvailable(pod, minReadySeconds, now)).length;
}

/** Below the partition pods come back as they were. */
function revisionForNew(set: StatefulSet, ordinal: number): "current" | "update" {
  const start = set.spec.ordinals?.start ?? 0;
  const { type = "RollingUpdate", rollingUpdate } = set.spec.updateStrategy ?? {};
  if (type !== "RollingUpdate") return "update";
  const limit = rollingUpdate === undefined ? (set.status?.currentReplicas ?? 0) : (rollingUpdate.partition ?? 0);
  return ordinal < start + limit ? "current" : "update";
}

/** What to report; a finished update makes the update revision the current one. */
export function statefulStatus(
  set: StatefulSet,
  pods: readonly Pod[],
  revisions: Revisions,
  collisionCount: number | undefined,
  now: Instant,
): StatefulSetStatus {
  const live = pods.filter((pod) => !isTerminating(pod));
  const ready = pods.filter(isRunningAndReady);
  const ofRevision = (revision: string): number => live.filter((pod) => revisionOf(pod) === revision).length;
  const updatedReplicas = ofRevision(revisions.update);
  const isUpdated =
    (set.spec.updateStrategy?.type ?? "RollingUpdate") === "RollingUpdate" &&
    updatedReplicas === pods.length &&
    ready.length === pods.length &&
    updatedReplicas === (set.spec.replicas ?? 1);
  const currentReplicas = isUpdated ? updatedReplicas : ofRevision(revisions.current);
  return {
    replicas: pods.length,
    readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => isAvailable(pod, set.spec.minReadySeconds ?? 0, now)).length,
    ...(currentReplicas === 0 ? {} : { currentReplicas }),
    ...(updatedReplicas === 0 ? {} : { updatedReplicas }),
    currentRevision: isUpdated ? revisions.update : revisions.current,
    updateRevision: revisions.update,
    observedGeneration: set.metadata.generation,
    collisionCount: collisionCount ?? 0,
    ...(set.status?.conditions === undefined ? {} : { conditions: set.status.conditions }),
  };
}
