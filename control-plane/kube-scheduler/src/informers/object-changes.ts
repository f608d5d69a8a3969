import type { Node, Pod } from "@coracle/api/core/v1";
import type { AssignedPodEvent, ClusterEvent, PodEvent } from "../framework/plugin.ts";
import { takesKey } from "../state/pod-facts.ts";
import { podRequests } from "../state/pod-resources.ts";

/** Whether two maps of texts say the same. */
function sameTexts(a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean {
  if (a === b) return true;
  let rest = 0;
  for (const key in a) {
    if (a[key] !== b[key]) return false;
    rest++;
  }
  for (const key in b) if (--rest < 0 || !(key in a)) return false;
  return true;
}

const sameJson = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b);

/** The pod asks for less of something. */
function isScaledDown(old: Pod, pod: Pod): boolean {
  if (takesKey(old) === takesKey(pod)) return false;
  const now = podRequests(pod);
  for (const [name, amount] of podRequests(old)) if (amount > (now.get(name) ?? -1)) return true;
  return false;
}

/** What of a waiting pod changed that a plugin may look at; conditions, which we write ourselves, do not count. */
export function podChanges(old: Pod, pod: Pod): readonly PodEvent[] {
  if (old === pod) return [];
  const { metadata, spec, status } = pod;
  const changes: PodEvent[] = [];
  if (!sameTexts(old.metadata.labels, metadata.labels)) changes.push("pod-labels-changed");
  if (
    !sameJson(old.status?.resourceClaimStatuses, status?.resourceClaimStatuses) ||
    !sameJson(old.status?.extendedResourceClaimStatus, status?.extendedResourceClaimStatus)
  )
    changes.push("pod-claims-changed");
  // Servers that know no generation of pods leave it to us to compare.
  const isSpecSame =
    old.metadata.generation === metadata.generation &&
    (metadata.generation !== undefined || sameJson(old.spec, pod.spec));
  if (isSpecSame) return changes;
  if (isScaledDown(old, pod)) changes.push("pod-scaled-down");
  if ((spec.schedulingGates ?? []).length === 0 && (old.spec.schedulingGates ?? []).length > 0)
    changes.push("pod-gates-removed");
  if ((spec.tolerations ?? []).length !== (old.spec.tolerations ?? []).length) changes.push("pod-tolerations-changed");
  return changes.length > 0 ? changes : ["pod-changed"];
}

/** What of a placed pod changed that counts for others: labels, what it needs, whether it is leaving. */
export function placedPodChanges(old: Pod, pod: Pod): readonly AssignedPodEvent[] {
  const changes: AssignedPodEvent[] = [];
  if (!sameTexts(old.metadata.labels, pod.metadata.labels)) changes.push("assigned-pod-labels-changed");
  const { generation } = pod.metadata;
  const isSpecSame = generation !== undefined && old.metadata.generation === generation;
  // Also by the node, which says in the status what it has done.
  if (isScaledDown(old, pod)) changes.push("assigned-pod-scaled-down");
  if (changes.length > 0) return changes;
  const isOther =
    !isSpecSame ||
    old.metadata.deletionTimestamp !== pod.metadata.deletionTimestamp ||
    old.status?.nominatedNodeName !== pod.status?.nominatedNodeName ||
    old.status?.containerStatuses?.some(
      (status, i) => !sameJson(status.allocatedResources, pod.status?.containerStatuses?.[i]?.allocatedResources),
    ) === true;
  return isOther ? ["assigned-pod-changed"] : [];
}

/** What of a node changed; that it is still alive is no change. */
export function nodeChanges(old: Node, node: Node): readonly ClusterEvent[] {
  const changes: ClusterEvent[] = [];
  if (!sameTexts(old.status?.allocatable, node.status?.allocatable)) changes.push("node-allocatable-changed");
  if (!sameTexts(old.metadata.labels, node.metadata.labels)) changes.push("node-labels-changed");
  if ((old.spec.unschedulable ?? false) !== (node.spec.unschedulable ?? false) || !sameTaints(old, node))
    changes.push("node-taints-changed");
  if (!sameConditions(old, node)) changes.push("node-conditions-changed");
  if (!sameTexts(old.metadata.annotations, node.metadata.annotations)) changes.push("node-annotations-changed");
  if (old.status?.declaredFeatures?.join() !== node.status?.declaredFeatures?.join())
    changes.push("node-features-changed");
  return changes;
}

function sameTaints({ spec: { taints: a = [] } }: Node, { spec: { taints: b = [] } }: Node): boolean {
  return (
    a.length === b.length &&
    a.every((taint, i) => taint.key === b[i]?.key && taint.value === b[i]?.value && taint.effect === b[i]?.effect)
  );
}

/** By type and status: when a condition was last heard of does not count. */
function sameConditions({ status: a }: Node, { status: b }: Node): boolean {
  const statuses = (node: typeof a): Record<string, string> =>
    Object.fromEntries((node?.conditions ?? []).map(({ type, status }) => [type, status]));
  return sameTexts(statuses(a), statuses(b));
}
