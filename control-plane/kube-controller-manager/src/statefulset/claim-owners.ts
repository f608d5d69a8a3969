import { apiVersionOf, type KubeObject, type ResourceType } from "@coracle/api";
import { StatefulSet } from "@coracle/api/apps/v1";
import { Pod, type PersistentVolumeClaim } from "@coracle/api/core/v1";
import type { OwnerReference } from "@coracle/api/meta/v1";
import { equalJson } from "@coracle/apimachinery";
import { controllerReference } from "@coracle/controller-kit";
import { isInRange, ordinalOf } from "./pod.ts";

/** What is to be done about a claim's owners. */
export interface ClaimOwners {
  /** Undefined: they are as they should be, or none of the set's business. */
  readonly owners: readonly OwnerReference[] | undefined;
  /** Somebody else manages the claim, so the set's policy is not followed: people are told. */
  readonly isContested: boolean;
}

/** True when the reference means an object of this kind and name. */
const means = (
  { apiVersion, kind, name }: OwnerReference,
  type: ResourceType<KubeObject>,
  object: KubeObject,
): boolean => apiVersion === apiVersionOf(type) && kind === type.kind && name === object.metadata.name;

/**
 * Who the claim must go with, by the set's retention policy: the set (`whenDeleted: Delete`), its pod once that is
 * scaled away (`whenScaled: Delete`), or nobody.
 */
export function claimOwners(set: StatefulSet, pod: Pod, claim: PersistentVolumeClaim): ClaimOwners {
  const present = claim.metadata.ownerReferences ?? [];
  const isOurs = (each: OwnerReference): boolean => means(each, StatefulSet, set) || means(each, Pod, pod);
  const { whenDeleted = "Retain", whenScaled = "Retain" } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
  const isRetained = whenDeleted === "Retain" && whenScaled === "Retain";
  const isContested = !isRetained && present.some((each) => each.controller === true && !isOurs(each));
  // Those of an earlier set or pod of the name: what goes with them is the garbage collector's business.
  if (present.some((each) => isOurs(each) && each.uid !== set.metadata.uid && each.uid !== pod.metadata.uid))
    return { owners: undefined, isContested };
  const goesWithPod =
    whenScaled === "Delete" && !isInRange(set, ordinalOf(set.metadata.name ?? "", pod.metadata.name) ?? -1);
  const goesWithSet = whenDeleted === "Delete" && !goesWithPod;
  const owners = present.filter((each) => !isOurs(each));
  if (!isContested && goesWithPod) owners.push(controllerReference(Pod, pod));
  if (!isContested && goesWithSet) owners.push(controllerReference(StatefulSet, set));
  return { owners: equalJson(owners, present) ? undefined : owners, isContested };
}

/** The claim still goes with an earlier pod of the name: its successor has to wait for another claim. */
export function isStaleClaim(set: StatefulSet, podName: string, { metadata }: PersistentVolumeClaim): boolean {
  if ((set.spec.persistentVolumeClaimRetentionPolicy?.whenScaled ?? "Retain") === "Retain") return false;
  return (metadata.ownerReferences ?? []).some((each) => means(each, Pod, { metadata: { name: podName } }));
}
