import type { Node, PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import { compareQuantities } from "@coracle/apimachinery";
import { requestOf, sizeOf, type Candidates } from "@coracle/apimachinery/storage";
import { matchesNodeSelector } from "../framework/node-selector.ts";

/** The smaller claim first. */
export const compareClaims = (a: PersistentVolumeClaim, b: PersistentVolumeClaim): number =>
  compareQuantities(sizeOf(requestOf(a)), sizeOf(requestOf(b)));

/** Whether the volume can be reached from the node. */
export function isReachable({ spec }: PersistentVolume, node: Node): boolean {
  const required = spec?.nodeAffinity?.required;
  return required === undefined || matchesNodeSelector(required, node);
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
