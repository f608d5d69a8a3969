import type { KubeObject } from "@coracle/api";
import { Deployment, ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import { Pod, ReplicationController } from "@coracle/api/core/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { equalJson, isConflict } from "@coracle/apimachinery";
import { isAbort } from "@coracle/base";
import { cacheKeyOf, referenceTo } from "@coracle/client";
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
import { budgetStatus, countsControllers, describeSelector, failedStatus } from "./plan.ts";
import { createScaleFinder } from "./scales.ts";
import { createStaleDisruptionController } from "./stale-targets.ts";

/** Keeps the status of every PodDisruptionBudget: how many pods may be evicted now. */
export function createDisruptionController(deps: ControllerDeps): Controller {
  const { client, informers, clock, recorder } = deps;
  const budgets = informers.informer(PodDisruptionBudget).lister;
  const pods = informers.informer(Pod).lister;
  const findScale = createScaleFinder(deps);

  const event = (budget: PodDisruptionBudget, type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event(referenceTo(PodDisruptionBudget, budget), type, reason, message);

  /** The sizes of all controllers behind the pods, each once; pods without one count nothing. */
  async function wanted(matching: readonly Pod[], signal: AbortSignal): Promise<{ total: number; unmanaged: number }> {
    const sizes = new Map<string, number>();
    const asked = new Set<string>();
    let unmanaged = 0;
    for (const pod of matching) {
      const reference = controllerOf(pod);
      if (reference === undefined) {
        unmanaged++;
        continue;
      }
      if (asked.has(reference.uid)) continue;
      asked.add(reference.uid);
      const scale = await findScale(reference, pod.metadata.namespace, signal);
      if (scale === undefined) throw new Error(`found no controllers for pod ${JSON.stringify(pod.metadata.name)}`);
      sizes.set(scale.uid, scale.replicas);
    }
    return { total: [...sizes.values()].reduce((sum, size) => sum + size, 0), unmanaged };
  }

  async function expected(budget: PodDisruptionBudget, matching: readonly Pod[], signal: AbortSignal): Promise<number> {
    if (!countsControllers(budget)) return 0;
    try {
      const { total, unmanaged } = await wanted(matching, signal);
      if (unmanaged > 0)
        event(
          budget,
          "Warning",
          "UnmanagedPods",
          `Pods selected by this PodDisruptionBudget (selector: ${describeSelector(budget.spec?.selector)}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.`,
        );
      return total;
    } catch (error) {
      if (!isAbort(error, signal)) {
        const message = `Failed to calculate the number of expected pods: ${(error as Error).message}`;
        event(budget, "Warning", "CalculateExpectedPodCountFailed", message);
      }
      throw error;
    }
  }

  async function write(
    budget: PodDisruptionBudget,
    status: NonNullable<PodDisruptionBudget["status"]>,
    signal: AbortSignal,
  ): Promise<void> {
    if (equalJson(status, budget.status)) return;
    await client.update(PodDisruptionBudget, { ...budget, status }, { subresource: "status", signal });
  }

  /** The budgets of a pod; people are told when there are several, which no eviction can satisfy. */
  function budgetsOf(pod: Pod, old: Pod | undefined): readonly string[] {
    const all = budgets.list(pod.metadata.namespace);
    const matching = all.filter((budget) => labelMatcher(budget.spec?.selector)(pod.metadata.labels));
    const { namespace, name } = pod.metadata;
    if (matching.length > 1)
      recorder.event(
        referenceTo(Pod, pod),
        "Warning",
        "MultiplePodDisruptionBudgets",
        `Pod "${namespace}"/"${name}" matches multiple PodDisruptionBudgets.  Chose "${matching[0]?.metadata.name}" arbitrarily.`,
      );
    const before =
      old === undefined || old.metadata.labels === pod.metadata.labels
        ? []
        : all.filter((budget) => labelMatcher(budget.spec?.selector)(old.metadata.labels));
    return [...matching, ...before].map(cacheKeyOf);
  }

  const inNamespace = (namespace: string | undefined): readonly string[] => budgets.list(namespace).map(cacheKeyOf);
  const scaled = <T extends KubeObject & { readonly spec: { readonly replicas?: number | undefined } }>(
    object: T,
    old: T | undefined,
  ): readonly string[] =>
    old !== undefined && old.spec.replicas === object.spec.replicas ? [] : inNamespace(object.metadata.namespace);

  const stale = createStaleDisruptionController(deps);
  const main = defineController<PodDisruptionBudget>(deps, {
    name: "disruption",
    for: PodDisruptionBudget,
    watches: [
      mapped(Pod, budgetsOf),
      mapped(ReplicaSet, scaled),
      mapped(Deployment, scaled),
      mapped(StatefulSet, scaled),
      mapped(ReplicationController, scaled),
    ],
    workers: 2,
    async reconcile(key, { signal }) {
      const budget = budgets.byKey(key);
      if (budget === undefined) return done;
      const matches = labelMatcher(budget.spec?.selector);
      const matching = pods.list(budget.metadata.namespace).filter((pod) => matches(pod.metadata.labels));
      if (matching.length === 0) event(budget, "Normal", "NoPods", "No matching pods found");
      try {
        const total = await expected(budget, matching, signal);
        const { status, recheckMs, overdue } = budgetStatus(budget, matching, total, clock.now());
        const { namespace } = budget.metadata;
        const text = `Pod was expected by PDB ${namespace}/${namespace} to be deleted but it wasn't`;
        for (const pod of overdue) recorder.event(referenceTo(Pod, pod), "Warning", "NotDeleted", text);
        await write(budget, status, signal);
        return requeueAfter(recheckMs);
      } catch (error) {
        if (isConflict(error) || isAbort(error, signal)) throw error;
        // Nobody may be evicted as long as it is not known how many may.
        await write(budget, failedStatus(budget, error as Error, clock.now()), signal);
        return done;
      }
    },
  });
  return {
    name: main.name,
    run: async (signal) => void (await Promise.all([main.run(signal), stale.run(signal)])),
  };
}
