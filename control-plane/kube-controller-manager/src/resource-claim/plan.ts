import type { Pod, PodResourceClaim } from "@coracle/api/core/v1";
import type { ResourceClaim, ResourceClaimConsumerReference, ResourceClaimTemplate } from "@coracle/api/resource/v1";
import { isFinished } from "../pods/pod-state.ts";

/** For which claim of its pod a claim was made. */
const POD_CLAIM_NAME = "resource.kubernetes.io/pod-claim-name";
/** Holds a claim while devices are given to it. */
export const PROTECTION = "resource.kubernetes.io/delete-protection";
/** As many may use a claim at once. */
const MOST_USERS = 256;
/** Room for a hyphen and five random characters in 63. */
const LONGEST_BASE = 57;

/** What a claim of a pod comes down to. */
export type NamedClaim =
  /** `own`: it was made for the pod. */
  | { readonly state: "named"; readonly name: string; readonly own: boolean }
  | { readonly state: "not made" }
  /** It turned out that none is needed. */
  | { readonly state: "unneeded" };

/** The name of the claim behind one of a pod's. */
export function claimNamed(pod: Pod, { name, resourceClaimName }: PodResourceClaim): NamedClaim {
  if (resourceClaimName !== undefined) return { state: "named", name: resourceClaimName, own: false };
  const made = pod.status?.resourceClaimStatuses?.find((status) => status.name === name);
  if (made === undefined) return { state: "not made" };
  if (made.resourceClaimName === undefined) return { state: "unneeded" };
  return { state: "named", name: made.resourceClaimName, own: true };
}

/** Names of all claims of a pod, those of extended resources among them. */
export function claimNamesOf(pod: Pod): readonly string[] {
  const named = (pod.spec.resourceClaims ?? []).flatMap((each) => {
    const claim = claimNamed(pod, each);
    return claim.state === "named" ? [claim.name] : [];
  });
  const extended = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  return extended === undefined ? named : [...named, extended];
}

/** Whether the pod is the claim's controller. */
export const isMadeFor = (pod: Pod, claim: ResourceClaim): boolean =>
  claim.metadata.ownerReferences?.some(({ controller, uid }) => controller === true && uid === pod.metadata.uid) ===
  true;

/** The claim made for one of a pod's, also before the pod says so. */
export function findMade(pod: Pod, name: string, owned: readonly ResourceClaim[]): ResourceClaim | undefined {
  return owned.find((claim) => isMadeFor(pod, claim) && claim.metadata.annotations?.[POD_CLAIM_NAME] === name);
}

/** The pod that a claim was made for. */
export function ownerPod({ metadata }: ResourceClaim): { readonly name: string; readonly uid: string } | undefined {
  return metadata.ownerReferences?.find(
    ({ controller, apiVersion, kind }) => controller === true && apiVersion === "v1" && kind === "Pod",
  );
}

/** The claim that a template makes for one of a pod's. */
export function claimFrom(template: ResourceClaimTemplate, pod: Pod, name: string): ResourceClaim {
  const { namespace, name: podName = "", uid = "" } = pod.metadata;
  const { annotations, labels } = template.spec.metadata ?? {};
  return {
    metadata: {
      namespace,
      generateName: baseName(podName, name),
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: podName, uid, controller: true }],
      annotations: { ...annotations, [POD_CLAIM_NAME]: name },
      ...(labels === undefined ? {} : { labels }),
    },
    spec: template.spec.spec,
  };
}

/** Both names in full when there is room, else as much of each as its part of the whole. */
function baseName(podName: string, name: string): string {
  const whole = `${podName}-${name}-`;
  if (whole.length <= LONGEST_BASE) return whole;
  const part = (text: string, total: number): string => text.slice(0, Math.floor((text.length * LONGEST_BASE) / total));
  const start = part(podName, whole.length);
  return `${start}-${part(name, whole.length)}`;
}

/** Whether a pod that has a node must still be noted as a user of an allocated claim. */
export function isToBeReserved(pod: Pod, { status }: ResourceClaim): boolean {
  if (status?.allocation === undefined) return false;
  const users = status.reservedFor ?? [];
  return users.length < MOST_USERS && !users.some(({ uid }) => uid === pod.metadata.uid);
}

/** The claim with the pod among its users. */
export function reservedFor(pod: Pod, claim: ResourceClaim): ResourceClaim {
  const { name = "", uid = "" } = pod.metadata;
  const users = [...(claim.status?.reservedFor ?? []), { resource: "pods", name, uid }];
  return { ...claim, status: { ...claim.status, reservedFor: users } };
}

/** None of its containers runs, and none ever will. */
export const isDone = (pod: Pod): boolean =>
  isFinished(pod) || (pod.metadata.deletionTimestamp !== undefined && (pod.spec.nodeName ?? "") === "");

/** The claim with these users left. With the last one its devices are given back. */
export function releasedTo(users: readonly ResourceClaimConsumerReference[], claim: ResourceClaim): ResourceClaim {
  const { reservedFor: _, ...status } = claim.status ?? {};
  if (users.length > 0) return { ...claim, status: { ...status, reservedFor: users } };
  return claim.metadata.finalizers?.includes(PROTECTION) === true
    ? withoutAllocation({ ...claim, status })
    : { ...claim, status };
}

/** The claim with its devices given back. */
export function withoutAllocation(claim: ResourceClaim): ResourceClaim {
  const { allocation: _, ...status } = claim.status ?? {};
  return { ...claim, status };
}

/** The claim free to be deleted; the same object when it is. */
export function unprotected(claim: ResourceClaim): ResourceClaim {
  const { finalizers = [] } = claim.metadata;
  if (!finalizers.includes(PROTECTION)) return claim;
  return { ...claim, metadata: { ...claim.metadata, finalizers: finalizers.filter((each) => each !== PROTECTION) } };
}

/** Whether something is to be done about a pod's claims. */
export function needsWork(pod: Pod, lookup: (name: string) => ResourceClaim | undefined): boolean {
  if (pod.metadata.deletionTimestamp !== undefined || isDone(pod)) return false;
  for (const each of pod.spec.resourceClaims ?? []) {
    const named = claimNamed(pod, each);
    if (named.state === "not made") return true;
    if (named.state === "unneeded") continue;
    const claim = lookup(named.name);
    if (claim === undefined) {
      if (each.resourceClaimTemplateName !== undefined) return true;
      continue; // its user makes it
    }
    if (named.own && !isMadeFor(pod, claim)) continue;
    if ((pod.spec.nodeName ?? "") !== "" && isToBeReserved(pod, claim)) return true;
  }
  return false;
}
