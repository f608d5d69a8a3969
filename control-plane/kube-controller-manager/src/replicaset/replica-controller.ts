import type { KubeObject, ResourceType } from "@coracle/api";
import type { ReplicaSetStatus } from "@coracle/api/apps/v1";
import { Pod, type PodTemplateSpec } from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import { isNotFound } from "@coracle/apimachinery";
import {
  byController,
  claim,
  controlledBy,
  controllerOf,
  createExpectations,
  defineController,
  done,
  isNamespaceTerminating,
  labelsMatcher,
  matchingOrphans,
  owned,
  requeueAfter,
  slowStart,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { createPod, deletePod, podFromTemplate } from "../pods/pod-control.ts";
import { isFinished, nextAvailabilityMs } from "../pods/pod-state.ts";
import { planReplicas, replicaStatus, sameStatus, type ReplicaFailure, type ReplicaPlan } from "./plan.ts";

/** What a ReplicaSet and a ReplicationController have in common. */
export interface ReplicaKind<T extends KubeObject> {
  readonly name: string;
  readonly type: ResourceType<T>;
  selectorOf(owner: T): LabelSelector | undefined;
  templateOf(owner: T): PodTemplateSpec;
  replicasOf(owner: T): number;
  minReadySecondsOf(owner: T): number;
  statusOf(owner: T): ReplicaSetStatus | undefined;
  withStatus(owner: T, status: ReplicaSetStatus): T;
  readonly workers?: number | undefined;
  /** Told which of an owner's pods are about to be deleted. */
  deleting?(pods: readonly Pod[], chosen: readonly Pod[]): void;
}

/** Keeps as many live pods as an owner asks for, and reports what it sees in `status`. */
export function createReplicaController<T extends KubeObject>(deps: ControllerDeps, kind: ReplicaKind<T>): Controller {
  const { client, informers, clock } = deps;
  const { type } = kind;
  const expectations = createExpectations(clock);
  const owners = informers.informer(type, { indexes: byController }).lister;
  const pods = informers.informer(Pod, { indexes: byController }).lister;

  /** Live pods of all owners under the same controller (the other ReplicaSets of a Deployment). */
  function relatedPods(owner: T): readonly Pod[] {
    const above = controllerOf(owner);
    if (above === undefined) return controlledBy(pods, owner);
    return owners
      .byIndex("controller", above.uid)
      .filter((sibling) => sibling.metadata.namespace === owner.metadata.namespace)
      .flatMap((sibling) => controlledBy(pods, sibling));
  }

  async function carryOut(owner: T, key: string, plan: ReplicaPlan, signal: AbortSignal): Promise<unknown> {
    switch (plan.action) {
      case "none":
        return undefined;
      case "create": {
        expectations.expectCreations(key, plan.count);
        const template = podFromTemplate(type, owner, kind.templateOf(owner));
        const { succeeded, failure } = await slowStart(plan.count, async () => {
          try {
            await createPod(deps, type, owner, template, signal);
          } catch (error) {
            if (!isNamespaceTerminating(error)) throw error;
            expectations.creationObserved(key); // none will come
          }
        });
        for (let i = succeeded; i < plan.count; i++) expectations.creationObserved(key);
        return failure;
      }
      case "delete": {
        expectations.expectDeletions(
          key,
          plan.pods.map((pod) => pod.metadata.uid ?? ""),
        );
        const results = await Promise.allSettled(
          plan.pods.map(async (pod) => {
            try {
              await deletePod(deps, type, owner, pod, signal);
            } catch (error) {
              expectations.deletionObserved(key, pod.metadata.uid ?? "");
              if (!isNotFound(error)) throw error;
            }
          }),
        );
        return results.find((result) => result.status === "rejected")?.reason;
      }
    }
  }

  return defineController<T>(deps, {
    name: kind.name,
    for: type,
    watches: [owned(Pod), matchingOrphans<Pod, T>(Pod, (owner) => kind.selectorOf(owner))],
    expectations,
    workers: kind.workers,
    async reconcile(key, { signal, log }) {
      const owner = owners.byKey(key);
      if (owner === undefined) return done; // deleted: its pods are the garbage collector's business
      // Until our own last creates and deletes are visible in the cache, counting pods would count wrong.
      const mayAct = expectations.satisfied(key) && owner.metadata.deletionTimestamp === undefined;
      const selector = kind.selectorOf(owner);
      const mine = await claim({
        client,
        ownerType: type,
        owner,
        selector,
        type: Pod,
        lister: pods,
        mayAdopt: (pod) => !isFinished(pod),
        signal,
      });
      const now = clock.now();
      const plan: ReplicaPlan = mayAct
        ? planReplicas(kind.replicasOf(owner), mine, relatedPods(owner), now)
        : { action: "none" };
      if (plan.action === "delete") kind.deleting?.(mine, plan.pods);
      if (plan.action !== "none") log.debug("reconciling", { key, plan: plan.action, pods: mine.length });

      const failure = await carryOut(owner, key, plan, signal);
      const told: ReplicaFailure | undefined =
        failure === undefined
          ? undefined
          : {
              reason: plan.action === "create" ? "FailedCreate" : "FailedDelete",
              message: (failure as Error).message,
            };
      const minReadySeconds = kind.minReadySecondsOf(owner);
      const status = replicaStatus(
        {
          generation: owner.metadata.generation,
          minReadySeconds,
          matchesTemplate: labelsMatcher(kind.templateOf(owner).metadata?.labels ?? {}),
          previous: kind.statusOf(owner),
        },
        mine,
        told,
        now,
      );
      if (!sameStatus(kind.statusOf(owner), status))
        await client.update(type, kind.withStatus(owner, status), {
          subresource: "status",
          metadataOnly: true,
          signal,
        });
      if (failure !== undefined) throw failure;
      return requeueAfter(nextAvailabilityMs(mine, minReadySeconds, now));
    },
  });
}
