import type { Node, PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import {
  compareQuantities,
  compileLabelSelector,
  parseQuantity,
  type Quantity,
  zeroQuantity,
} from "@coracle/apimachinery";
import { matchesNodeSelector } from "../framework/node-selector.ts";
import { classOfClaim, classOfVolume } from "./storage-view.ts";

const BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller";

/** The storage a claim asks for. */
export const requestOf = ({ spec }: PersistentVolumeClaim): string | undefined =>
  spec?.resources?.requests?.["storage"];

const sizeOf = (text: string | undefined): Quantity => (text === undefined ? zeroQuantity : parseQuantity(text));

/** The smaller claim first. */
export const compareClaims = (a: PersistentVolumeClaim, b: PersistentVolumeClaim): number =>
  compareQuantities(sizeOf(requestOf(a)), sizeOf(requestOf(b)));

/** Whether the volume can be reached from the node. */
export function isReachable({ spec }: PersistentVolume, node: Node): boolean {
  const required = spec?.nodeAffinity?.required;
  return required === undefined || matchesNodeSelector(required, node);
}

/** Whether the volume names this claim (a claim of that name, where no uid is given). */
export function isMeantFor(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const ref = volume.spec?.claimRef;
  if (ref?.name !== claim.metadata.name || ref?.namespace !== claim.metadata.namespace) return false;
  return (ref?.uid ?? "") === "" || ref?.uid === claim.metadata.uid;
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
    if ((claim.spec?.volumeMode ?? "Filesystem") !== (spec?.volumeMode ?? "Filesystem")) continue;
    if ((claim.spec?.volumeAttributesClassName ?? "") !== (spec?.volumeAttributesClassName ?? "")) continue;
    if (metadata.deletionTimestamp !== undefined) continue;
    if (isMeantFor(volume, claim)) return { meant: volume, fitting: [] };
    if (status?.phase !== "Available" || classOfVolume(volume) !== className) continue;
    if (selects?.matches(metadata.labels ?? {}) === false) continue;
    const modes = new Set(spec?.accessModes ?? []);
    if (!(claim.spec?.accessModes ?? []).every((mode) => modes.has(mode))) continue;
    fitting.push({ volume, size });
  }
  fitting.sort((a, b) => compareQuantities(a.size, b.size));
  return { meant: undefined, fitting: fitting.map(({ volume }) => volume) };
}

/** The volume to bind on this node: the smallest that is not `taken`. */
export function chooseVolume(
  { meant, fitting }: Candidates,
  node: Node,
  taken: ReadonlySet<string>,
): PersistentVolume | undefined {
  const isFree = (volume: PersistentVolume): boolean => !taken.has(volume.metadata.name ?? "");
  if (meant !== undefined) return isFree(meant) && isReachable(meant, node) ? meant : undefined;
  return fitting.find((volume) => isFree(volume) && isReachable(volume, node));
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
