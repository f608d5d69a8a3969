import type { PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import { claimUsesOf, foreignClaim } from "@coracle/apimachinery/storage";

/**
 * The claim has to stay for this pod: it has a node, and may have ended, for it may be looked into as long as it is
 * there. A claim that was made for the pod alone goes with it: else each would wait for the other.
 */
export function usesClaim(pod: Pod, claim: PersistentVolumeClaim): boolean {
  if ((pod.spec.nodeName ?? "") === "") return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  const isShutDown = deletionTimestamp !== undefined && deletionGracePeriodSeconds === 0;
  return claimUsesOf(pod).some(
    ({ name, isEphemeral }) =>
      name === claim.metadata.name && (!isEphemeral || (!isShutDown && foreignClaim(pod, claim) === undefined)),
  );
}
