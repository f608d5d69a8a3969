import type { PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { CSINode } from "@coracle/api/storage/v1";
import {
  claimUseOf,
  classOfClaim,
  driverOfProvisioner,
  foreignClaim,
  isInlineMigratable,
  migratedVolume,
  type DriverVolume,
} from "@coracle/apimachinery/storage";
import type { ClusterChange, Plugin } from "../framework/plugin.ts";
import { usesClaim, type StorageView } from "../storage/storage-view.ts";

const NAME = "NodeVolumeLimits";
const EXCEEDED = "node(s) exceed max volume count";

/** Volume, by driver and handle → driver. */
type Attached = Map<string, string>;

/** A node takes no more volumes of a driver than the driver says. A volume of several pods counts once. */
export function createNodeVolumeLimits(view: StorageView): Plugin {
  return {
    name: NAME,
    events: ["csi-node-changed", "assigned-pod-deleted", "volume-claim-changed", "volume-attachment-deleted"],
    isHelpful: mayHaveRoomNow,
    preFilter: (_state, pod) => ({ skip: !mayAttach(pod) }),
    filter(_state, pod, node) {
      const csiNode = view.csiNode?.(node.name);
      const wanted: Attached = new Map();
      const problem = collect(view, pod, csiNode, true, wanted);
      if (problem !== undefined) return { reasons: [problem], isFinal: true };
      const limits = limitsOf(csiNode);
      if (wanted.size === 0 || limits.size === 0) return undefined;
      const attached: Attached = new Map();
      for (const other of node.pods) collect(view, other, csiNode, false, attached);
      const counts = new Map<string, number>();
      const count = (driver: string): void => void counts.set(driver, (counts.get(driver) ?? 0) + 1);
      for (const driver of attached.values()) count(driver);
      for (const [volume, driver] of attachments(view, node.name)) if (!attached.has(volume)) count(driver);
      for (const [volume, driver] of wanted) if (!attached.has(volume)) count(driver);
      for (const [volume, driver] of wanted) {
        if (attached.has(volume) || (counts.get(driver) ?? 0) <= (limits.get(driver) ?? Infinity)) continue;
        return { reasons: [EXCEEDED], isFinal: false };
      }
      return undefined;
    },
  };
}

const mayAttach = (pod: Pod): boolean =>
  pod.spec.volumes?.some((volume) => claimUseOf(pod, volume) !== undefined || isInlineMigratable(volume)) === true;

/** Adds the pod's volumes; for a new pod, says why they cannot be told. */
function collect(
  view: StorageView,
  pod: Pod,
  csiNode: CSINode | undefined,
  isNew: boolean,
  into: Attached,
): string | undefined {
  for (const volume of pod.spec.volumes ?? []) {
    const use = claimUseOf(pod, volume);
    if (use === undefined) {
      add(into, migratedVolume(volume, csiNode));
      continue;
    }
    const namespace = pod.metadata.namespace ?? "";
    const claim = view.claim(namespace, use.name);
    if (claim === undefined) {
      if (isNew) return `looking up PVC ${namespace}/${use.name}: persistentvolumeclaim "${use.name}" not found`;
      continue;
    }
    const foreign = use.isEphemeral ? foreignClaim(pod, claim) : undefined;
    if (foreign !== undefined) {
      if (isNew) return foreign;
      continue;
    }
    add(into, volumeOf(view, claim, csiNode));
  }
  return undefined;
}

function add(into: Attached, volume: DriverVolume | undefined): void {
  if (volume !== undefined) into.set(`${volume.driver}/${volume.handle}`, volume.driver);
}

/** The volume of a claim, or the one that will be made for it. */
function volumeOf(
  view: StorageView,
  claim: PersistentVolumeClaim,
  csiNode: CSINode | undefined,
): DriverVolume | undefined {
  const volume = view.volume(claim.spec?.volumeName ?? "");
  if (volume?.spec !== undefined) {
    const { csi } = volume.spec;
    if (csi !== undefined) return { driver: csi.driver, handle: csi.volumeHandle };
    return migratedVolume(volume.spec, csiNode, volume.metadata.labels);
  }
  const provisioner = view.storageClass(classOfClaim(claim))?.provisioner ?? "";
  const driver = provisioner === "" ? undefined : driverOfProvisioner(provisioner, csiNode);
  // No driver calls a volume so.
  const handle = `\0${claim.metadata.namespace}/${claim.metadata.name}`;
  return driver === undefined ? undefined : { driver, handle };
}

function limitsOf(csiNode: CSINode | undefined): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const { name, allocatable } of csiNode?.spec.drivers ?? [])
    if (allocatable?.count !== undefined) limits.set(name, allocatable.count);
  return limits;
}

/** What is attached to the node, whoever uses it. */
function attachments(view: StorageView, nodeName: string): Attached {
  const attached: Attached = new Map();
  for (const { spec } of view.attachmentsTo?.(nodeName) ?? []) {
    const csi = view.volume(spec.source.persistentVolumeName ?? "")?.spec?.csi;
    if (spec.attacher !== "" && csi !== undefined) add(attached, { driver: spec.attacher, handle: csi.volumeHandle });
  }
  return attached;
}

function mayHaveRoomNow(pod: Pod, { event, old, current }: ClusterChange): boolean {
  switch (event) {
    case "csi-node-changed": {
      if (old === undefined || current === undefined) return true;
      const before = limitsOf(old as CSINode);
      for (const [driver, limit] of limitsOf(current as CSINode)) if (limit > (before.get(driver) ?? 0)) return true;
      return false;
    }
    case "assigned-pod-deleted":
      return old === undefined || mayAttach(old as Pod);
    case "volume-claim-changed":
      return current === undefined || (old === undefined && usesClaim(pod, current as PersistentVolumeClaim));
    case "volume-attachment-deleted":
      return mayAttach(pod);
    default:
      return true;
  }
}
