import { createHash } from "node:crypto";
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from "@coracle/api/core/v1";
import type { CSIDriver, VolumeAttachment } from "@coracle/api/storage/v1";
import { claimUseOf, foreignClaim, inTreeKindOf, isInlineMigratable } from "@coracle/apimachinery/storage";
import { isFinished } from "../pods/pod-state.ts";
import { inlineVolumeOf, reachedByNode } from "./inline-volume.ts";

/** A volume that must be attached to a node before it can be mounted there. */
export interface Attachable {
  /** As people are told of it. */
  readonly name: string;
  /** Under which nodes tell that it is attached, or in use. */
  readonly unique: string;
  /** Empty: any. */
  readonly accessModes: readonly string[];
  /** Who attaches it; undefined: the node reaches it by itself. */
  readonly by: Attaching | undefined;
}

/** The driver that attaches a volume, and what it is told. */
export interface Attaching {
  readonly driver: string;
  readonly handle: string;
  readonly source: VolumeAttachment["spec"]["source"];
}

/** What is known of the storage that pods use. */
export interface StorageLookup {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  driver(name: string): CSIDriver | undefined;
}

/** The name of the attachment of a volume to a node. */
export const attachmentName = ({ unique, by }: Pick<Attachable, "unique" | "by">, nodeName: string): string =>
  by === undefined
    ? `${unique} ${nodeName}`
    : `csi-${createHash("sha256").update(`${by.handle}${by.driver}${nodeName}`).digest("hex")}`;

/** How a volume is attached; undefined: it is of no driver, or of one that attaches nothing. */
export function attachableOf(volume: PersistentVolume, lookup: Pick<StorageLookup, "driver">): Attachable | undefined {
  const { spec, metadata } = volume;
  const { name = "" } = metadata;
  const { accessModes = [] } = spec ?? {};
  const local = spec === undefined ? undefined : reachedByNode(spec);
  if (local !== undefined) return { name, unique: local, accessModes, by: undefined };
  const migrated = spec === undefined ? undefined : inTreeKindOf(spec, metadata.labels);
  const driver = spec?.csi?.driver ?? migrated?.driver;
  const handle = spec?.csi?.volumeHandle ?? migrated?.handle;
  if (driver === undefined || handle === undefined) return undefined;
  return byDriver({ name, driver, handle, accessModes, source: { persistentVolumeName: name } }, lookup);
}

/** The same for a volume that a pod names itself. */
function inlineAttachable(volume: Volume, lookup: Pick<StorageLookup, "driver">): Attachable | undefined {
  const local = reachedByNode(volume);
  // Nobody says how often such a volume may be attached.
  if (local !== undefined) return { name: volume.name, unique: local, accessModes: [], by: undefined };
  const inline = inlineVolumeOf(volume);
  if (inline === undefined) return undefined;
  const { spec, ...rest } = inline;
  const { accessModes = [] } = spec;
  return byDriver({ ...rest, accessModes, source: { inlineVolumeSpec: spec } }, lookup);
}

function byDriver(
  { name, driver, handle, accessModes, source }: Attaching & Pick<Attachable, "name" | "accessModes">,
  lookup: Pick<StorageLookup, "driver">,
): Attachable | undefined {
  if (lookup.driver(driver)?.spec.attachRequired === false) return undefined;
  return { name, unique: `kubernetes.io/csi/${driver}^${handle}`, accessModes, by: { driver, handle, source } };
}

/** Whether anything that a pod uses may have to be attached. */
export const mayAttach = (pod: Pod): boolean =>
  (pod.spec.volumes ?? []).some(
    (volume) =>
      claimUseOf(pod, volume) !== undefined || reachedByNode(volume) !== undefined || isInlineMigratable(volume),
  );

/** What must be attached for a pod to run. Claims that are not bound yet are left out. */
export function attachablesOf(pod: Pod, lookup: StorageLookup): readonly Attachable[] {
  const { namespace = "" } = pod.metadata;
  return (pod.spec.volumes ?? []).flatMap((each) => {
    const use = claimUseOf(pod, each);
    const claim = use === undefined ? undefined : lookup.claim(namespace, use.name);
    if (use === undefined) return inlineAttachable(each, lookup) ?? [];
    if (claim?.status?.phase !== "Bound") return [];
    if (use.isEphemeral && foreignClaim(pod, claim) !== undefined) return [];
    const volume = lookup.volume(claim.spec?.volumeName ?? "");
    if (volume === undefined || volume.spec?.claimRef?.uid !== claim.metadata.uid) return [];
    return attachableOf(volume, lookup) ?? [];
  });
}

/** Whether several nodes may have the volume at once. */
export const mayBeShared = ({ accessModes }: Attachable): boolean =>
  accessModes.length === 0 || accessModes.includes("ReadWriteMany") || accessModes.includes("ReadOnlyMany");

/** Whether the pod is past using its volumes. */
export function isTerminated(pod: Pod): boolean {
  if (isFinished(pod)) return true;
  if (pod.metadata.deletionTimestamp === undefined) return false;
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  const all = [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses];
  return all.every(({ state }) => state?.terminated !== undefined || state?.waiting !== undefined);
}
