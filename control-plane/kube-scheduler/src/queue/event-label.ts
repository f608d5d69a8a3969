import type { ClusterChange, ClusterEvent } from "../framework/plugin.ts";

/** Upstream's words for what moves pods, as its metrics have them; those of objects get `Add`, `Update` or `Delete`. */
const LABELS: Readonly<Record<ClusterEvent, string>> = {
  "node-added": "NodeAdd",
  "node-deleted": "NodeDelete",
  "node-allocatable-changed": "NodeUpdateNodeAllocatable",
  "node-labels-changed": "NodeUpdateNodeLabel",
  "node-taints-changed": "NodeUpdateNodeTaint",
  "node-conditions-changed": "NodeUpdateNodeCondition",
  "node-annotations-changed": "NodeUpdateNodeAnnotation",
  "node-features-changed": "NodeUpdateNodeDeclaredFeature",
  "assigned-pod-added": "AssignedPodAdd",
  "assigned-pod-labels-changed": "AssignedPodUpdatePodLabel",
  "assigned-pod-scaled-down": "AssignedPodUpdatePodScaleDown",
  "assigned-pod-changed": "AssignedPodUpdate",
  "assigned-pod-deleted": "AssignedPodDelete",
  "pod-labels-changed": "UnschedulablePodUpdatePodLabel",
  "pod-scaled-down": "UnschedulablePodUpdatePodScaleDown",
  "pod-gates-removed": "UnschedulablePodUpdatePodSchedulingGatesEliminated",
  "pod-tolerations-changed": "UnschedulablePodUpdatePodToleration",
  "pod-claims-changed": "UnschedulablePodUpdatePodGeneratedResourceClaim",
  "pod-changed": "UnschedulablePodUpdate",
  "volume-changed": "PersistentVolume",
  "volume-claim-changed": "PersistentVolumeClaim",
  "storage-class-changed": "StorageClass",
  "csi-node-changed": "CSINode",
  "csi-driver-changed": "CSIDriver",
  "csi-capacity-changed": "CSIStorageCapacity",
  "volume-attachment-deleted": "VolumeAttachmentDelete",
  "resource-claim-changed": "ResourceClaim",
  "resource-slice-changed": "ResourceSlice",
  "device-class-changed": "DeviceClass",
};

/** Of objects of which we tell no more than that they changed. */
const OBJECTS: ReadonlySet<ClusterEvent> = new Set<ClusterEvent>([
  "volume-changed",
  "volume-claim-changed",
  "storage-class-changed",
  "csi-node-changed",
  "csi-driver-changed",
  "csi-capacity-changed",
  "resource-claim-changed",
  "resource-slice-changed",
  "device-class-changed",
]);

/** Upstream's word for a change: `NodeAdd`, `PersistentVolumeClaimUpdate`. */
export function eventLabel({ event, old, current }: ClusterChange): string {
  const label = LABELS[event];
  if (!OBJECTS.has(event)) return label;
  if (old === undefined) return `${label}Add`;
  return `${label}${current === undefined ? "Delete" : "Update"}`;
}
