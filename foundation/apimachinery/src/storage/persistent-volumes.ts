import type { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import { compareQuantities, parseQuantity, zeroQuantity, type Quantity } from "../quantity/quantity.ts";
import { compileLabelSelector } from "../selector/label-selector.ts";

/** Marks a claim whose volume knows of it, and the other way round. */
export const BIND_COMPLETED = "pv.kubernetes.io/bind-completed";
/** The node that a volume is to be made for. */
export const SELECTED_NODE = "volume.kubernetes.io/selected-node";
/** Marks which half of a binding was not there before: on a volume, its claim; on a claim, its volume. */
export const BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller";
const BETA_CLASS = "volume.beta.kubernetes.io/storage-class";

/** The storage class a claim asks for; "": none. */
export const classOfClaim = ({ metadata, spec }: PersistentVolumeClaim): string =>
  metadata.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? "";

/** The storage class of a volume; "": none. */
export const classOfVolume = ({ metadata, spec }: PersistentVolume): string =>
  metadata.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? "";

/** Whether the claim says which storage class it wants, be it none. */
export const hasClass = ({ metadata, spec }: PersistentVolumeClaim): boolean =>
  metadata.annotations?.[BETA_CLASS] !== undefined || spec?.storageClassName !== undefined;

/** The storage a claim asks for. */
export const requestOf = ({ spec }: PersistentVolumeClaim): string | undefined =>
  spec?.resources?.requests?.["storage"];

/** A quantity; none is nothing. */
export const sizeOf = (text: string | undefined): Quantity => (text === undefined ? zeroQuantity : parseQuantity(text));

/** Whether the volume names this claim (a claim of that name, where no uid is given). */
export function isMeantFor(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const ref = volume.spec?.claimRef;
  if (ref?.name !== claim.metadata.name || ref?.namespace !== claim.metadata.namespace) return false;
  return (ref?.uid ?? "") === "" || ref?.uid === claim.metadata.uid;
}

/** Both a filesystem or both a device. */
export const isOfSameMode = (claim: PersistentVolumeClaim, volume: PersistentVolume): boolean =>
  (claim.spec?.volumeMode ?? "Filesystem") === (volume.spec?.volumeMode ?? "Filesystem");

/** Whether the volume has every access mode that the claim wants. */
export function hasModes(claim: PersistentVolumeClaim, volume: PersistentVolume): boolean {
  const modes = volume.spec?.accessModes ?? [];
  return (claim.spec?.accessModes ?? []).every((mode) => modes.includes(mode));
}

/** Volumes that could serve a claim on some node. */
export interface Candidates {
  /** The only choice: it names the claim. */
  readonly meant: PersistentVolume | undefined;
  /** The smallest first. */
  readonly fitting: readonly PersistentVolume[];
}

/** Of the volumes of the claim's class, those that could serve it if the node is right. */
export function candidatesFor(claim: PersistentVolumeClaim, volumes: readonly PersistentVolume[]): Candidates {
  const request = sizeOf(requestOf(claim));
  const className = classOfClaim(claim);
  const { selector } = claim.spec ?? {};
  const selects = selector === undefined ? undefined : compileLabelSelector(selector);
  const fitting: { readonly volume: PersistentVolume; readonly size: Quantity }[] = [];
  for (const volume of volumes) {
    const { spec, status, metadata } = volume;
    if (spec?.claimRef !== undefined && !isMeantFor(volume, claim)) continue;
    const size = sizeOf(spec?.capacity?.["storage"]);
    if (compareQuantities(size, request) < 0) continue;
    if (!isOfSameMode(claim, volume)) continue;
    if ((claim.spec?.volumeAttributesClassName ?? "") !== (spec?.volumeAttributesClassName ?? "")) continue;
    if (metadata.deletionTimestamp !== undefined) continue;
    if (isMeantFor(volume, claim)) return { meant: volume, fitting: [] };
    if (status?.phase !== "Available" || classOfVolume(volume) !== className) continue;
    if (selects?.matches(metadata.labels ?? {}) === false) continue;
    if (!hasModes(claim, volume)) continue;
    fitting.push({ volume, size });
  }
  fitting.sort((a, b) => compareQuantities(a.size, b.size));
  return { meant: undefined, fitting: fitting.map(({ volume }) => volume) };
}

/** The volume as it is once it belongs to the claim. */
export function boundTo(volume: PersistentVolume, claim: PersistentVolumeClaim): PersistentVolume {
  const { namespace, name, uid, resourceVersion } = claim.metadata;
  const ref = volume.spec?.claimRef;
  const isSame = ref?.name === name && ref?.namespace === namespace && ref?.uid === uid;
  const claimRef = isSame
    ? ref
    : { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid, resourceVersion };
  const annotations = isMeantFor(volume, claim)
    ? volume.metadata.annotations
    : { ...volume.metadata.annotations, [BOUND_BY_CONTROLLER]: "yes" };
  return { ...volume, metadata: { ...volume.metadata, annotations }, spec: { ...volume.spec, claimRef } };
}
