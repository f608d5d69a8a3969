import type { Node, Pod } from "@coracle/api/core/v1";

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

/** Whether anything of a waiting pod changed that a plugin may look at; conditions, which we write ourselves, do not count. */
export function isWorthAnotherTry(old: Pod, pod: Pod): boolean {
  if (old === pod) return false;
  const { metadata, status } = pod;
  if (old.metadata.generation !== metadata.generation || !sameTexts(old.metadata.labels, metadata.labels)) return true;
  if (status?.resourceClaimStatuses !== undefined || old.status?.resourceClaimStatuses !== undefined)
    return JSON.stringify(old.status?.resourceClaimStatuses) !== JSON.stringify(status?.resourceClaimStatuses);
  // Servers that know no generation of pods.
  return metadata.generation === undefined && JSON.stringify(old.spec) !== JSON.stringify(pod.spec);
}

/** Whether a placed pod changed in what counts for others: labels, what it needs, and whether it is leaving. */
export function isPlacedPodChange(old: Pod, pod: Pod): boolean {
  return (
    old.metadata.generation !== pod.metadata.generation ||
    pod.metadata.generation === undefined ||
    old.metadata.deletionTimestamp !== pod.metadata.deletionTimestamp ||
    old.status?.nominatedNodeName !== pod.status?.nominatedNodeName ||
    !sameTexts(old.metadata.labels, pod.metadata.labels) ||
    old.status?.containerStatuses?.some(
      (status, i) =>
        JSON.stringify(status.allocatedResources) !==
        JSON.stringify(pod.status?.containerStatuses?.[i]?.allocatedResources),
    ) === true
  );
}

/** Whether a node changed in what plugins look at; heartbeats do not count. */
export function isNodeChange(old: Node, node: Node): boolean {
  return (
    (old.spec.unschedulable ?? false) !== (node.spec.unschedulable ?? false) ||
    !sameTexts(old.metadata.labels, node.metadata.labels) ||
    !sameTexts(old.status?.allocatable, node.status?.allocatable) ||
    !sameTaints(old, node) ||
    old.status?.declaredFeatures?.join() !== node.status?.declaredFeatures?.join()
  );
}

function sameTaints({ spec: { taints: a = [] } }: Node, { spec: { taints: b = [] } }: Node): boolean {
  return (
    a.length === b.length &&
    a.every((taint, i) => taint.key === b[i]?.key && taint.value === b[i]?.value && taint.effect === b[i]?.effect)
  );
}
