import type { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment } from "@coracle/api/storage/v1";
import { BIND_COMPLETED, claimUsesOf } from "@coracle/apimachinery/storage";

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

/** `NAMESPACE/NAME`. */
export const keyOfClaim = ({ metadata }: PersistentVolumeClaim): string => `${metadata.namespace}/${metadata.name}`;

/** Bound, and both sides know. */
export const isFullyBound = ({ metadata, spec }: PersistentVolumeClaim): boolean =>
  (spec?.volumeName ?? "") !== "" && metadata.annotations?.[BIND_COMPLETED] !== undefined;

/** Whether the pod uses this claim. */
export function usesClaim(pod: Pod, claim: PersistentVolumeClaim): boolean {
  if (pod.metadata.namespace !== claim.metadata.namespace) return false;
  return claimUsesOf(pod).some(({ name }) => name === claim.metadata.name);
}
