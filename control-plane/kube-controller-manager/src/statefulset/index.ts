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
  slowStart,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { deleteRevisions, hashOf, surplusRevisions, syncHistory } from "../history/revisions.ts";
import { nextAvailabilityMs } from "../pods/pod-state.ts";
import { claimOwners, isStaleClaim } from "./claim-owners.ts";
import { claimsForOrdinal, identityLabels, isInRange, ordinalOf, POD_NAME_LABEL, podForOrdinal } from "./pod.ts";
import type { StatefulSetMonitor } from "./monitor.ts";
import { maxUnavailableOf, planPhases, revisionOf, statefulStatus, unavailableOf, type Step } from "./plan.ts";

/**
 * Keeps pods with names, storage and an order of their own for every StatefulSet. `monitor` is there where several pods
 * may be away for an update at a time (the feature MaxUnavailableStatefulSet).
 */
export function createStatefulSetController(
  deps: ControllerDeps,
  options: { readonly workers: number; readonly monitor: StatefulSetMonitor | undefined },
): Controller {
  const { workers, monitor } = options;
  const { client, informers, clock, recorder } = deps;
  const sets = informers.informer(StatefulSet).lister;
  const pods = informers.informer(Pod, { indexes: byController }).lister;
  const claims = informers.informer(PersistentVolumeClaim).lister;
  const revisions = informers.informer(ControllerRevision, { indexes: byController }).lister;

  const event = (set: StatefulSet, type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event(referenceTo(StatefulSet, set), type, reason, message);

  /** Makes the claims that are missing, and answers these. */
  async function createClaims(
    set: StatefulSet,
    ordinal: number,
    signal: AbortSignal,
  ): Promise<readonly PersistentVolumeClaim[]> {
    const { name: setName } = set.metadata;
    const made: PersistentVolumeClaim[] = [];
    for (const wanted of claimsForOrdinal(set, ordinal)) {
      const { namespace, name = "" } = wanted.metadata;
      const present = claims.get(namespace, name);
      if (present?.metadata.deletionTimestamp !== undefined) throw new Error(`pvc ${name} is being deleted`);
      if (present !== undefined) continue;
      const subject = `Pod ${setName}-${ordinal} in StatefulSet ${setName}`;
      try {
        made.push(await client.create(PersistentVolumeClaim, wanted, { signal }));
        event(set, "Normal", "SuccessfulCreate", `Create Claim ${name} ${subject} success`);
      } catch (error) {
        if (isAlreadyExists(error)) continue;
        const { message } = error as Error;
        event(set, "Warning", "FailedCreate", `Create Claim ${name} for ${subject} failed error: ${message}`);
        throw new Error(`failed to create PVC ${name}: ${message}`, { cause: error });
      }
    }
    return made;
  }

  /** True when a claim got other owners. `made`: claims that the cache may not know yet. */
  async function settleClaims(
    set: StatefulSet,
    pod: Pod,
    ordinal: number,
    signal: AbortSignal,
    made: readonly PersistentVolumeClaim[] = [],
  ): Promise<boolean> {
    let isChanged = false;
    for (const { metadata } of claimsForOrdinal(set, ordinal)) {
      const { namespace, name = "" } = metadata;
      const claim = claims.get(namespace, name) ?? made.find((each) => each.metadata.name === name);
      if (claim === undefined) continue;
      const { owners: ownerReferences, isContested } = claimOwners(set, pod, claim);
      if (isContested)
        event(
          set,
          "Warning",
          "ConflictingController",
          `PersistentVolumeClaim ${metadata.name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim`,
        );
      if (ownerReferences === undefined) continue;
      const wanted = { ...claim, metadata: { ...claim.metadata, ownerReferences } };
      await client.update(PersistentVolumeClaim, wanted, { signal });
      isChanged = true;
    }
    return isChanged;
  }

  const isInUseByAnEarlierPod = (set: StatefulSet, ordinal: number): boolean =>
    claimsForOrdinal(set, ordinal).some(({ metadata: { namespace, name = "" } }) => {
      const claim = claims.get(namespace, name);
      return claim !== undefined && isStaleClaim(set, `${set.metadata.name}-${ordinal}`, claim);
    });

  /** What every pod of the set has, whatever its template says: claims that go with the right owner, and its labels. */
  async function settlePod(set: StatefulSet, pod: Pod, isReached: boolean, signal: AbortSignal): Promise<void> {
    const ordinal = ordinalOf(set.metadata.name ?? "", pod.metadata.name);
    if (ordinal === undefined) return;
    const isWanted = isInRange(set, ordinal);
    if (isWanted && pod.status?.phase === "Pending") await createClaims(set, ordinal, signal);
    if (!isReached) return;
    const isChanged = await settleClaims(set, pod, ordinal, signal);
    if (!isWanted) return;
    const labels = identityLabels(set, ordinal);
    const isNamed = pod.metadata.labels?.[POD_NAME_LABEL] === labels[POD_NAME_LABEL];
    if (isNamed && !isChanged) return;
    const repaired = { ...pod, metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, ...labels } } };
    const update = async (): Promise<unknown> => (isNamed ? undefined : client.update(Pod, repaired, { signal }));
    await told(set, "Update", pod.metadata.name ?? "", update);
  }

  /** Does it, and tells people how that went. */
  async function told(set: StatefulSet, verb: string, podName: string, work: () => Promise<unknown>): Promise<void> {
    const subject = `${verb} Pod ${podName} in StatefulSet ${set.metadata.name}`;
    try {
      await work();
      event(set, "Normal", `Successful${verb}`, `${subject} successful`);
    } catch (error) {
      if (isNotFound(error)) return; // our cache is behind
      // A name that somebody else has taken may become free, and nothing tells of it: tried again.
      if (!isNamespaceTerminating(error) && !isAlreadyExists(error))
        event(set, "Warning", `Failed${verb}`, `${subject} failed error: ${(error as Error).message}`);
      throw error;
    }
  }

  async function createPod(
    set: StatefulSet,
    ordinal: number,
    template: PodTemplateSpec,
    revision: string,
    signal: AbortSignal,
  ): Promise<void> {
    if (isInUseByAnEarlierPod(set, ordinal)) return; // its claim goes first, and brings us back
    const pod = podForOrdinal(set, ordinal, template, revision);
    await told(set, "Create", pod.metadata.name ?? "", async () => {
      const made = await createClaims(set, ordinal, signal);
      const created = await client.create(Pod, pod, { metadataOnly: true, signal });
      await settleClaims(set, { ...pod, metadata: created.metadata }, ordinal, signal, made);
    });
  }

  async function deletePod(set: StatefulSet, pod: Pod, signal: AbortSignal): Promise<void> {
    const { namespace, name = "", uid } = pod.metadata;
    await told(set, "Delete", name, async () =>
      client.delete(Pod, { namespace, name }, { preconditions: { uid }, signal }),
    );
  }

  /** A claim that has just been made may need an owner, one that is gone a successor. */
  const setsOf = ({ metadata: { namespace, name = "" } }: PersistentVolumeClaim): readonly string[] =>
    sets
      .list(namespace)
      .filter(
        ({ metadata, spec }) => (spec.volumeClaimTemplates ?? []).length > 0 && name.includes(`-${metadata.name}-`),
      )
      .map(cacheKeyOf);

  return defineController<StatefulSet>(deps, {
    name: "statefulset",
    for: StatefulSet,
    watches: [
      owned(Pod),
      matchingOrphans<Pod, StatefulSet>(Pod, (set) => set.spec.selector),
      owned(ControllerRevision),
      matchingOrphans<ControllerRevision, StatefulSet>(ControllerRevision, (set) => set.spec.selector),
      mapped(PersistentVolumeClaim, (claim, old) => (old === undefined ? setsOf(claim) : [])), // made, or gone
    ],
    workers,
    async reconcile(key, { signal }) {
      const set = sets.byKey(key);
      if (set === undefined) {
        monitor?.forget(key);
        return done;
      }
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
      const { collisionCount } = set.status ?? {};
      const history = await syncHistory({
        client,
        type: StatefulSet,
        owner: set,
        selector,
        template,
        collisionCount,
        lister: revisions,
        signal,
      });
      if (history === undefined) return done;
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
      const isDeleted = set.metadata.deletionTimestamp !== undefined;
      const phases = isDeleted ? [] : planPhases(set, mine, names, now, monitor !== undefined);
      const take = async (step: Step): Promise<void> => {
        if (step.action === "settle") await settlePod(set, step.pod, step.isReached, signal);
        else if (step.action === "delete") await deletePod(set, step.pod, signal);
        else if (step.revision === "update") await createPod(set, step.ordinal, template, update, signal);
        else await createPod(set, step.ordinal, currentTemplate(), current, signal);
      };
      const isParallel = set.spec.podManagementPolicy === "Parallel";
      let failure: unknown;
      for (const phase of isParallel ? phases : phases.flat().map((step) => [step])) {
        ({ failure } = await slowStart(phase.length, async (i) => take(phase[i] as Step)));
        if (failure !== undefined) break;
      }
      monitor?.observe(set, maxUnavailableOf(set), unavailableOf(set, mine, now));
      const status = statefulStatus(set, mine, names, history.collisionCount, now);
      if (!equalJson(status, { readyReplicas: 0, availableReplicas: 0, collisionCount: 0, ...set.status }))
        await client.update(StatefulSet, { ...set, status }, { subresource: "status", metadataOnly: true, signal });
      if (failure !== undefined) throw failure;
      if (isDeleted) return done;
      const inUse = new Set([...mine.map(revisionOf), current, update]);
      const limit = set.spec.revisionHistoryLimit ?? 10;
      const surplus = surplusRevisions(history, hashesOf(inUse, history.all), { limit, countsUsed: false });
      await deleteRevisions({ client, signal }, surplus);
      return requeueAfter(nextAvailabilityMs(mine, set.spec.minReadySeconds ?? 0, now));
    },
  });
}

/** Pods of a set carry a revision's name; the history knows revisions by their hash. */
function hashesOf(names: ReadonlySet<string>, all: readonly ControllerRevision[]): ReadonlySet<string> {
  return new Set(all.filter((revision) => names.has(revision.metadata.name ?? "")).map(hashOf));
}
