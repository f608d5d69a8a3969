import { randomUUID } from "node:crypto";
import { ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import { Namespace, Node, Pod, ReplicationController, Service } from "@coracle/api/core/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { dropManagedFields, type Informer, type InformerFactory } from "@coracle/client";
import { createSpreadOwners } from "../cycle/spread-owners.ts";
import { DEFAULT_DEVICE_FEATURES, type DeviceFeatures } from "../devices/device-features.ts";
import { PendingClaims } from "../devices/pending-claims.ts";
import { watchDevices, type DeviceWatch } from "../devices/watch-devices.ts";
import type { DefaultPluginDeps } from "../plugins/index.ts";
import { watchStorage, type StorageWatch } from "../storage/watch-storage.ts";
import type { InformerDeps } from "./informer-deps.ts";

/** What the scheduler follows. */
export interface ClusterInformers {
  readonly pods: Informer<Pod>;
  readonly nodes: Informer<Node>;
  readonly namespaces: Informer<Namespace>;
  readonly storage: StorageWatch;
  readonly devices: DeviceWatch;
  readonly pluginDeps: DefaultPluginDeps & Required<Pick<DefaultPluginDeps, "devices">>;
}

/** Asks for all informers, and hands to the plugins what they look up in them. */
export function createClusterInformers(
  factory: InformerFactory,
  { client, clock, signal }: InformerDeps,
  features: DeviceFeatures = DEFAULT_DEVICE_FEATURES,
): ClusterInformers {
  const pods = factory.informer(Pod, {
    fieldSelector: "status.phase!=Succeeded,status.phase!=Failed",
    transform: dropManagedFields,
  });
  const nodes = factory.informer(Node, { transform: dropManagedFields });
  const namespaces = factory.informer(Namespace, { transform: dropManagedFields });
  const owners = createSpreadOwners({
    services: factory.informer(Service, { transform: dropManagedFields }).lister,
    replicaSets: factory.informer(ReplicaSet, { transform: dropManagedFields }).lister,
    statefulSets: factory.informer(StatefulSet, { transform: dropManagedFields }).lister,
    replicationControllers: factory.informer(ReplicationController, { transform: dropManagedFields }).lister,
  });
  const budgets = factory.informer(PodDisruptionBudget, { transform: dropManagedFields }).lister;
  const storage = watchStorage({ factory, client, clock, signal, nodes: nodes.lister, pods: pods.lister });
  const devices = watchDevices(factory, { client, clock, signal }, features);
  return {
    pods,
    nodes,
    namespaces,
    storage,
    devices,
    pluginDeps: {
      owners,
      budgets: () => budgets.list(),
      volumes: storage.view,
      volumeWriter: storage.writer,
      devices: {
        view: devices.view,
        writer: devices.writer,
        pending: new PendingClaims((namespace, name) => devices.view.claim(namespace, name)),
        nowMs: () => clock.monotonicMs(),
        now: () => clock.now(),
        newShareId: () => randomUUID(),
        features,
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
