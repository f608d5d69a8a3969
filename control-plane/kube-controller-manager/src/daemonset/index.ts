import { ControllerRevision, DaemonSet } from "@coracle/api/apps/v1";
import { Node, Pod } from "@coracle/api/core/v1";
import { equalJson, isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import {
  byController,
  claim,
  createExpectations,
  defineController,
  done,
  isEmptySelector,
  mapped,
  matchingOrphans,
  owned,
  requeueAfter,
  slowStart,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { deleteRevisions, hashOf, REVISION_HASH, surplusRevisions, syncHistory } from "../history/revisions.ts";
import { createPod, deletePod, podFromTemplate } from "../pods/pod-control.ts";
import { nextAvailabilityMs } from "../pods/pod-state.ts";
import { specForNode } from "./eligibility.ts";
import { daemonStatus, planDaemons, type DaemonPlan } from "./plan.ts";

const TEMPLATE_GENERATION = "deprecated.daemonset.template.generation";
/** Daemons that keep ending are replaced, but not in a hot loop. */
const ENDED_BACKOFF_MS = 1000;
const ENDED_BACKOFF_MAX_MS = 15 * 60_000;

/** Runs one pod of every DaemonSet on every node that its template fits. */
export function createDaemonSetController(deps: ControllerDeps, workers?: number): Controller {
  const { client, informers, clock, recorder } = deps;
  const expectations = createExpectations(clock);
  const sets = informers.informer(DaemonSet).lister;
  const nodes = informers.informer(Node).lister;
  const pods = informers.informer(Pod, { indexes: byController }).lister;
  const revisions = informers.informer(ControllerRevision, { indexes: byController }).lister;
  const backoff = new Map<string, { delayMs: number; until: number }>();

  const backoffId = (set: DaemonSet, pod: Pod): string =>
    `${set.metadata.uid}/${set.status?.observedGeneration ?? 0}/${pod.spec.nodeName ?? ""}`;

  /** Milliseconds to wait before the failed pod's node gets its next one; 0: none. */
  const heldMs = (set: DaemonSet, pod: Pod): number =>
    Math.max(0, (backoff.get(backoffId(set, pod))?.until ?? 0) - clock.now());

  /** The failed pod is replaced now; the next one on its node waits longer. */
  function noteReplacement(set: DaemonSet, pod: Pod): void {
    const id = backoffId(set, pod);
    const now = clock.now();
    for (const [other, { until }] of backoff) if (now > until + 2 * ENDED_BACKOFF_MAX_MS) backoff.delete(other);
    const known = backoff.get(id);
    const delayMs = known === undefined ? ENDED_BACKOFF_MS : Math.min(known.delayMs * 2, ENDED_BACKOFF_MAX_MS);
    backoff.set(id, { delayMs, until: now + delayMs });
  }

  function tellEnded(set: DaemonSet, { metadata, spec, status }: Pod): void {
    const where = `daemon pod ${metadata.namespace}/${metadata.name} on node ${spec.nodeName}`;
    const reference = referenceTo(DaemonSet, set);
    if (status?.phase === "Failed")
      recorder.event(reference, "Warning", "FailedDaemonPod", `Found failed ${where}, will try to kill it`);
    else recorder.event(reference, "Normal", "SucceededDaemonPod", `Found succeeded ${where}, will try to delete it`);
  }

  async function carryOut(
    set: DaemonSet,
    key: string,
    plan: DaemonPlan,
    hash: string,
    signal: AbortSignal,
  ): Promise<void> {
    const uidOf = (pod: Pod): string => pod.metadata.uid ?? "";
    expectations.expectCreations(key, plan.create.length);
    expectations.expectDeletions(key, plan.delete.map(uidOf));
    const template = podFromTemplate(DaemonSet, set, set.spec.template);
    const generation = set.metadata.annotations?.[TEMPLATE_GENERATION];
    const labels = {
      ...template.metadata.labels,
      [REVISION_HASH]: hash,
      ...(generation === undefined ? {} : { "pod-template-generation": generation }),
    };
    const { succeeded, failure } = await slowStart(plan.create.length, async (i) => {
      const spec = specForNode(template.spec, plan.create[i] ?? "");
      await createPod(deps, DaemonSet, set, { metadata: { ...template.metadata, labels }, spec }, signal);
    });
    for (let i = succeeded; i < plan.create.length; i++) expectations.creationObserved(key);
    const deletions = await Promise.allSettled(
      plan.delete.map(async (pod) => {
        try {
          await deletePod(deps, DaemonSet, set, pod, signal);
        } catch (error) {
          expectations.deletionObserved(key, uidOf(pod));
          if (!isNotFound(error)) throw error;
        }
      }),
    );
    const failed: unknown = failure ?? deletions.find((each) => each.status === "rejected")?.reason;
    if (failed !== undefined) throw failed;
  }

  return defineController<DaemonSet>(deps, {
    name: "daemonset",
    for: DaemonSet,
    watches: [
      owned(Pod),
      matchingOrphans<Pod, DaemonSet>(Pod, (set) => set.spec.selector),
      owned(ControllerRevision),
      matchingOrphans<ControllerRevision, DaemonSet>(ControllerRevision, (set) => set.spec.selector),
      mapped(Node, (node, old) => {
        const isSame =
          old !== undefined &&
          nodes.byKey(node.metadata.name ?? "") !== undefined &&
          equalJson(old.metadata.labels, node.metadata.labels) &&
          equalJson(old.spec?.taints, node.spec?.taints);
        return isSame ? [] : sets.list().map(cacheKeyOf);
      }),
    ],
    expectations,
    workers,
    async reconcile(key, { signal }) {
      const set = sets.byKey(key);
      if (set === undefined || set.metadata.deletionTimestamp !== undefined) return done;
      const { selector, template, minReadySeconds = 0 } = set.spec;
      if (isEmptySelector(selector)) {
        const text = "This daemon set is selecting all pods. A non-empty selector is required.";
        recorder.event(referenceTo(DaemonSet, set), "Warning", "SelectingAll", text);
        return done;
      }
      const mine = await claim({ client, ownerType: DaemonSet, owner: set, selector, type: Pod, lister: pods, signal });
      const history = await syncHistory({
        client,
        type: DaemonSet,
        owner: set,
        selector,
        template,
        collisionCount: set.status?.collisionCount,
        lister: revisions,
        signal,
      });
      if (history === undefined) return done;
      const hash = hashOf(history.update);
      const now = clock.now();
      let waitMs: number | undefined;
      try {
        if (expectations.satisfied(key)) {
          const plan = planDaemons(set, nodes.list(), mine, hash, now, (pod) => {
            const ms = heldMs(set, pod);
            if (ms > 0) waitMs = Math.min(waitMs ?? ms, ms);
            return ms > 0;
          });
          for (const pod of plan.ended) {
            if (pod.status?.phase === "Failed") noteReplacement(set, pod);
            tellEnded(set, pod);
          }
          await carryOut(set, key, plan, hash, signal);
        }
        const inUse = new Set(mine.map((pod) => pod.metadata.labels?.[REVISION_HASH] ?? ""));
        const limit = set.spec.revisionHistoryLimit ?? 10;
        await deleteRevisions({ client, signal }, surplusRevisions(history, inUse, { limit, countsUsed: true }));
      } finally {
        const status = daemonStatus(set, nodes.list(), mine, hash, history.collisionCount, now);
        if (
          !signal.aborted &&
          !equalJson(status, { numberAvailable: 0, numberUnavailable: 0, updatedNumberScheduled: 0, ...set.status })
        )
          await client.update(DaemonSet, { ...set, status }, { subresource: "status", metadataOnly: true, signal });
      }
      const availableMs = nextAvailabilityMs(mine, minReadySeconds, now);
      return requeueAfter(waitMs === undefined ? availableMs : Math.min(waitMs, availableMs ?? waitMs));
    },
  });
}
