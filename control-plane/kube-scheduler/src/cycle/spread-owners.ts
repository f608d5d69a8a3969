import type { ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import type { Pod, ReplicationController, Service } from "@coracle/api/core/v1";
import type { LabelSelector, LabelSelectorRequirement } from "@coracle/api/meta/v1";
import type { Lister } from "@coracle/client";
import type { SpreadOwners } from "../plugins/pod-topology-spread.ts";

/** Finds the services and the controller of a pod, and one selector for what belongs to all of them. */
export function createSpreadOwners(listers: {
  readonly services: Lister<Service>;
  readonly replicaSets: Lister<ReplicaSet>;
  readonly statefulSets: Lister<StatefulSet>;
  readonly replicationControllers: Lister<ReplicationController>;
}): SpreadOwners {
  const controllerSelector = (pod: Pod): LabelSelector | undefined => {
    const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller === true);
    if (owner === undefined) return undefined;
    const { namespace } = pod.metadata;
    if (owner.kind === "ReplicaSet") return listers.replicaSets.get(namespace, owner.name)?.spec.selector;
    if (owner.kind === "StatefulSet") return listers.statefulSets.get(namespace, owner.name)?.spec.selector;
    if (owner.kind === "ReplicationController") {
      const matchLabels = listers.replicationControllers.get(namespace, owner.name)?.spec.selector;
      return matchLabels === undefined ? undefined : { matchLabels };
    }
    return undefined;
  };
  return {
    selectorOf(pod) {
      const labels = pod.metadata.labels ?? {};
      const matchLabels: Record<string, string> = {};
      const matchExpressions: LabelSelectorRequirement[] = [];
      for (const service of listers.services.list(pod.metadata.namespace)) {
        const selector = Object.entries(service.spec.selector ?? {});
        if (selector.length > 0 && selector.every(([key, value]) => labels[key] === value))
          Object.assign(matchLabels, service.spec.selector);
      }
      const ofController = controllerSelector(pod);
      Object.assign(matchLabels, ofController?.matchLabels);
      matchExpressions.push(...(ofController?.matchExpressions ?? []));
      if (Object.keys(matchLabels).length === 0 && matchExpressions.length === 0) return undefined;
      return { matchLabels, ...(matchExpressions.length === 0 ? {} : { matchExpressions }) };
    },
  };
}
