import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from "@coracle/api/apps/v1";
import type { Instant } from "@coracle/base";
import { timestamp } from "../time/timestamp.ts";
import { fenceposts, msUntilDeadline } from "./plan.ts";
import { availableOf, replicasOf, sum } from "./replica-sets.ts";

type Conditions = readonly DeploymentCondition[];

export const conditionOf = (status: DeploymentStatus | undefined, type: string): DeploymentCondition | undefined =>
  status?.conditions?.find((condition) => condition.type === type);

/** True when a progress deadline is set at all. */
export function hasProgressDeadline(deployment: Deployment): boolean {
  const seconds = deployment.spec.progressDeadlineSeconds;
  return seconds !== undefined && seconds !== 2_147_483_647;
}

/** `conditions` with `condition` in it; nothing changes when status and reason are the same. */
export function setCondition(
  conditions: Conditions,
  condition: Pick<DeploymentCondition, "type" | "status" | "reason" | "message">,
  now: Instant,
  refresh = false,
): Conditions {
  const current = conditions.find((each) => each.type === condition.type);
  if (!refresh && current?.status === condition.status && current.reason === condition.reason) return conditions;
  const at = timestamp(now);
  const lastTransitionTime = current?.status === condition.status ? current.lastTransitionTime : at;
  return [
    ...conditions.filter((each) => each.type !== condition.type),
    { ...condition, lastUpdateTime: at, lastTransitionTime },
  ];
}

/** Every wanted pod is new and available, and no old one is left. */
export function isComplete(deployment: Deployment, status: DeploymentStatus | undefined): boolean {
  const wanted = replicasOf(deployment);
  return (
    (status?.updatedReplicas ?? 0) === wanted &&
    (status?.replicas ?? 0) === wanted &&
    (status?.availableReplicas ?? 0) === wanted &&
    (status?.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

function isProgressing(old: DeploymentStatus, now: DeploymentStatus): boolean {
  const outdated = (status: DeploymentStatus): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (now.updatedReplicas ?? 0) > (old.updatedReplicas ?? 0) ||
    outdated(now) < outdated(old) ||
    (now.readyReplicas ?? 0) > (old.readyReplicas ?? 0) ||
    (now.availableReplicas ?? 0) > (old.availableReplicas ?? 0)
  );
}

function isTimedOut(deployment: Deployment, status: DeploymentStatus, now: Instant): boolean {
  const condition = conditionOf(status, "Progressing");
  if (!hasProgressDeadline(deployment) || condition === undefined) return false;
  if (condition.reason === "NewReplicaSetAvailable") return false;
  if (condition.reason === "ProgressDeadlineExceeded") return true;
  return msUntilDeadline(deployment, condition.lastUpdateTime, now) < 0;
}

/** Counts over all sets, and whether enough pods are available. `conditions` are those so far. */
export function countStatus(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  all: readonly ReplicaSet[],
  collisionCount: number | undefined,
  conditions: Conditions,
  now: Instant,
): DeploymentStatus {
  const availableReplicas = sum(all, availableOf);
  const enough = availableReplicas >= replicasOf(deployment) - fenceposts(deployment).maxUnavailable;
  return {
    observedGeneration: deployment.metadata.generation,
    replicas: sum(all, (set) => set.status?.replicas ?? 0),
    updatedReplicas: newSet?.status?.replicas ?? 0,
    readyReplicas: sum(all, (set) => set.status?.readyReplicas ?? 0),
    availableReplicas,
    unavailableReplicas: Math.max(0, sum(all, replicasOf) - availableReplicas),
    terminatingReplicas: sum(all, (set) => set.status?.terminatingReplicas ?? 0),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    conditions: setCondition(
      conditions,
      enough
        ? {
            type: "Available",
            status: "True",
            reason: "MinimumReplicasAvailable",
            message: "Deployment has minimum availability.",
          }
        : {
            type: "Available",
            status: "False",
            reason: "MinimumReplicasUnavailable",
            message: "Deployment does not have minimum availability.",
          },
      now,
    ),
  };
}

/** `status` with what is to be said about the rollout's progress and failures. */
export function withProgress(
  deployment: Deployment,
  status: DeploymentStatus,
  newSet: ReplicaSet | undefined,
  all: readonly ReplicaSet[],
  now: Instant,
): DeploymentStatus {
  let conditions: Conditions = status.conditions ?? [];
  if (!hasProgressDeadline(deployment)) conditions = conditions.filter((each) => each.type !== "Progressing");
  const current = conditions.find((each) => each.type === "Progressing");
  const wasComplete = status.replicas === status.updatedReplicas && current?.reason === "NewReplicaSetAvailable";
  if (hasProgressDeadline(deployment) && !wasComplete) {
    const subject =
      newSet === undefined ? `Deployment "${deployment.metadata.name}"` : `ReplicaSet "${newSet.metadata.name}"`;
    const progress = (status: string, reason: string, text: string) => ({
      type: "Progressing",
      status,
      reason,
      message: `${subject} ${text}`,
    });
    if (isComplete(deployment, status)) {
      const complete = progress("True", "NewReplicaSetAvailable", "has successfully progressed.");
      conditions = setCondition(conditions, complete, now);
    } else if (isProgressing(deployment.status ?? {}, status)) {
      // The time of the last progress is what the deadline counts from, so it is renewed.
      conditions = setCondition(conditions, progress("True", "ReplicaSetUpdated", "is progressing."), now, true);
    } else if (isTimedOut(deployment, status, now)) {
      const late = progress("False", "ProgressDeadlineExceeded", "has timed out progressing.");
      conditions = setCondition(conditions, late, now);
    }
  }
  const failure = replicaFailure(newSet, all);
  if (failure === undefined) conditions = conditions.filter((each) => each.type !== "ReplicaFailure");
  else conditions = setCondition(conditions, failure, now);
  return { ...status, conditions };
}

function replicaFailure(
  newSet: ReplicaSet | undefined,
  all: readonly ReplicaSet[],
): Pick<DeploymentCondition, "type" | "status" | "reason" | "message"> | undefined {
  for (const set of newSet === undefined ? all : [newSet, ...all]) {
    const failure = set.status?.conditions?.find((condition) => condition.type === "ReplicaFailure");
    if (failure !== undefined)
      return { type: failure.type, status: failure.status, reason: failure.reason, message: failure.message };
  }
  return undefined;
}

/** Equal as far as a reader can tell. */
export function sameDeploymentStatus(a: DeploymentStatus | undefined, b: DeploymentStatus): boolean {
  const key = (status: DeploymentStatus | undefined): string =>
    JSON.stringify([
      status?.observedGeneration ?? 0,
      status?.replicas ?? 0,
      status?.updatedReplicas ?? 0,
      status?.readyReplicas ?? 0,
      status?.availableReplicas ?? 0,
      status?.unavailableReplicas ?? 0,
      status?.terminatingReplicas ?? 0,
      status?.collisionCount ?? 0,
      (status?.conditions ?? [])
        .map((c) => [c.type, c.status, c.reason, c.message, c.lastUpdateTime, c.lastTransitionTime])
        .toSorted((x, y) => (String(x[0]) < String(y[0]) ? -1 : 1)),
    ]);
  return key(a) === key(b);
}
