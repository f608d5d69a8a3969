import { Deployment, ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import { Pod, ReplicationController } from "@coracle/api/core/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { equalJson } from "@coracle/apimachinery";
import { cacheKeyOf } from "@coracle/client";
import {
  controllerOf,
  defineController,
  done,
  labelMatcher,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { budgetStatus } from "./plan.ts";

/** Keeps the status of every PodDisruptionBudget: how many pods may be evicted now. */
export function createDisruptionController(deps: ControllerDeps): Controller {
  const { client, informers, clock } = deps;
  const budgets = informers.informer(PodDisruptionBudget).lister;
  const pods = informers.informer(Pod).lister;
  const replicaSets = informers.informer(ReplicaSet).lister;
  const deployments = informers.informer(Deployment).lister;
  const statefulSets = informers.informer(StatefulSet).lister;
  const replicationControllers = informers.informer(ReplicationController).lister;

  /** The sizes of all controllers behind the pods, each once; pods without one count nothing. */
  function wanted(matching: readonly Pod[]): number {
    const sizes = new Map<string, number>();
    for (const pod of matching) {
      const { namespace } = pod.metadata;
      const reference = controllerOf(pod);
      if (reference === undefined) continue;
      const { kind, name } = reference;
      if (kind === "ReplicaSet") {
        const set = replicaSets.get(namespace, name);
        const above = set === undefined ? undefined : controllerOf(set);
        const deployment = above?.kind === "Deployment" ? deployments.get(namespace, above.name) : undefined;
        sizes.set(above?.uid ?? reference.uid, deployment?.spec.replicas ?? set?.spec.replicas ?? 0);
      } else if (kind === "StatefulSet")
        sizes.set(reference.uid, statefulSets.get(namespace, name)?.spec.replicas ?? 0);
      else if (kind === "ReplicationController")
        sizes.set(reference.uid, replicationControllers.get(namespace, name)?.spec.replicas ?? 0);
    }
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  const inNamespace = (namespace: string | undefined): readonly string[] => budgets.list(namespace).map(cacheKeyOf);
  const scaled = <
    T extends { readonly metadata: Pod["metadata"]; readonly spec: { readonly replicas?: number | undefined } },
  >(
    object: T,
    old: T | undefined,
  ): readonly string[] =>
    old !== undefined && old.spec.replicas === object.spec.replicas ? [] : inNamespace(object.metadata.namespace);

  return defineController<PodDisruptionBudget>(deps, {
    name: "disruption",
    for: PodDisruptionBudget,
    watches: [
      mapped(Pod, (pod, old) =>
        budgets
          .list(pod.metadata.namespace)
          .filter((budget) => {
            const matches = labelMatcher(budget.spec?.selector);
            return matches(pod.metadata.labels) || (old !== undefined && matches(old.metadata.labels));
          })
          .map(cacheKeyOf),
      ),
      mapped(ReplicaSet, scaled),
      mapped(Deployment, scaled),
      mapped(StatefulSet, scaled),
      mapped(ReplicationController, scaled),
    ],
    workers: 2,
    async reconcile(key, { signal }) {
      const budget = budgets.byKey(key);
      if (budget === undefined || budget.metadata.deletionTimestamp !== undefined) return done;
      const matches = labelMatcher(budget.spec?.selector);
      const matching = pods.list(budget.metadata.namespace).filter((pod) => matches(pod.metadata.labels));
      const { status, recheckMs } = budgetStatus(budget, matching, wanted(matching), clock.now());
      if (!equalJson(status, budget.status))
        await client.update(PodDisruptionBudget, { ...budget, status }, { subresource: "status", signal });
      return requeueAfter(recheckMs);
    },
  });
}
