import type { CSIDriver } from "@coracle/api/storage/v1";
import type { PersistentVolume, Pod, Volume } from "@coracle/api/core/v1";

/** How a pod wants a volume to be labelled. */
export interface VolumeLabel {
  readonly label: string;
  /** `MountOption` or `Recursive`. */
  readonly changePolicy: string;
}

/** Two pods that cannot both have a volume on one node. */
export interface Conflict {
  readonly property: "SELinuxChangePolicy" | "SELinuxLabel";
  /** `NAMESPACE/NAME` of who is told. */
  readonly pod: string;
  readonly value: string;
  readonly otherPod: string;
  readonly otherValue: string;
}

/** A volume that is mounted with a label, and may be shared; `driver` where it is a CSI driver's. */
export interface LabelledVolume {
  readonly id: string;
  readonly driver: string | undefined;
}

/** The volume behind a source, where its plugin could mount it with a label at all; undefined: it never conflicts. */
export function labelledVolume(source: Volume | NonNullable<PersistentVolume["spec"]>): LabelledVolume | undefined {
  const { iscsi, fc } = source;
  if (iscsi !== undefined) return { id: `iscsi/${iscsi.targetPortal}:${iscsi.iqn}:${iscsi.lun}`, driver: undefined };
  if (fc !== undefined)
    return { id: `fc/${(fc.targetWWNs ?? fc.wwids ?? []).join(":")}:${fc.lun ?? ""}`, driver: undefined };
  const { csi } = source;
  if (csi === undefined || !("volumeHandle" in csi)) return undefined; // a pod's own CSI volume is not shared
  return { id: `csi/${csi.driver}^${csi.volumeHandle}`, driver: csi.driver };
}

/** Whether a driver says that its volumes can be mounted with a label. */
export const canMountLabelled = (driver: CSIDriver | undefined): boolean => driver?.spec.seLinuxMount === true;

/** The label that a pod's containers want for a volume; undefined: they want several. */
export function labelWanted({ spec }: Pod, volume: string): string | undefined {
  const labels = new Set<string>();
  for (const container of [...spec.containers, ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])]) {
    if (!(container.volumeMounts ?? []).some(({ name }) => name === volume)) continue;
    const options = container.securityContext?.seLinuxOptions ?? spec.securityContext?.seLinuxOptions;
    if (options === undefined) continue;
    const { user = "", role = "", type = "", level = "" } = options;
    const label = [user, role, type, level].join(":");
    labels.add(label === ":::" ? "" : label);
  }
  return labels.size > 1 ? undefined : ([...labels][0] ?? "");
}

/** What becomes of the wish: a label only where the volume and the pod let it be mounted. */
export function volumeLabel({ spec }: Pod, wanted: string, canMount: boolean): VolumeLabel {
  const policy = spec.securityContext?.seLinuxChangePolicy ?? "MountOption";
  const label = canMount && policy !== "Recursive" ? wanted : "";
  return { label, changePolicy: label === "" ? "Recursive" : policy };
}

/** Parts that one leaves out do not conflict, but for the level. */
export function labelsConflict(a: string, b: string): boolean {
  const [left, right] = [partsOf(a), partsOf(b)];
  return left.some((part, i) => {
    const other = right[i] ?? "";
    return part !== other && (i === 3 || (part !== "" && other !== ""));
  });
}

/** User, role, type and level, which may hold colons. */
function partsOf(label: string): readonly string[] {
  const parts = label.split(":");
  return [parts[0] ?? "", parts[1] ?? "", parts[2] ?? "", parts.slice(3).join(":")];
}

/** Who conflicts with `pod`, told from both sides. */
export function conflictsOf(pod: string, users: ReadonlyMap<string, VolumeLabel>): readonly Conflict[] {
  const own = users.get(pod);
  if (own === undefined) return [];
  const conflicts: Conflict[] = [];
  for (const [otherPod, other] of users) {
    const both = (property: Conflict["property"], value: string, otherValue: string): void =>
      void conflicts.push(
        { property, pod, value, otherPod, otherValue },
        { property, pod: otherPod, value: otherValue, otherPod: pod, otherValue: value },
      );
    if (other.changePolicy !== own.changePolicy) both("SELinuxChangePolicy", own.changePolicy, other.changePolicy);
    if (labelsConflict(other.label, own.label)) both("SELinuxLabel", own.label, other.label);
  }
  return conflicts;
}

/** What a pod is told; pods of other namespaces are not named. */
export function conflictMessage({ property, pod, value, otherPod, otherValue }: Conflict): string {
  const end = "If both pods land on the same node, only one of them may access the volume.";
  const [namespace] = pod.split("/");
  const [otherNamespace, otherName] = otherPod.split("/");
  // Without a space after the property, as upstream has it.
  return namespace === otherNamespace
    ? `${property} "${value}" conflicts with pod ${otherName} that uses the same volume as this pod with ${property} "${otherValue}". ${end}`
    : `${property}"${value}" conflicts with another pod that uses the same volume as this pod with a different ${property}. ${end}`;
}
