import { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { isFinished } from "../pods/pod-state.ts";

const CLAIM_FINALIZER = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER = "kubernetes.io/pv-protection";

/** The claims that a pod holds while it lives. */
function claimsOf(pod: Pod): readonly string[] {
  const names = (pod.spec.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    if (persistentVolumeClaim !== undefined) return [persistentVolumeClaim.claimName];
    return ephemeral === undefined ? [] : [`${pod.metadata.name}-${name}`];
  });
  return names.map((name) => `${pod.metadata.namespace}/${name}`);
}

/** Lets a deleted claim go once no living pod uses it. */
export function createPvcProtectionController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const claims = informers.informer(PersistentVolumeClaim).lister;
  const pods = informers.informer(Pod, { indexes: { claim: claimsOf } }).lister;
  return defineController<PersistentVolumeClaim>(deps, {
    name: "pvc-protection",
    for: PersistentVolumeClaim,
    changed: (claim) => claim.metadata.deletionTimestamp !== undefined,
    watches: [
      mapped(Pod, (pod) => claimsOf(pod).filter((key) => claims.byKey(key)?.metadata.deletionTimestamp !== undefined)),
    ],
    workers: 2,
    async reconcile(key, { signal }) {
      const claim = claims.byKey(key);
      const { deletionTimestamp, finalizers = [] } = claim?.metadata ?? {};
      if (claim === undefined || deletionTimestamp === undefined || !finalizers.includes(CLAIM_FINALIZER)) return done;
      const isUsed = pods.byIndex("claim", key).some((pod) => !isFinished(pod) && (pod.spec.nodeName ?? "") !== "");
      if (isUsed) return done;
      const left = finalizers.filter((each) => each !== CLAIM_FINALIZER);
      await client.update(
        PersistentVolumeClaim,
        { ...claim, metadata: { ...claim.metadata, finalizers: left } },
        { signal },
      );
      return done;
    },
  });
}

/** Lets a deleted volume go once no claim is bound to it. */
export function createPvProtectionController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const volumes = informers.informer(PersistentVolume).lister;
  return defineController<PersistentVolume>(deps, {
    name: "pv-protection",
    for: PersistentVolume,
    changed: (volume) => volume.metadata.deletionTimestamp !== undefined,
    workers: 1,
    async reconcile(name, { signal }) {
      const volume = volumes.byKey(name);
      const { deletionTimestamp, finalizers = [] } = volume?.metadata ?? {};
      if (volume === undefined || deletionTimestamp === undefined || !finalizers.includes(VOLUME_FINALIZER))
        return done;
      if (volume.status?.phase === "Bound") return done;
      const left = finalizers.filter((each) => each !== VOLUME_FINALIZER);
      await client.update(
        PersistentVolume,
        { ...volume, metadata: { ...volume.metadata, finalizers: left } },
        { signal },
      );
      return done;
    },
  });
}
