import type { PersistentVolumeClaim, Pod, Volume } from "@coracle/api/core/v1";

/** A claim of a pod by the volume that uses it. */
export interface ClaimUse {
  readonly name: string;
  /** Made for this pod alone, from its spec. */
  readonly isEphemeral: boolean;
}

/** The claim that a volume of a pod uses. */
export function claimUseOf(pod: Pod, volume: Volume): ClaimUse | undefined {
  if (volume.persistentVolumeClaim !== undefined)
    return { name: volume.persistentVolumeClaim.claimName, isEphemeral: false };
  return volume.ephemeral === undefined
    ? undefined
    : { name: `${pod.metadata.name}-${volume.name}`, isEphemeral: true };
}

const NO_USES: readonly ClaimUse[] = [];

/** The claims that a pod uses, in the order of its volumes. */
export function claimUsesOf(pod: Pod): readonly ClaimUse[] {
  const { volumes } = pod.spec;
  if (volumes === undefined || volumes.length === 0) return NO_USES;
  return volumes.flatMap((volume) => claimUseOf(pod, volume) ?? []);
}

/** Why a claim of the name of the pod's own is another's; undefined: it is the pod's. */
export function foreignClaim(pod: Pod, { metadata }: PersistentVolumeClaim): string | undefined {
  const isOwner = metadata.ownerReferences?.some(
    ({ controller, uid }) => controller === true && uid === pod.metadata.uid,
  );
  if (isOwner === true) return undefined;
  const { namespace, name } = pod.metadata;
  return `PVC ${metadata.namespace}/${metadata.name} was not created for pod ${namespace}/${name} (pod is not owner)`;
}
