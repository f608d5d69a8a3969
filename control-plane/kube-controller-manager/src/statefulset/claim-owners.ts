import { StatefulSet } from "@coracle/api/apps/v1";
import { Pod, type PersistentVolumeClaim } from "@coracle/api/core/v1";
import type { OwnerReference } from "@coracle/api/meta/v1";
import { equalJson } from "@coracle/apimachinery";
import { controllerOf, controllerReference } from "@coracle/controller-kit";
import { ordinalOf } from "./pod.ts";

/**
 * Who the claim must go with, by the set's retention policy: the set (`whenDeleted: Delete`), its pod once that is
 * scaled away (`whenScaled: Delete`), or nobody. Undefined: it says so already, or the claim is somebody else's.
 */
export function claimOwners(
  set: StatefulSet,
  pod: Pod,
  claim: PersistentVolumeClaim,
): readonly OwnerReference[] | undefined {
  const present = claim.metadata.ownerReferences ?? [];
  const isOurs = ({ kind, name }: OwnerReference): boolean =>
    (kind === "StatefulSet" && name === set.metadata.name) || (kind === "Pod" && name === pod.metadata.name);
  const controller = controllerOf(claim);
  if (controller !== undefined && !isOurs(controller)) return undefined;
  const { whenDeleted = "Retain", whenScaled = "Retain" } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
  const goesWithPod = whenScaled === "Delete" && isCondemned(set, pod);
  const goesWithSet = whenDeleted === "Delete" && !goesWithPod;
  const wanted = goesWithPod
    ? controllerReference(Pod, pod)
    : goesWithSet
      ? controllerReference(StatefulSet, set)
      : undefined;
  const others = present.filter((each) => !isOurs(each));
  const owners = wanted === undefined ? others : [...others, wanted];
  return equalJson(owners, present) ? undefined : owners;
}

/** Its ordinal is no longer among the set's. */
function isCondemned(set: StatefulSet, pod: Pod): boolean {
  const start = set.spec.ordinals?.start ?? 0;
  const ordinal = ordinalOf(set.metadata.name ?? "", pod.metadata.name) ?? -1;
  return ordinal < start || ordinal >= start + (set.spec.replicas ?? 1);
}
