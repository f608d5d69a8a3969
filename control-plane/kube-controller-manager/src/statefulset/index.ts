import { ControllerRevision, StatefulSet } from "@coracle/api/apps/v1";
import { PersistentVolumeClaim, Pod, type PodTemplateSpec } from "@coracle/api/core/v1";
import { equalJson, isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import {
  byController,
  claim,
  defineController,
  done,
  isNamespaceTerminating,
  mapped,
  matchingOrphans,
  owned,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { syncHistory, trimHistory } from "../history/revisions.ts";
import { nextAvailabilityMs } from "../pods/pod-state.ts";
import { claimOwners } from "./claim-owners.ts";
import { claimsForOrdinal, ordinalOf, podForOrdinal } from "./pod.ts";
import { planSteps, revisionOf, statefulStatus, type Step } from "./plan.ts";

/** Keeps pods with names, storage and an order of their own for every StatefulSet. */
export function createStatefulSetController(deps: ControllerDeps, workers?: number): Controller {
  const { client, informers, clock, recorder } = deps;
  const sets = informers.informer(StatefulSet).lister;
  const pods = informers.informer(Pod, { indexes: byController }).lister;
  const claims = informers.informer(PersistentVolumeClaim).lister;
  const revisions = informers.informer(ControllerRevision, { indexes: byController }).lister;

  const event = (set: StatefulSet, type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event(referenceTo(StatefulSet, set), type, reason, message);

  async function createClaims(set: StatefulSet, ordinal: number, signal: AbortSignal): Promise<void> {
    const { name: setName } = set.metadata;
    for (const wanted of claimsForOrdinal(set, ordinal)) {
      const { namespace, name = "" } = wanted.metadata;
      if (claims.get(namespace, name) !== undefined) continue;
      const subject = `Claim ${name} Pod ${setName}-${ordinal} in StatefulSet ${setName}`;
      try {
        await client.create(PersistentVolumeClaim, wanted, { signal });
        event(set, "Normal", "SuccessfulCreate", `create ${subject} success`);
      } catch (error) {
        if (isAlreadyExists(error)) continue;
        event(set, "Warning", "FailedCreate", `create ${subject} failed error: ${(error as Error).message}`);
        throw error;
      }
    }
  }

  async function settleClaims(set: StatefulSet, mine: readonly Pod[], signal: AbortSignal): Promise<void> {
    if ((set.spec.volumeClaimTemplates ?? []).length === 0) return;
    for (const pod of mine) {
      const ordinal = ordinalOf(set.metadata.name ?? "", pod.metadata.name);
      if (ordinal === undefined) continue;
      for (const { metadata } of claimsForOrdinal(set, ordinal)) {
        const claim = claims.get(metadata.namespace, metadata.name ?? "");
        const ownerReferences = claim === undefined ? undefined : claimOwners(set, pod, claim);
        if (claim === undefined || ownerReferences === undefined) continue;
        await client.update(
          PersistentVolumeClaim,
          { ...claim, metadata: { ...claim.metadata, ownerReferences } },
          { signal },
        );
      }
    }
  }

  async function createPod(
    set: StatefulSet,
    ordinal: number,
    template: PodTemplateSpec,
    revision: string,
    signal: AbortSignal,
  ): Promise<void> {
    await createClaims(set, ordinal, signal);
    const pod = podForOrdinal(set, ordinal, template, revision);
    const subject = `create Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name}`;
    try {
      await client.create(Pod, pod, { signal });
      event(set, "Normal", "SuccessfulCreate", `${subject} successful`);
    } catch (error) {
      if (isAlreadyExists(error)) return; // our cache is behind, or its name is taken: seen in the next pass
      if (!isNamespaceTerminating(error))
        event(set, "Warning", "FailedCreate", `${subject} failed error: ${(error as Error).message}`);
      throw error;
    }
  }

  async function deletePod(
    set: StatefulSet,
    { pod, isFailed }: Step & { action: "delete" },
    signal: AbortSignal,
  ): Promise<void> {
    const { namespace, name = "", uid } = pod.metadata;
    if (isFailed)
      event(
        set,
        "Warning",
        "RecreatingFailedPod",
        `StatefulSet ${namespace}/${set.metadata.name} is recreating failed Pod ${name}`,
      );
    const subject = `delete Pod ${name} in StatefulSet ${set.metadata.name}`;
    try {
      await client.delete(Pod, { namespace, name }, { preconditions: { uid }, signal });
      event(set, "Normal", "SuccessfulDelete", `${subject} successful`);
    } catch (error) {
      if (isNotFound(error)) return;
      event(set, "Warning", "FailedDelete", `${subject} failed error: ${(error as Error).message}`);
      throw error;
    }
  }

  /** A claim that has just been made may need an owner. */
  const setsOf = ({ metadata: { namespace, name = "" } }: PersistentVolumeClaim): readonly string[] =>
    sets
      .list(namespace)
      .filter(
        ({ metadata, spec }) =>
          spec.persistentVolumeClaimRetentionPolicy?.whenDeleted === "Delete" && name.includes(`-${metadata.name}-`),
      )
      .map(cacheKeyOf);

  return defineController<StatefulSet>(deps, {
    name: "statefulset",
    for: StatefulSet,
    watches: [
      owned(Pod),
      matchingOrphans<Pod, StatefulSet>(Pod, (set) => set.spec.selector),
      owned(ControllerRevision),
      mapped(PersistentVolumeClaim, (claim, old) => (old === undefined ? setsOf(claim) : [])),
    ],
    workers,
    async reconcile(key, { signal }) {
      const set = sets.byKey(key);
      if (set === undefined) return done;
      const { selector, template } = set.spec;
      const mine = await claim({
        client,
        ownerType: StatefulSet,
        owner: set,
        selector,
        type: Pod,
        lister: pods,
        mayAdopt: (pod) => ordinalOf(set.metadata.name ?? "", pod.metadata.name) !== undefined,
        signal,
      });
      if (set.metadata.deletionTimestamp !== undefined) return done;
      const { collisionCount } = set.status ?? {};
      const history = await syncHistory({
        client,
        type: StatefulSet,
        owner: set,
        template,
        collisionCount,
        lister: revisions,
        signal,
      });
      const update = history.update.metadata.name ?? "";
      const known = history.all.find((revision) => revision.metadata.name === set.status?.currentRevision);
      const current = known?.metadata.name ?? update;
      const names = { current, update };
      const now = clock.now();
      const currentTemplate = (): PodTemplateSpec => {
        const data = (known ?? history.update).data as { spec?: { template?: PodTemplateSpec & { $patch?: string } } };
        const { $patch: _, ...stored } = data.spec?.template ?? {};
        return stored;
      };
      // Before pods go: their claims may have to go with them.
      await settleClaims(set, mine, signal);
      let failure: unknown;
      const steps = planSteps(set, mine, names, now);
      const results = await Promise.allSettled(
        steps.map(async (step) => {
          if (step.action === "delete") await deletePod(set, step, signal);
          else if (step.revision === "update") await createPod(set, step.ordinal, template, update, signal);
          else await createPod(set, step.ordinal, currentTemplate(), current, signal);
        }),
      );
      for (const result of results) if (result.status === "rejected") failure ??= result.reason;
      const status = statefulStatus(set, mine, names, history.collisionCount, now);
      if (!equalJson(status, { readyReplicas: 0, availableReplicas: 0, collisionCount: 0, ...set.status }))
        await client.update(StatefulSet, { ...set, status }, { subresource: "status", signal });
      if (failure !== undefined) throw failure;
      const inUse = new Set([...mine.map(revisionOf), current, update]);
      await trimHistory({ client, signal }, history, hashesOf(inUse, history.all), set.spec.revisionHistoryLimit ?? 10);
      return requeueAfter(nextAvailabilityMs(mine, set.spec.minReadySeconds ?? 0, now));
    },
  });
}

/** Pods of a set carry a revision's name; the history knows revisions by their hash label. */
function hashesOf(names: ReadonlySet<string>, all: readonly ControllerRevision[]): ReadonlySet<string> {
  return new Set(
    all
      .filter((revision) => names.has(revision.metadata.name ?? ""))
      .map((revision) => revision.metadata.labels?.["controller-revision-hash"] ?? ""),
  );
}
