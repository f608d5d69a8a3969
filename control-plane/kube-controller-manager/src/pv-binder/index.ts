import { PersistentVolume, PersistentVolumeClaim, type Pod } from "@coracle/api/core/v1";
import { StorageClass } from "@coracle/api/storage/v1";
import { TaskScope } from "@coracle/base";
import { BIND_COMPLETED, classOfClaim, classOfVolume } from "@coracle/apimachinery/storage";
import type { Controller, ControllerDeps } from "@coracle/controller-kit";
import type { StorageMonitor } from "../storage-metrics/storage-monitor.ts";
import { createClaimController } from "./claim-controller.ts";
import { LatestObjects } from "./latest-objects.ts";
import type { RecyclerLimits } from "./plan-volume.ts";
import { StorageWriter } from "./storage-writer.ts";
import { createVolumeController } from "./volume-controller.ts";

export interface PvBinderOptions {
  /** How often what waits is looked at again. */
  readonly syncPeriodMs: number;
  /** Whether provisioners are asked. */
  readonly provisions: boolean;
  readonly recyclers: { readonly hostPath: Recycler; readonly nfs: Recycler };
  readonly monitor: StorageMonitor;
  /** Deletes what a volume of the host stood for. */
  removeTree(path: string): Promise<void>;
}

/** How volumes of one kind are emptied. */
export interface Recycler extends RecyclerLimits {
  template(): Promise<Pod>;
}

const claimRefKey = ({ spec }: PersistentVolume): readonly string[] =>
  spec?.claimRef === undefined ? [] : [`${spec.claimRef.namespace}/${spec.claimRef.name}`];

/** Volumes by the claim they name, and those that name none by class. */
export const volumeIndexes = {
  claimRef: claimRefKey,
  freeOfClass: (volume: PersistentVolume): readonly string[] =>
    volume.spec?.claimRef === undefined ? [classOfVolume(volume)] : [],
};

/** Claims that are not bound: by class, and by the volume they name. */
export const claimIndexes = {
  unboundOfClass: (claim: PersistentVolumeClaim): readonly string[] => (isBound(claim) ? [] : [classOfClaim(claim)]),
  unboundByVolume: (claim: PersistentVolumeClaim): readonly string[] =>
    isBound(claim) || claim.spec?.volumeName === undefined ? [] : [claim.spec.volumeName],
};

const isBound = ({ metadata }: PersistentVolumeClaim): boolean => metadata.annotations?.[BIND_COMPLETED] !== undefined;

/**
 * Brings claims and volumes together, asks provisioners for volumes that are missing, and takes back what claims left
 * behind. One worker for claims and one for volumes: two passes at once could give one volume to two claims.
 */
export function createPvBinder(deps: ControllerDeps, options: PvBinderOptions): Controller {
  const { informers } = deps;
  const volumes = new LatestObjects(informers.informer(PersistentVolume, { indexes: volumeIndexes }).lister);
  const claims = new LatestObjects(informers.informer(PersistentVolumeClaim, { indexes: claimIndexes }).lister);
  const storage = {
    volumes,
    claims,
    classes: informers.informer(StorageClass).lister,
    writer: new StorageWriter(deps, volumes, claims),
  };
  options.monitor.watchVolumes(
    informers.informer(PersistentVolume).lister,
    informers.informer(PersistentVolumeClaim).lister,
  );
  const claimController = createClaimController(deps, storage, options);
  const volumeController = createVolumeController(deps, storage, options, claimController.wake);
  return {
    name: "persistentvolume-binder",
    async run(signal) {
      await using scope = new TaskScope(signal);
      scope.run(async (running) => claimController.controller.run(running));
      scope.run(async (running) => volumeController.run(running));
      await scope.join();
    },
  };
}
