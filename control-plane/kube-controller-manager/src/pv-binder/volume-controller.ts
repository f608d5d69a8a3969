import { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import type { CacheKey } from "@coracle/client";
import {
  defineController,
  done,
  mapped,
  requeueAfter,
  type Controller,
  type ControllerDeps,
  type ReconcileResult,
} from "@coracle/controller-kit";
import { podsByClaim } from "../pods/pod-claims.ts";
import { isFinished } from "../pods/pod-state.ts";
import { pluginOf } from "../storage-metrics/labels.ts";
import { annealedVolume, withoutDeletionFinalizer } from "./bindings.ts";
import type { Storage } from "./claim-controller.ts";
import type { PvBinderOptions } from "./index.ts";
import { planReclaim, planVolume, recycledVolume, recyclerName, recyclerPod } from "./plan-volume.ts";
import { createRecyclerEvents } from "./recycler-events.ts";
import { normal, warning } from "./told.ts";

const PROVISIONED_BY = "pv.kubernetes.io/provisioned-by";

/** Reports the state of each volume, and takes back those whose claim is gone. */
export function createVolumeController(
  deps: ControllerDeps,
  { volumes, claims, writer }: Storage,
  options: PvBinderOptions,
  wakeClaim: (key: CacheKey) => void,
): Controller {
  const { client, informers, clock } = deps;
  const { operations } = options.monitor;
  const pods = informers.informer(Pod, { indexes: podsByClaim }).lister;
  const named = informers.informer(PersistentVolume).lister;
  /** Volumes (by uid) whose recycler we started, and whether it was seen. */
  const recycling = new Map<string, boolean>();
  const recyclerEvents = createRecyclerEvents(client, writer);

  /** The claim that the volume names. Not seen is not gone: the server is asked before a volume is released. */
  async function claimOf(volume: PersistentVolume, signal: AbortSignal): Promise<PersistentVolumeClaim | undefined> {
    const { namespace, name = "", uid = "" } = volume.spec?.claimRef ?? {};
    if (uid === "") return undefined;
    const seen = claims.byKey(`${namespace}/${name}`);
    if (seen?.metadata.uid === uid) return seen;
    if (seen === undefined && isReleased(volume)) return undefined;
    try {
      const found = await client.get(PersistentVolumeClaim, { namespace, name }, { signal });
      return found.metadata.uid === uid ? found : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** The volume as the server has it, when it is still released. */
  async function stillReleased(name: string, signal: AbortSignal): Promise<PersistentVolume | undefined> {
    try {
      const volume = await client.get(PersistentVolume, { name }, { signal });
      if ((volume.spec?.claimRef?.uid ?? "") === "") return undefined;
      return planVolume(volume, await claimOf(volume, signal)).action === "reclaim" ? volume : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async function reclaim(volume: PersistentVolume, signal: AbortSignal): Promise<ReconcileResult> {
    const released = isReleased(volume) ? volume : await writer.savePhase(volume, "Released", signal);
    const plan = planReclaim(released);
    const { name: volumeName = "", annotations } = volume.metadata;
    if (volume.spec?.persistentVolumeReclaimPolicy === "Delete")
      operations.begun(volumeName, "delete", annotations?.[PROVISIONED_BY] ?? pluginOf(volume), clock.now());
    if (plan.action === "leave") return done;
    if (plan.action === "fail") {
      operations.failed(volumeName);
      await writer.savePhase(released, "Failed", signal, warning(plan.reason, plan.message));
      return requeueAfter(options.syncPeriodMs);
    }
    const current = await stillReleased(released.metadata.name ?? "", signal);
    if (current === undefined) return done;
    if (plan.action === "recycle") return await recycle(current, signal);
    const began = clock.monotonicMs();
    const called = (isFine: boolean): void =>
      operations.called(pluginOf(volume), "volume_delete", isFine, false, clock.monotonicMs() - began);
    try {
      await options.removeTree(plan.path);
      called(true);
    } catch (error) {
      called(false);
      operations.failed(volumeName);
      const told = warning("VolumeFailedDelete", (error as Error).message);
      await writer.savePhase(current, "Failed", signal, told);
      return requeueAfter(options.syncPeriodMs);
    }
    await writer.saveVolume(withoutDeletionFinalizer(current), current, signal);
    await deleted(client.delete(PersistentVolume, { name: current.metadata.name ?? "" }, { signal }));
    return done;
  }

  async function recycle(volume: PersistentVolume, signal: AbortSignal): Promise<ReconcileResult> {
    const { uid = "" } = volume.metadata;
    const { namespace, name } = volume.spec?.claimRef ?? {};
    const claimKey = `${namespace}/${name}`;
    const users = pods.byIndex("claim", claimKey).filter((pod) => !isFinished(pod));
    // A claim of that name is a new one, and its pods use another volume.
    if (users.length > 0 && claims.byKey(claimKey) === undefined) {
      const names = users.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).sort();
      writer.tellOfVolume(volume, normal("VolumeFailedRecycle", `Volume is used by pods: ${names.join(",")}`));
      return requeueAfter(options.syncPeriodMs);
    }
    const recycler = volume.spec?.nfs === undefined ? options.recyclers.hostPath : options.recyclers.nfs;
    const wanted = recyclerPod(volume, await recycler.template(), recycler);
    const key = { namespace: wanted.metadata.namespace ?? "", name: recyclerName(volume) };
    const pod = pods.get(key.namespace, key.name);
    if (!recycling.has(uid)) return await startRecycling(volume, wanted, signal);
    if (pod === undefined && recycling.get(uid) === false) return done;
    await recyclerEvents.tell(volume, key, signal);
    if (pod !== undefined && !isFinished(pod)) {
      recycling.set(uid, true);
      return done;
    }
    recycling.delete(uid);
    recyclerEvents.forget(uid);
    if (pod === undefined)
      return await recyclingFailed(volume, "failed to recycle volume: recycler pod was deleted", signal);
    await deleted(client.delete(Pod, key, { signal }));
    if (pod.status?.phase === "Failed") {
      const message = pod.status.message ?? "pod failed, pod.Status.Message unknown";
      return await recyclingFailed(volume, `failed to recycle volume: ${message}`, signal);
    }
    writer.tellOfVolume(volume, normal("VolumeRecycled", "Volume recycled"));
    await writer.unbind(volume, signal);
    return done;
  }

  async function startRecycling(volume: PersistentVolume, pod: Pod, signal: AbortSignal): Promise<ReconcileResult> {
    try {
      await client.create(Pod, pod, { signal });
      recycling.set(volume.metadata.uid ?? "", false);
      return done;
    } catch (error) {
      if (!isAlreadyExists(error))
        return await recyclingFailed(
          volume,
          `unexpected error creating recycler pod:  ${(error as Error).message}`,
          signal,
        );
    }
    const { namespace, name = "" } = pod.metadata;
    await deleted(client.delete(Pod, { namespace, name }, { signal }));
    return await recyclingFailed(volume, "old recycler pod found, will retry later", signal);
  }

  async function recyclingFailed(
    volume: PersistentVolume,
    problem: string,
    signal: AbortSignal,
  ): Promise<ReconcileResult> {
    await writer.savePhase(volume, "Failed", signal, warning("VolumeFailedRecycle", `Recycle failed: ${problem}`));
    return requeueAfter(options.syncPeriodMs);
  }

  function tellOfMismatch(volume: PersistentVolume, claim: PersistentVolumeClaim): void {
    const why = "due to incompatible volumeMode.";
    const { name: volumeName } = volume.metadata;
    const ofVolume = `Cannot bind PersistentVolume to requested PersistentVolumeClaim "${claim.metadata.name}" ${why}`;
    const ofClaim = `Cannot bind PersistentVolume "${volumeName}" to requested PersistentVolumeClaim ${why}`;
    writer.tellOfVolume(volume, warning("VolumeMismatch", ofVolume));
    writer.tellOfClaim(claim, warning("VolumeMismatch", ofClaim));
  }

  return defineController<PersistentVolume>(deps, {
    name: "persistentvolume-binder-volumes",
    for: PersistentVolume,
    changed: (volume) => volumes.byKey(volume.metadata.name ?? "") === volume, // older than what we wrote: nothing new
    watches: [
      mapped(PersistentVolumeClaim, (claim, old) => {
        if (old !== undefined && old.spec?.volumeName === claim.spec?.volumeName) return [];
        const { namespace, name } = claim.metadata;
        const naming = named.byIndex("claimRef", `${namespace}/${name}`).map(({ metadata }) => metadata.name ?? "");
        return claim.spec?.volumeName === undefined ? naming : [...naming, claim.spec.volumeName];
      }),
      mapped(Pod, ({ metadata: { name = "" } }) => {
        const volume = recycledVolume(name);
        return volume === undefined ? [] : [volume];
      }),
    ],
    workers: 1,
    async reconcile(name, { signal }) {
      const found = volumes.byKey(name);
      if (found === undefined) {
        operations.finished(name, clock.now());
        return done;
      }
      const volume = await writer.saveVolume(annealedVolume(found), found, signal);
      const claim = await claimOf(volume, signal);
      const plan = planVolume(volume, claim);
      switch (plan.action) {
        case "report":
          await writer.savePhase(volume, plan.phase, signal);
          return done;
        case "wake-claim":
          wakeClaim(`${claim?.metadata.namespace}/${claim?.metadata.name}`);
          return done;
        case "mismatch":
          if (claim !== undefined) tellOfMismatch(volume, claim);
          return requeueAfter(options.syncPeriodMs);
        case "unbind":
          await writer.unbind(volume, signal);
          return done;
        case "reclaim":
          return await reclaim(volume, signal);
      }
    },
  });
}

/** What went wrong in taking it back stays to be seen. */
const isReleased = ({ status }: PersistentVolume): boolean =>
  status?.phase === "Released" || status?.phase === "Failed";

async function deleted(attempt: Promise<void>): Promise<void> {
  try {
    await attempt;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
