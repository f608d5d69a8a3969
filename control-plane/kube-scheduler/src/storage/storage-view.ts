import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from "@coracle/api/core/v1";
import type { CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment } from "@coracle/api/storage/v1";

/** What is known of storage. What a cluster has none of may be left out. */
export interface StorageView {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  storageClass(name: string): StorageClass | undefined;
  /** Volumes of a storage class; "" for those of none. */
  volumesOfClass?(className: string): readonly PersistentVolume[];
  csiNode?(nodeName: string): CSINode | undefined;
  csiDriver?(name: string): CSIDriver | undefined;
  /** Of all namespaces. */
  capacitiesOfClass?(className: string): readonly CSIStorageCapacity[];
  attachmentsTo?(nodeName: string): readonly VolumeAttachment[];
}

/** Marks a claim whose volume knows of it, and the other way round. */
export const BIND_COMPLETED = "pv.kubernetes.io/bind-completed";
/** The node that a volume is to be made for. */
export const SELECTED_NODE = "volume.kubernetes.io/selected-node";
const BETA_CLASS = "volume.beta.kubernetes.io/storage-class";

/** The storage class a claim asks for; "": none. */
export const classOfClaim = ({ metadata, spec }: PersistentVolumeClaim): string =>
  metadata.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? "";

/** The storage class of a volume; "": none. */
export const classOfVolume = ({ metadata, spec }: PersistentVolume): string =>
  metadata.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? "";

/** `NAMESPACE/NAME`. */
export const keyOfClaim = ({ metadata }: PersistentVolumeClaim): string => `${metadata.namespace}/${metadata.name}`;

/** Bound, and both sides know. */
export const isFullyBound = ({ metadata, spec }: PersistentVolumeClaim): boolean =>
  (spec?.volumeName ?? "") !== "" && metadata.annotations?.[BIND_COMPLETED] !== undefined;

/** A claim of a pod by the volume that uses it. */
export interface ClaimUse {
  readonly name: string;
  /** Made for this pod alone, from its spec. */
  readonly isEphemeral: boolean;
}

/** The claim that a volume of a pod uses. */
export function claimUseOf(pod: Pod, volume: Volume): ClaimUse | undefined {
  if (volume.persistentVolumeClaim !== undefined)
    return { name: volume.persistentVolumeClaim.claimName, isEphemeral: false };
  return volume.ephemeral === undefined
    ? undefined
    : { name: `${pod.metadata.name}-${volume.name}`, isEphemeral: true };
}

const NO_USES: readonly ClaimUse[] = [];

/** The claims that a pod uses, in the order of its volumes. */
export function claimUsesOf(pod: Pod): readonly ClaimUse[] {
  const { volumes } = pod.spec;
  if (volumes === undefined || volumes.length === 0) return NO_USES;
  return volumes.flatMap((volume) => claimUseOf(pod, volume) ?? []);
}

/** Whether the pod uses this claim. */
export function usesClaim(pod: Pod, claim: PersistentVolumeClaim): boolean {
  if (pod.metadata.namespace !== claim.metadata.namespace) return false;
  return claimUsesOf(pod).some(({ name }) => name === claim.metadata.name);
}

/** Why a claim of the name of the pod's own is another's; undefined: it is the pod's. */
export function foreignClaim(pod: Pod, { metadata }: PersistentVolumeClaim): string | undefined {
  const isOwner = metadata.ownerReferences?.some(
    ({ controller, uid }) => controller === true && uid === pod.metadata.uid,
  );
  if (isOwner === true) return undefined;
  const { namespace, name } = pod.metadata;
  return `PVC ${metadata.namespace}/${metadata.name} was not created for pod ${namespace}/${name} (pod is not owner)`;
}
