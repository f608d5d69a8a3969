import type { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import { compareQuantities } from "@coracle/apimachinery";
import { inTreeKindOf, requestOf, sizeOf } from "@coracle/apimachinery/storage";

/** Who is to make the claim's volume larger. */
export const RESIZER = "volume.kubernetes.io/storage-resizer";
/** The size that the file system on a volume has while the volume is larger already. */
const PRE_RESIZE_CAPACITY = "volume.alpha.kubernetes.io/pre-resize-capacity";

const capacityOf = ({ status }: PersistentVolumeClaim): string | undefined => status?.capacity?.["storage"];

/** Whether more is asked for, or more is there. */
export function hasGrown(old: PersistentVolumeClaim, claim: PersistentVolumeClaim): boolean {
  return (
    compareQuantities(sizeOf(requestOf(claim)), sizeOf(requestOf(old))) > 0 ||
    compareQuantities(sizeOf(capacityOf(claim)), sizeOf(capacityOf(old))) > 0
  );
}

/** What users are told of a claim that asks for more than it has, and who must do something. */
export interface Expansion {
  readonly message: string;
  readonly resizer?: string;
}

/** Undefined: nothing is to be made larger. Throws when the volume is not the claim's: it may be soon. */
export function planExpansion(
  claim: PersistentVolumeClaim,
  volume: PersistentVolume | undefined,
): Expansion | undefined {
  const { namespace, name, uid } = claim.metadata;
  if (volume === undefined) throw new Error(`failed to get PV "${claim.spec?.volumeName}"`);
  const { spec, metadata } = volume;
  if (spec?.claimRef?.namespace !== namespace || spec?.claimRef?.uid !== uid)
    throw new Error(`persistent Volume is not bound to PVC being updated : ${namespace}/${name}`);
  const isEnough = compareQuantities(sizeOf(requestOf(claim)), sizeOf(capacityOf(claim))) <= 0;
  if (isEnough && metadata.annotations?.[PRE_RESIZE_CAPACITY] === undefined) return undefined;
  const migrated = inTreeKindOf(spec, metadata.labels);
  if (migrated === undefined) return { message: "waiting for an external controller to expand this PVC" };
  return {
    message: `CSI migration enabled for ${migrated.plugin}; waiting for external resizer to expand the pvc`,
    resizer: migrated.driver,
  };
}
