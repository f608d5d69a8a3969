import { Deployment, ReplicaSet } from "@coracle/api/apps/v1";
import { Pod } from "@coracle/api/core/v1";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import {
  byController,
  claim,
  controlledBy,
  controllerOf,
  defineController,
  done,
  isEmptySelector,
  mapped,
  matchingOrphans,
  owned,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { isActive, isFinished } from "../pods/pod-state.ts";
import { isScalingEvent, msUntilDeadline, planNewSet, planOldSets, planScale } from "./plan.ts";
import { isRolling, replicasOf } from "./replica-sets.ts";
import { rollBack, rollbackTarget } from "./rollback.ts";
import { Rollout } from "./rollout.ts";
import { conditionOf, hasProgressDeadline, isComplete } from "./status.ts";

/** Moves every Deployment's pods to its present template, through one ReplicaSet per template. */
export function createDeploymentController(deps: ControllerDeps, workers?: number): Controller {
  const { client, informers, clock, recorder } = deps;
  const deployments = informers.informer(Deployment).lister;
  const sets = informers.informer(ReplicaSet, { indexes: byController }).lister;
  const pods = informers.informer(Pod, { indexes: byController }).lister;

  /** A pod of a Recreate Deployment ended: the next ones may now be started. */
  function recreatable(pod: Pod): readonly string[] {
    const setReference = controllerOf(pod);
    if (isActive(pod) || setReference?.kind !== "ReplicaSet") return [];
    const set = sets.get(pod.metadata.namespace, setReference.name);
    const reference = set === undefined ? undefined : controllerOf(set);
    const deployment = reference && deployments.get(pod.metadata.namespace, reference.name);
    return deployment === undefined || isRolling(deployment) ? [] : [cacheKeyOf(deployment)];
  }

  function oldPodsAreRunning(rollout: Rollout): boolean {
    return rollout.oldSets.some(
      (set) => (set.status?.replicas ?? 0) > 0 || controlledBy(pods, set).some((pod) => !isFinished(pod)),
    );
  }

  async function rollingUpdate(rollout: Rollout): Promise<void> {
    await rollout.syncRevision(true);
    const { deployment, newSet } = rollout;
    if (newSet === undefined) return;
    if (!(await rollout.scale(planNewSet(deployment, newSet, rollout.sets))))
      if (!(await rollout.scale(planOldSets(deployment, rollout.newSet ?? newSet, rollout.oldSets))))
        await rollout.cleanUp();
    await rollout.writeStatus({ progress: true });
  }

  async function recreate(rollout: Rollout): Promise<void> {
    await rollout.syncRevision(false);
    const active = rollout.oldSets.filter((set) => replicasOf(set) > 0);
    const stopped = await rollout.scale(active.map((set) => ({ set, replicas: 0 })));
    if (!stopped && !oldPodsAreRunning(rollout)) {
      if (rollout.newSet === undefined) await rollout.syncRevision(true);
      const { newSet } = rollout;
      if (newSet !== undefined) await rollout.scale(planNewSet(rollout.deployment, newSet, rollout.sets));
      await rollout.cleanUp();
    }
    await rollout.writeStatus({ progress: true });
  }

  return defineController<Deployment>(deps, {
    name: "deployment",
    for: Deployment,
    watches: [
      owned(ReplicaSet),
      matchingOrphans<ReplicaSet, Deployment>(ReplicaSet, (deployment) => deployment.spec.selector),
      mapped(Pod, recreatable),
    ],
    workers,
    async reconcile(key, { signal, log }) {
      const deployment = deployments.byKey(key);
      if (deployment === undefined) return done; // deleted: its sets are the garbage collector's business
      const { selector } = deployment.spec;
      if (isEmptySelector(selector)) {
        const text = "This deployment is selecting all pods. A non-empty selector is required.";
        recorder.event(referenceTo(Deployment, deployment), "Warning", "SelectingAll", text);
        return done;
      }
      const owner = { client, ownerType: Deployment, owner: deployment, selector, signal };
      const mine = await claim({ ...owner, type: ReplicaSet, lister: sets });
      const rollout = new Rollout(deps, deployment, mine, signal);
      const isPaused = deployment.spec.paused === true;
      log.debug("reconciling", { key, sets: mine.length, paused: isPaused });

      if (deployment.metadata.deletionTimestamp !== undefined) {
        await rollout.writeStatus();
        return done;
      }
      notePause(rollout, isPaused);
      const target = isPaused ? undefined : rollbackTarget(deployment);
      if (target !== undefined) {
        await rollout.syncRevision(true);
        await rollBack(deps, rollout.deployment, rollout.sets, target, signal);
        return done; // the change brings us back
      }
      if (isPaused || isScalingEvent(deployment, rollout.sets)) {
        await rollout.syncRevision(false);
        await rollout.scale(planScale(rollout.deployment, rollout.newSet, rollout.oldSets));
        // What it is to be rolled back to is needed still.
        if (isPaused && rollbackTarget(deployment) === undefined) await rollout.cleanUp();
        await rollout.writeStatus();
      } else await (isRolling(deployment) ? rollingUpdate(rollout) : recreate(rollout));
      return requeueAfter(nextDeadlineCheckMs(rollout.deployment, clock.now()));
    },
  });
}

/** Pausing and resuming is told in the Progressing condition, so that the deadline does not count meanwhile. */
function notePause(rollout: Rollout, isPaused: boolean): void {
  if (!hasProgressDeadline(rollout.deployment)) return;
  const current = conditionOf(rollout.deployment.status, "Progressing");
  if (current?.reason === "ProgressDeadlineExceeded") return;
  const wasPaused = current?.reason === "DeploymentPaused";
  if (isPaused && !wasPaused) rollout.condition("Unknown", "DeploymentPaused", "Deployment is paused");
  else if (!isPaused && wasPaused) rollout.condition("Unknown", "DeploymentResumed", "Deployment is resumed");
}

/** When to look whether the rollout is stuck; undefined: it is complete, paused, or known to be stuck. */
function nextDeadlineCheckMs(deployment: Deployment, now: number): number | undefined {
  const condition = conditionOf(deployment.status, "Progressing");
  if (condition === undefined || !hasProgressDeadline(deployment) || deployment.spec.paused === true) return undefined;
  if (isComplete(deployment, deployment.status) || condition.reason === "ProgressDeadlineExceeded") return undefined;
  return Math.max(0, msUntilDeadline(deployment, condition.lastUpdateTime, now)) + 1000;
}
