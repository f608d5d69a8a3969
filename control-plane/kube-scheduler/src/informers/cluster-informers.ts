import { ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  ReplicationController,
  Service,
} from "@coracle/api/core/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { StorageClass } from "@coracle/api/storage/v1";
import { dropManagedFields, type ApiClient, type Informer, type InformerFactory } from "@coracle/client";
import { createSpreadOwners } from "../cycle/spread-owners.ts";
import type { DefaultPluginDeps } from "../plugins/index.ts";

/** What the scheduler follows. */
export interface ClusterInformers {
  readonly pods: Informer<Pod>;
  readonly nodes: Informer<Node>;
  /** Changes of these may help pods that wait for storage. */
  readonly storage: readonly Pick<Informer<PersistentVolumeClaim>, "addHandlers">[];
  readonly pluginDeps: DefaultPluginDeps;
}

/** Asks for all informers, and hands to the plugins what they look up in them. */
export function createClusterInformers(factory: InformerFactory, client: ApiClient): ClusterInformers {
  const pods = factory.informer(Pod, {
    fieldSelector: "status.phase!=Succeeded,status.phase!=Failed",
    transform: dropManagedFields,
  });
  const nodes = factory.informer(Node, { transform: dropManagedFields });
  const owners = createSpreadOwners({
    services: factory.informer(Service, { transform: dropManagedFields }).lister,
    replicaSets: factory.informer(ReplicaSet, { transform: dropManagedFields }).lister,
    statefulSets: factory.informer(StatefulSet, { transform: dropManagedFields }).lister,
    replicationControllers: factory.informer(ReplicationController, { transform: dropManagedFields }).lister,
  });
  const budgets = factory.informer(PodDisruptionBudget, { transform: dropManagedFields }).lister;
  const claims = factory.informer(PersistentVolumeClaim, { transform: dropManagedFields });
  const volumes = factory.informer(PersistentVolume, { transform: dropManagedFields });
  const classes = factory.informer(StorageClass, { transform: dropManagedFields });
  return {
    pods,
    nodes,
    storage: [claims, volumes, classes] as unknown as ClusterInformers["storage"],
    pluginDeps: {
      owners,
      budgets: () => budgets.list(),
      volumes: {
        claim: (namespace, name) => claims.lister.get(namespace, name),
        volume: (name) => volumes.lister.get(undefined, name),
        storageClass: (name) => classes.lister.get(undefined, name),
      },
      async binder(pod, nodeName) {
        const { namespace = "", name = "", uid } = pod.metadata;
        await client.post(Pod, { namespace, name }, "binding", {
          apiVersion: "v1",
          kind: "Binding",
          metadata: { namespace, name, uid },
          target: { kind: "Node", name: nodeName },
        });
      },
    },
  };
}
