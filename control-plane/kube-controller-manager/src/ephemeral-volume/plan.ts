import { Pod, type PersistentVolumeClaim } from "@coracle/api/core/v1";
import { controllerReference } from "@coracle/controller-kit";

/** A claim for a volume that the pod describes itself. */
export interface OwnClaim {
  readonly volumeName: string;
  readonly claim: PersistentVolumeClaim;
}

/** The claims that a pod has of its own, each owned by it: they go when it goes. */
export function claimsToMake(pod: Pod): readonly OwnClaim[] {
  const { namespace, name } = pod.metadata;
  return (pod.spec.volumes ?? []).flatMap(({ name: volumeName, ephemeral }) => {
    const template = ephemeral?.volumeClaimTemplate;
    if (template === undefined) return [];
    const { annotations, labels } = template.metadata ?? {};
    const metadata = {
      namespace,
      name: `${name}-${volumeName}`,
      ownerReferences: [controllerReference(Pod, pod)],
      ...(annotations === undefined ? {} : { annotations }),
      ...(labels === undefined ? {} : { labels }),
    };
    return [{ volumeName, claim: { metadata, spec: template.spec } }];
  });
}
