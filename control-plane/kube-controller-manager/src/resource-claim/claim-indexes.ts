import type { Pod } from "@coracle/api/core/v1";
import type { ResourceClaim } from "@coracle/api/resource/v1";
import { claimNamesOf, ownerPod } from "./plan.ts";

/** `NAMESPACE/NAME` of the claims of a pod. */
export const resourceClaimKeysOf = (pod: Pod): readonly string[] =>
  claimNamesOf(pod).map((name) => `${pod.metadata.namespace}/${name}`);

/** Pods under the keys of their claims, and of the templates they are made from. */
export const podsByResourceClaim = {
  resourceClaim: resourceClaimKeysOf,
  resourceClaimTemplate: ({ metadata, spec }: Pod): readonly string[] =>
    (spec.resourceClaims ?? []).flatMap(({ resourceClaimTemplateName: name }) =>
      name === undefined ? [] : [`${metadata.namespace}/${name}`],
    ),
};

/** Claims under the uid of the pod they were made for. */
export const claimsByOwner = {
  ownerPod: (claim: ResourceClaim): readonly string[] => {
    const owner = ownerPod(claim);
    return owner === undefined ? [] : [owner.uid];
  },
};
