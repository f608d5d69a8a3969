import { Pod } from "@coracle/api/core/v1";
import { ResourceClaim, type ResourceClaimConsumerReference } from "@coracle/api/resource/v1";
import { isNotFound } from "@coracle/apimachinery";
import { defineController, done, mapped, type Controller, type ControllerDeps } from "@coracle/controller-kit";
import { resourceClaimKeysOf } from "./claim-indexes.ts";
import { isDone, ownerPod, PROTECTION, releasedTo, unprotected, withoutAllocation } from "./plan.ts";

/** The half that looks at claims: forgets users that are gone, gives devices back, deletes what was made for a pod that is done. */
export function createReservationController(deps: ControllerDeps, workers: number): Controller {
  const { client, informers } = deps;
  const pods = informers.informer(Pod).lister;
  const claims = informers.informer(ResourceClaim).lister;

  /** Whether a pod may still use the claim. Not seen is not gone: it may have been placed a moment ago. */
  async function isUser(namespace: string, name: string, uid: string, signal: AbortSignal): Promise<boolean> {
    const seen = pods.get(namespace, name);
    if (seen !== undefined) return seen.metadata.uid === uid && !isDone(seen);
    try {
      return (await client.get(Pod, { namespace, name }, { signal })).metadata.uid === uid;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async function usersOf(claim: ResourceClaim, signal: AbortSignal): Promise<ResourceClaimConsumerReference[]> {
    const users: ResourceClaimConsumerReference[] = [];
    for (const user of claim.status?.reservedFor ?? []) {
      if ((user.apiGroup ?? "") !== "" || user.resource !== "pods")
        throw new Error(`unsupported ReservedFor entry: ${user.resource} ${user.name}`);
      if (await isUser(claim.metadata.namespace ?? "", user.name, user.uid, signal)) users.push(user);
    }
    return users;
  }

  const saveStatus = (claim: ResourceClaim, signal: AbortSignal): Promise<ResourceClaim> =>
    client.update(ResourceClaim, claim, { subresource: "status", signal });

  async function unprotect(claim: ResourceClaim, signal: AbortSignal): Promise<void> {
    const wanted = unprotected(claim);
    if (wanted !== claim) await client.update(ResourceClaim, wanted, { signal });
  }

  async function deleteUnused(claim: ResourceClaim, signal: AbortSignal): Promise<void> {
    const owner = ownerPod(claim);
    const { namespace, name = "", uid } = claim.metadata;
    const pod = owner === undefined ? undefined : pods.get(namespace, owner.name);
    // A pod that is not there is the garbage collector's business.
    if (pod === undefined || (pod.metadata.uid === owner?.uid && !isDone(pod))) return;
    try {
      await client.delete(ResourceClaim, { namespace, name }, { preconditions: { uid }, signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  return defineController<ResourceClaim>(deps, {
    name: "resource-claim-reservations",
    for: ResourceClaim,
    watches: [
      mapped(Pod, (pod) => {
        const { namespace, name = "" } = pod.metadata;
        const isGone = pods.get(namespace, name)?.metadata.uid !== pod.metadata.uid;
        return isGone || isDone(pod) ? resourceClaimKeysOf(pod) : [];
      }),
    ],
    workers,
    async reconcile(key, { signal }) {
      const claim = claims.byKey(key);
      if (claim === undefined) return done;
      const users = await usersOf(claim, signal);
      const isProtected = claim.metadata.finalizers?.includes(PROTECTION) === true;
      if (users.length < (claim.status?.reservedFor ?? []).length) {
        const saved = await saveStatus(releasedTo(users, claim), signal);
        if (saved.status?.allocation === undefined) await unprotect(saved, signal);
      } else if (isProtected && claim.metadata.deletionTimestamp !== undefined && users.length === 0) {
        const isAllocated = claim.status?.allocation !== undefined;
        await unprotect(isAllocated ? await saveStatus(withoutAllocation(claim), signal) : claim, signal);
      }
      if (users.length === 0) await deleteUnused(claim, signal);
      return done;
    },
  });
}
