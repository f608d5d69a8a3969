import type { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import { compareQuantities, equalJson, parseQuantity, QuantityError } from "@coracle/apimachinery";
import { BIND_COMPLETED, BOUND_BY_CONTROLLER, driverOfPlugin } from "@coracle/apimachinery/storage";

/** Who made a volume. */
export const PROVISIONED_BY = "pv.kubernetes.io/provisioned-by";
/** The driver that looks after what a built-in plugin made once. */
export const MIGRATED_TO = "pv.kubernetes.io/migrated-to";
const PROVISIONERS = ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];
/** The size that the file system on a volume has while the volume is larger already. */
const PRE_RESIZE_CAPACITY = "volume.alpha.kubernetes.io/pre-resize-capacity";
const BUILT_IN = "kubernetes.io/";
const IN_TREE_FINALIZER = "kubernetes.io/pv-controller";
const EXTERNAL_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer";

type Annotated = PersistentVolume | PersistentVolumeClaim;

/** The object with some annotations set, or taken away (undefined). */
function annotated<T extends Annotated>(object: T, changes: Readonly<Record<string, string | undefined>>): T {
  const annotations: Record<string, string> = { ...object.metadata.annotations };
  for (const [key, value] of Object.entries(changes))
    if (value === undefined) delete annotations[key];
    else annotations[key] = value;
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** The claim once it is bound to the volume; the same object when it is. */
export function claimBoundTo(claim: PersistentVolumeClaim, { metadata }: PersistentVolume): PersistentVolumeClaim {
  const isNamed = claim.spec?.volumeName === metadata.name;
  const isComplete = claim.metadata.annotations?.[BIND_COMPLETED] !== undefined;
  if (isNamed && isComplete) return claim;
  const { [BIND_COMPLETED]: completed = "yes", [BOUND_BY_CONTROLLER]: byUs = "yes" } = claim.metadata.annotations ?? {};
  const marks = { [BIND_COMPLETED]: completed, ...(isNamed ? {} : { [BOUND_BY_CONTROLLER]: byUs }) };
  return { ...annotated(claim, marks), spec: { ...claim.spec, volumeName: metadata.name } };
}

/** The volume once its claim is no longer its own: free, or still reserved for a claim of that name. */
export function unbound(volume: PersistentVolume): PersistentVolume {
  const { claimRef, ...spec } = volume.spec ?? {};
  if (volume.metadata.annotations?.[BOUND_BY_CONTROLLER] !== undefined)
    return { ...annotated(volume, { [BOUND_BY_CONTROLLER]: undefined }), spec };
  const { uid: _, ...reserved } = claimRef ?? {};
  return { ...volume, spec: { ...spec, claimRef: reserved } };
}

/** The claim that is asked of a provisioner; the same object when it is. */
export function claimFor(claim: PersistentVolumeClaim, provisioner: string): PersistentVolumeClaim {
  if (claim.metadata.annotations?.[PROVISIONERS[0] ?? ""] === provisioner) return claim;
  return annealedClaim(annotated(claim, Object.fromEntries(PROVISIONERS.map((key) => [key, provisioner]))));
}

function withMigration<T extends Annotated>(object: T, plugin: string | undefined): T {
  if (plugin === undefined) return object;
  const driver = driverOfPlugin(plugin);
  const told = object.metadata.annotations?.[MIGRATED_TO] ?? "";
  return told === (driver ?? "") ? object : annotated(object, { [MIGRATED_TO]: driver });
}

/** The claim with the driver told that took over its provisioner; the same object when it is right. */
export function annealedClaim(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  const { annotations } = claim.metadata;
  return withMigration(
    claim,
    PROVISIONERS.map((key) => annotations?.[key]).find((name) => name !== undefined),
  );
}

/** The volume with the driver told that took over, and protected while a built-in plugin must delete it; the same object when it is right. */
export function annealedVolume(volume: PersistentVolume): PersistentVolume {
  const plugin = volume.metadata.annotations?.[PROVISIONED_BY];
  const migrated = withMigration(volume, plugin);
  const { finalizers = [] } = volume.metadata;
  const wanted = plugin === undefined ? finalizers : finalizersOf(volume, plugin, finalizers);
  if (equalJson(wanted, finalizers)) return migrated;
  return { ...migrated, metadata: { ...migrated.metadata, finalizers: wanted } };
}

function finalizersOf({ spec }: PersistentVolume, plugin: string, finalizers: readonly string[]): readonly string[] {
  if (driverOfPlugin(plugin) !== undefined) return finalizers.filter((one) => one !== IN_TREE_FINALIZER);
  if (!plugin.startsWith(BUILT_IN)) return finalizers;
  const ours = finalizers.filter((one) => one !== EXTERNAL_FINALIZER);
  if (spec?.persistentVolumeReclaimPolicy !== "Delete") return ours.filter((one) => one !== IN_TREE_FINALIZER);
  return ours.includes(IN_TREE_FINALIZER) ? ours : [...ours, IN_TREE_FINALIZER];
}

/** The volume once what it stood for is deleted. */
export function withoutDeletionFinalizer(volume: PersistentVolume): PersistentVolume {
  const { finalizers = [] } = volume.metadata;
  if (!finalizers.includes(IN_TREE_FINALIZER)) return volume;
  const left = finalizers.filter((one) => one !== IN_TREE_FINALIZER);
  return { ...volume, metadata: { ...volume.metadata, finalizers: left } };
}

/** The status of a claim that is bound to nothing; the same object when nothing changes. */
export function unboundStatus(claim: PersistentVolumeClaim, phase: "Pending" | "Lost"): PersistentVolumeClaim {
  const { accessModes, capacity, currentVolumeAttributesClassName, ...kept } = claim.status ?? {};
  const isClear = [accessModes, capacity, currentVolumeAttributesClassName].every((value) => value === undefined);
  return isClear && kept.phase === phase ? claim : { ...claim, status: { ...kept, phase } };
}

/** The status of a claim that is bound to the volume; the same object when nothing changes. */
export function boundStatus(claim: PersistentVolumeClaim, volume: PersistentVolume): PersistentVolumeClaim {
  const { status = {} } = claim;
  const { accessModes, volumeAttributesClassName } = volume.spec ?? {};
  const modes = { accessModes };
  // Who is bound already may be resized or given other attributes by others.
  if (status.phase === "Bound")
    return equalJson(status.accessModes, accessModes) ? claim : { ...claim, status: { ...status, ...modes } };
  const capacity = capacityOf(volume, status.capacity);
  const { currentVolumeAttributesClassName: current, ...rest } = status;
  const attributes = status.phase === "Pending" ? volumeAttributesClassName : current;
  return {
    ...claim,
    status: {
      ...rest,
      phase: "Bound",
      ...modes,
      capacity,
      ...(attributes === undefined ? {} : { currentVolumeAttributesClassName: attributes }),
    },
  };
}

type Capacity = Readonly<Record<string, string>>;

function capacityOf({ metadata, spec }: PersistentVolume, told: Capacity | undefined): Capacity {
  const size = spec?.capacity?.["storage"];
  if (size === undefined) throw new Error(`PersistentVolume "${metadata.name}" is without a storage capacity`);
  const before = metadata.annotations?.[PRE_RESIZE_CAPACITY];
  if (before !== undefined) return { ...told, storage: isQuantity(before) ? before : size };
  const current = told?.["storage"];
  if (current !== undefined && compareQuantities(parseQuantity(current), parseQuantity(size)) === 0) return told ?? {};
  return spec?.capacity ?? {};
}

function isQuantity(text: string): boolean {
  try {
    parseQuantity(text);
    return true;
  } catch (error) {
    if (error instanceof QuantityError) return false;
    throw error;
  }
}
