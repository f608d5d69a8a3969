import type { Pod } from "@coracle/api/core/v1";
import type { ResourceClaim } from "@coracle/api/resource/v1";

/** The claims of a pod, or why it does not have them all. A claim that turned out not to be needed is left out. */
export function podClaims(
  pod: Pod,
  lookup: (namespace: string, name: string) => ResourceClaim | undefined,
): ResourceClaim[] | string {
  const { namespace = "", name: podName, uid } = pod.metadata;
  const claims: ResourceClaim[] = [];
  for (const { name, resourceClaimName, resourceClaimTemplateName } of pod.spec.resourceClaims ?? []) {
    let claimName = resourceClaimName;
    if (claimName === undefined) {
      if (resourceClaimTemplateName === undefined)
        return `pod "${namespace}/${podName}", spec.resourceClaim "${name}": none of the supported fields are set`;
      const generated = pod.status?.resourceClaimStatuses?.find((status) => status.name === name);
      if (generated === undefined) return `pod "${namespace}/${podName}": ResourceClaim not created yet`;
      if (generated.resourceClaimName === undefined) continue;
      claimName = generated.resourceClaimName;
    }
    const claim = lookup(namespace, claimName);
    if (claim === undefined) return `could not find ResourceClaim "${namespace}/${claimName}"`;
    if (claim.metadata.deletionTimestamp !== undefined) return `resourceclaim "${claimName}" is being deleted`;
    const isOwn = claim.metadata.ownerReferences?.some((owner) => owner.controller === true && owner.uid === uid);
    if (resourceClaimName === undefined && isOwn !== true)
      return `ResourceClaim ${namespace}/${claimName} was not created for pod ${namespace}/${podName} (pod is not owner)`;
    claims.push(claim);
  }
  return claims;
}
