import type { PersistentVolume } from "@coracle/api/core/v1";
import type { ResourceClaim } from "@coracle/api/resource/v1";

/** The plugins that the manager has. */
const PLUGINS = [
  ["hostPath", "kubernetes.io/host-path"],
  ["nfs", "kubernetes.io/nfs"],
  ["fc", "kubernetes.io/fc"],
  ["iscsi", "kubernetes.io/iscsi"],
] as const;

/** The plugin of a volume, with its driver. */
export function pluginOf({ spec }: PersistentVolume): string {
  if (spec?.csi !== undefined) return `kubernetes.io/csi:${spec.csi.driver}`;
  return PLUGINS.find(([member]) => spec?.[member] !== undefined)?.[1] ?? "N/A";
}

/** Whether a claim asks for devices as an administrator. */
export const adminAccessOf = ({ spec }: ResourceClaim): string =>
  String((spec.devices?.requests ?? []).some(({ exactly }) => exactly?.adminAccess === true));

/** Who made a claim. */
export function sourceOf({ metadata: { annotations } }: ResourceClaim): string {
  if (annotations?.["resource.kubernetes.io/extended-resource-claim"] === "true") return "extended_resource";
  return (annotations?.["resource.kubernetes.io/pod-claim-name"] ?? "") === "" ? "" : "resource_claim_template";
}

/** How many there are of each label values. */
export function countedBy<T>(
  items: Iterable<T>,
  labelsOf: (item: T) => readonly string[] | undefined,
): readonly (readonly [values: readonly string[], value: number])[] {
  const counts = new Map<string, { labels: readonly string[]; count: number }>();
  for (const item of items) {
    const labels = labelsOf(item);
    if (labels === undefined) continue;
    const key = labels.join("\n");
    const found = counts.get(key);
    if (found === undefined) counts.set(key, { labels, count: 1 });
    else found.count += 1;
  }
  return [...counts.values()].map(({ labels, count }) => [labels, count]);
}
