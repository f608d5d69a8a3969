import { createHash } from "node:crypto";
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { CSIDriver } from "@coracle/api/storage/v1";
import { claimUseOf, foreignClaim, inTreeKindOf } from "@coracle/apimachinery/storage";
import { isFinished } from "../pods/pod-state.ts";

/** A volume that must be attached to a node before it can be mounted there. */
export interface Attachable {
  readonly volume: PersistentVolume;
  readonly driver: string;
  readonly handle: string;
}

/** What is known of the storage that pods use. */
export interface StorageLookup {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  driver(name: string): CSIDriver | undefined;
}

/** The name under which nodes tell that a volume is attached, or in use. */
export const uniqueName = ({ driver, handle }: Pick<Attachable, "driver" | "handle">): string =>
  `kubernetes.io/csi/${driver}^${handle}`;

/** The name of the VolumeAttachment of a volume to a node. */
export const attachmentName = ({ driver, handle }: Pick<Attachable, "driver" | "handle">, nodeName: string): string =>
  `csi-${createHash("sha256").update(`${handle}${driver}${nodeName}`).digest("hex")}`;

/** How a driver attaches a volume; undefined: it is of no driver, or of one that attaches nothing. */
export function attachableOf(volume: PersistentVolume, lookup: Pick<StorageLookup, "driver">): Attachable | undefined {
  const { spec, metadata } = volume;
  const migrated = spec === undefined ? undefined : inTreeKindOf(spec, metadata.labels);
  const driver = spec?.csi?.driver ?? migrated?.driver;
  const handle = spec?.csi?.volumeHandle ?? migrated?.handle;
  if (driver === undefined || handle === undefined) return undefined;
  return lookup.driver(driver)?.spec.attachRequired === false ? undefined : { volume, driver, handle };
}

/** What must be attached for a pod to run. Claims that are not bound yet are left out. */
export function attachablesOf(pod: Pod, lookup: StorageLookup): readonly Attachable[] {
  const { namespace = "" } = pod.metadata;
  return (pod.spec.volumes ?? []).flatMap((each) => {
    const use = claimUseOf(pod, each);
    const claim = use === undefined ? undefined : lookup.claim(namespace, use.name);
    if (use === undefined || claim?.status?.phase !== "Bound") return [];
    if (use.isEphemeral && foreignClaim(pod, claim) !== undefined) return [];
    const volume = lookup.volume(claim.spec?.volumeName ?? "");
    if (volume === undefined || volume.spec?.claimRef?.uid !== claim.metadata.uid) return [];
    return attachableOf(volume, lookup) ?? [];
  });
}

/** Whether several nodes may have the volume at once. */
export function mayBeShared({ volume }: Attachable): boolean {
  const modes = volume.spec?.accessModes ?? [];
  return modes.length === 0 || modes.includes("ReadWriteMany") || modes.includes("ReadOnlyMany");
}

/** Whether the pod is past using its volumes. */
export function isTerminated(pod: Pod): boolean {
  if (isFinished(pod)) return true;
  if (pod.metadata.deletionTimestamp === undefined) return false;
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  const all = [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses];
  return all.every(({ state }) => state?.terminated !== undefined || state?.waiting !== undefined);
}
