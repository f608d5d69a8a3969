import type { KubeObject } from "@coracle/api";
import { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { claimKeysOf, podsByClaim } from "../pods/pod-claims.ts";
import { usesClaim } from "./plan.ts";

const CLAIM_FINALIZER = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER = "kubernetes.io/pv-protection";

/** Protects every claim, and lets a deleted one go once no pod uses it. */
export function createPvcProtectionController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const claims = informers.informer(PersistentVolumeClaim).lister;
  const pods = informers.informer(Pod, { indexes: podsByClaim }).lister;
  /** By what the cache knows, and, as that may be too little, by what the server has. */
  async function isUsed(claim: PersistentVolumeClaim, key: string, signal: AbortSignal): Promise<boolean> {
    if (pods.byIndex("claim", key).some((pod) => usesClaim(pod, claim))) return true;
    const { items } = await client.list(Pod, { namespace: claim.metadata.namespace, signal });
    return items.some((pod) => usesClaim(pod, claim));
  }

  return defineController<PersistentVolumeClaim>(deps, {
    name: "pvc-protection",
    for: PersistentVolumeClaim,
    changed: (claim) => isToBeMended(claim, CLAIM_FINALIZER),
    watches: [
      mapped(Pod, (pod) =>
        claimKeysOf(pod).filter((key) => claims.byKey(key)?.metadata.deletionTimestamp !== undefined),
      ),
    ],
    workers: 2,
    async reconcile(key, { signal }) {
      const claim = claims.byKey(key);
      if (claim === undefined || !isToBeMended(claim, CLAIM_FINALIZER)) return done;
      if (claim.metadata.deletionTimestamp !== undefined && (await isUsed(claim, key, signal))) return done;
      await client.update(PersistentVolumeClaim, mended(claim, CLAIM_FINALIZER), { signal });
      return done;
    },
  });
}

/** Protects every volume, and lets a deleted one go once no claim is bound to it. */
export function createPvProtectionController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const volumes = informers.informer(PersistentVolume).lister;
  return defineController<PersistentVolume>(deps, {
    name: "pv-protection",
    for: PersistentVolume,
    changed: (volume) => isToBeMended(volume, VOLUME_FINALIZER),
    workers: 1,
    async reconcile(name, { signal }) {
      const volume = volumes.byKey(name);
      if (volume === undefined || !isToBeMended(volume, VOLUME_FINALIZER)) return done;
      if (volume.status?.phase === "Bound" && volume.metadata.deletionTimestamp !== undefined) return done;
      await client.update(PersistentVolume, mended(volume, VOLUME_FINALIZER), { signal });
      return done;
    },
  });
}

/** Protected while it is not to go, and only then. */
const isToBeMended = ({ metadata: { deletionTimestamp, finalizers = [] } }: KubeObject, finalizer: string): boolean =>
  finalizers.includes(finalizer) === (deletionTimestamp !== undefined);

function mended<T extends KubeObject>(object: T, finalizer: string): T {
  const { deletionTimestamp, finalizers = [] } = object.metadata;
  const wanted =
    deletionTimestamp === undefined ? [...finalizers, finalizer] : finalizers.filter((each) => each !== finalizer);
  return { ...object, metadata: { ...object.metadata, finalizers: wanted } };
}
