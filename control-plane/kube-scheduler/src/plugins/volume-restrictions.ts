import type { PersistentVolumeClaim, Pod, Volume } from "@coracle/api/core/v1";
import type { ClusterChange, Plugin, Snapshot } from "../framework/plugin.ts";
import type { NodeState } from "../state/node-state.ts";
import type { StorageView } from "../storage/storage-view.ts";

const NAME = "VolumeRestrictions";
const DISK_CONFLICT = "node(s) had no available disk";
const ALONE_CONFLICT =
  "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";

/** Disks that cannot be used twice on a node, and claims that one pod alone may use anywhere. */
export function createVolumeRestrictions(view: Pick<StorageView, "claim">): Plugin {
  return {
    name: NAME,
    events: ["assigned-pod-deleted", "node-added", "volume-claim-changed"],
    isHelpful: mayBeFreeNow,
    preFilter(state, pod, snapshot) {
      const { volumes = [] } = pod.spec;
      if (volumes.length === 0) return { skip: true };
      const alone = new Set<string>();
      for (const { persistentVolumeClaim: use } of volumes) {
        if (use === undefined) continue;
        const claim = view.claim(pod.metadata.namespace ?? "", use.claimName);
        if (claim === undefined) return { rejected: [`persistentvolumeclaim "${use.claimName}" not found`] };
        if (claim.spec?.accessModes?.includes("ReadWriteOncePod") === true) alone.add(use.claimName);
      }
      const isTaken = alone.size > 0 && isUsedAnywhere(pod, alone, snapshot);
      if (!isTaken && !volumes.some(isExclusive)) return { skip: true };
      state.set(NAME, isTaken);
      return undefined;
    },
    filter(state, pod, node) {
      if (conflictsOn(pod, node)) return { reasons: [DISK_CONFLICT], isFinal: false };
      return state.get(NAME) === true ? { reasons: [ALONE_CONFLICT], isFinal: false } : undefined;
    },
  };
}

const isExclusive = (volume: Volume): boolean =>
  volume.gcePersistentDisk !== undefined ||
  volume.awsElasticBlockStore !== undefined ||
  volume.rbd !== undefined ||
  volume.iscsi !== undefined;

/** Whether a placed pod uses one of these claims of the pod's namespace. Looks at all pods: such claims are rare. */
function isUsedAnywhere(pod: Pod, claims: ReadonlySet<string>, snapshot: Snapshot): boolean {
  for (const node of snapshot.nodes())
    for (const other of node.pods) {
      if (other.spec.volumes === undefined || other.metadata.namespace !== pod.metadata.namespace) continue;
      if (other.spec.volumes.some((volume) => claims.has(volume.persistentVolumeClaim?.claimName ?? ""))) return true;
    }
  return false;
}

function conflictsOn(pod: Pod, node: NodeState): boolean {
  const exclusive = (pod.spec.volumes ?? []).filter(isExclusive);
  if (exclusive.length === 0) return false;
  for (const other of node.pods) if (conflictsWith(exclusive, other)) return true;
  return false;
}

function conflictsWith(exclusive: readonly Volume[], other: Pod): boolean {
  return (other.spec.volumes ?? []).some((theirs) => exclusive.some((ours) => isConflict(ours, theirs)));
}

/** Whether two pods cannot use both on one node: the same disk, unless both only read (of EBS not even then). */
function isConflict(a: Volume, b: Volume): boolean {
  const areReadOnly = (x: { readonly readOnly?: boolean | undefined }, y: typeof x): boolean =>
    x.readOnly === true && y.readOnly === true;
  if (a.gcePersistentDisk !== undefined && b.gcePersistentDisk?.pdName === a.gcePersistentDisk.pdName)
    return !areReadOnly(a.gcePersistentDisk, b.gcePersistentDisk);
  if (a.awsElasticBlockStore !== undefined && b.awsElasticBlockStore?.volumeID === a.awsElasticBlockStore.volumeID)
    return true;
  if (a.iscsi !== undefined && b.iscsi?.iqn === a.iscsi.iqn) return !areReadOnly(a.iscsi, b.iscsi);
  if (a.rbd === undefined || b.rbd === undefined) return false;
  const monitors = new Set(a.rbd.monitors);
  const isSameImage =
    b.rbd.monitors.some((monitor) => monitors.has(monitor)) && a.rbd.pool === b.rbd.pool && a.rbd.image === b.rbd.image;
  return isSameImage && !areReadOnly(a.rbd, b.rbd);
}

function mayBeFreeNow(pod: Pod, { event, old, current }: ClusterChange): boolean {
  const names = new Set((pod.spec.volumes ?? []).flatMap((each) => each.persistentVolumeClaim?.claimName ?? []));
  if (event === "volume-claim-changed") {
    if (current === undefined || old !== undefined) return current === undefined;
    const { namespace, name = "" } = (current as PersistentVolumeClaim).metadata;
    return namespace === pod.metadata.namespace && names.has(name);
  }
  if (event !== "assigned-pod-deleted" || old === undefined) return true;
  const gone = old as Pod;
  if (gone.metadata.namespace !== pod.metadata.namespace) return false;
  if (conflictsWith((pod.spec.volumes ?? []).filter(isExclusive), gone)) return true;
  return (gone.spec.volumes ?? []).some((volume) => names.has(volume.persistentVolumeClaim?.claimName ?? ""));
}
