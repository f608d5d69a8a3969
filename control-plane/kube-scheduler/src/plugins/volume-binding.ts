import type { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { StorageClass } from "@coracle/api/storage/v1";
import { matchesNodeSelector } from "../framework/node-selector.ts";
import type { Plugin } from "../framework/plugin.ts";

/** What is known of storage. */
export interface VolumeLookup {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  storageClass(name: string): StorageClass | undefined;
}

const NAME = "VolumeBinding";
const BIND_COMPLETED = "pv.kubernetes.io/bind-completed";

interface Claims {
  readonly bound: readonly PersistentVolume[];
  /** Some wait to be bound until a node is chosen. */
  readonly hasDelayed: boolean;
}

/** A pod's claims must be bound, and their volumes reachable from the node. Binding itself is the controllers' business. */
export function createVolumeBinding(lookup: VolumeLookup): Plugin {
  return {
    name: NAME,
    events: ["volume-changed", "node-added", "node-changed", "pod-changed"],
    preFilter(state, pod) {
      const names = claimNames(pod);
      if (names.length === 0) return { skip: true };
      const claims = sort(pod, names, lookup);
      if (typeof claims === "string") return { rejected: [claims] };
      state.set(NAME, claims);
      return undefined;
    },
    filter(state, _pod, { node }) {
      const { bound, hasDelayed } = state.get(NAME) as Claims;
      const reasons: string[] = [];
      const isReachable = bound.every(({ spec }) => {
        const required = spec?.nodeAffinity?.required;
        return required === undefined || (node !== undefined && matchesNodeSelector(required, node));
      });
      if (!isReachable) reasons.push("node(s) didn't match PersistentVolume's node affinity");
      if (hasDelayed) reasons.push("node(s) didn't find available persistent volumes to bind");
      return reasons.length === 0 ? undefined : { reasons, isFinal: true };
    },
  };
}

function claimNames(pod: Pod): readonly string[] {
  return (pod.spec.volumes ?? []).flatMap((volume) => {
    if (volume.persistentVolumeClaim !== undefined) return [volume.persistentVolumeClaim.claimName];
    return volume.ephemeral === undefined ? [] : [`${pod.metadata.name}-${volume.name}`];
  });
}

/** The claims by what they wait for, or why the pod can run nowhere. */
function sort(pod: Pod, names: readonly string[], lookup: VolumeLookup): Claims | string {
  const bound: PersistentVolume[] = [];
  let hasDelayed = false;
  let hasUnbound = false;
  for (const name of names) {
    const claim = lookup.claim(pod.metadata.namespace ?? "", name);
    if (claim === undefined) return `persistentvolumeclaim "${name}" not found`;
    if (claim.metadata.deletionTimestamp !== undefined) return `persistentvolumeclaim "${name}" is being deleted`;
    const { volumeName = "", storageClassName = "" } = claim.spec ?? {};
    if (claim.status?.phase === "Lost")
      return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${volumeName}"`;
    if (volumeName !== "" && claim.metadata.annotations?.[BIND_COMPLETED] !== undefined) {
      const volume = lookup.volume(volumeName);
      if (volume === undefined) return `persistentvolume "${volumeName}" not found`;
      bound.push(volume);
    } else if (volumeName === "" && lookup.storageClass(storageClassName)?.volumeBindingMode === "WaitForFirstConsumer")
      hasDelayed = true;
    else hasUnbound = true;
  }
  return hasUnbound ? "pod has unbound immediate PersistentVolumeClaims" : { bound, hasDelayed };
}
