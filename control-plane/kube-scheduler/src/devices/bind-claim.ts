import type { Pod, PodExtendedResourceClaimStatus } from "@coracle/api/core/v1";
import type { AllocationResult, ResourceClaim } from "@coracle/api/resource/v1";
import { isConflict } from "@coracle/apimachinery";

export const FINALIZER = "resource.kubernetes.io/delete-protection";
const MAX_TRIES = 5;

/** Writes claims. */
export interface ClaimWriter {
  get(claim: ResourceClaim): Promise<ResourceClaim>;
  update(claim: ResourceClaim): Promise<ResourceClaim>;
  updateStatus(claim: ResourceClaim): Promise<ResourceClaim>;
  create(claim: ResourceClaim): Promise<ResourceClaim>;
  /** Deletes a claim of our own, whoever protects it; told without waiting. */
  remove(claim: ResourceClaim): void;
  /** Says in the pod's status which claim stands for its resources. */
  noteExtended(pod: Pod, status: PodExtendedResourceClaimStatus): Promise<void>;
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Settles once some claim has changed, or after so long. Rejects when all ends. */
  changed(maxWaitMs: number): Promise<void>;
  /** Takes the devices away from a claim that nobody uses; told without waiting. */
  deallocate(claim: ResourceClaim): void;
  /** Takes the pod from the claim's users; told without waiting. */
  giveUp(claim: ResourceClaim, pod: Pod): void;
}

/** Whether the pod is among the users of the claim. */
export function isReservedFor({ status }: ResourceClaim, { metadata }: Pod): boolean {
  return status?.reservedFor?.some(({ uid }) => uid === metadata.uid) === true;
}

/**
 * Gives the claim its devices, if they were decided on, and makes the pod one of its users. `allocatedAt`: noted with
 * devices that have no such time yet.
 */
export async function bindClaim(
  writer: ClaimWriter,
  claim: ResourceClaim,
  pod: Pod,
  allocation: AllocationResult | undefined,
  allocatedAt?: string,
): Promise<ResourceClaim> {
  const key = `${claim.metadata.namespace}/${claim.metadata.name}`;
  let current = claim;
  for (let tries = 1; ; tries++) {
    if (current.metadata.deletionTimestamp !== undefined) throw new Error(`claim ${key} got deleted in the meantime`);
    if (current.metadata.uid !== claim.metadata.uid) throw new Error(`claim ${key} got deleted in the meantime`);
    if (allocation !== undefined && current.status?.allocation !== undefined)
      throw new Error(`claim ${key} got allocated elsewhere in the meantime`);
    if (isReservedFor(current, pod)) return current;
    try {
      if (allocation !== undefined) current = await protect(writer, current);
      const { name = "", uid = "" } = pod.metadata;
      const reservedFor = [...(current.status?.reservedFor ?? []), { resource: "pods", name, uid }];
      const given = allocation ?? current.status?.allocation;
      const added = given === undefined ? {} : { allocation: { ...withTime(allocatedAt), ...given } };
      return await writer.updateStatus({ ...current, status: { ...current.status, ...added, reservedFor } });
    } catch (error) {
      if (!isConflict(error) || tries === MAX_TRIES) throw error;
      current = await writer.get(claim);
    }
  }
}

const withTime = (allocationTimestamp: string | undefined): AllocationResult =>
  allocationTimestamp === undefined ? {} : { allocationTimestamp };

/** A claim with devices goes only when they are free again. */
async function protect(writer: ClaimWriter, claim: ResourceClaim): Promise<ResourceClaim> {
  const { finalizers = [] } = claim.metadata;
  if (finalizers.includes(FINALIZER)) return claim;
  return await writer.update({ ...claim, metadata: { ...claim.metadata, finalizers: [...finalizers, FINALIZER] } });
}
