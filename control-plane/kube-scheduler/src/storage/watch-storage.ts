import type { KubeObject, ResourceType } from "@coracle/api";
import { PersistentVolume, PersistentVolumeClaim, type Node, type Pod } from "@coracle/api/core/v1";
import { CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment } from "@coracle/api/storage/v1";
import { classOfVolume } from "@coracle/apimachinery/storage";
import type { Clock } from "@coracle/base";
import {
  dropManagedFields,
  type ApiClient,
  type Informer,
  type InformerFactory,
  type InformerOptions,
  type Lister,
} from "@coracle/client";
import type { ClusterChange, ClusterEvent } from "../framework/plugin.ts";
import { Changes } from "../informers/changes.ts";
import { AssumedStorage, type VolumeWriter } from "./bind-volumes.ts";
import type { StorageView } from "./storage-view.ts";

export interface StorageDeps {
  readonly factory: InformerFactory;
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly nodes: Lister<Node>;
  readonly pods: Lister<Pod>;
}

/** Storage as the API server has it, kept up to date. */
export interface StorageWatch {
  readonly view: StorageView;
  readonly writer: VolumeWriter;
  /** Tells of every change that may help a pod. */
  follow(notify: (change: ClusterChange) => void): void;
}

/** Asks for the informers of storage. */
export function watchStorage({ factory, client, clock, signal, nodes, pods }: StorageDeps): StorageWatch {
  const informer = <T extends KubeObject>(
    type: ResourceType<T>,
    indexes?: NonNullable<InformerOptions<T>["indexes"]>,
  ): Informer<T> => factory.informer(type, { transform: dropManagedFields, indexes });
  const claims = informer(PersistentVolumeClaim);
  const volumes = informer(PersistentVolume, { class: (volume) => [classOfVolume(volume)] });
  const classes = informer(StorageClass);
  const csiNodes = informer(CSINode);
  const drivers = informer(CSIDriver);
  const capacities = informer(CSIStorageCapacity, { class: ({ storageClassName }) => [storageClassName] });
  const attachments = informer(VolumeAttachment, { node: ({ spec }) => [spec.nodeName] });
  const changes = new Changes();
  for (const each of [claims, volumes]) changes.follow(each as Informer<KubeObject>);
  return {
    view: {
      claim: (namespace, name) => claims.lister.get(namespace, name),
      volume: (name) => volumes.lister.get(undefined, name),
      storageClass: (name) => classes.lister.get(undefined, name),
      volumesOfClass: (name) => volumes.lister.byIndex("class", name),
      csiNode: (name) => csiNodes.lister.get(undefined, name),
      csiDriver: (name) => drivers.lister.get(undefined, name),
      capacitiesOfClass: (name) => capacities.lister.byIndex("class", name),
      attachmentsTo: (name) => attachments.lister.byIndex("node", name),
    },
    writer: {
      assumed: new AssumedStorage(),
      updateVolume: (volume) => client.update(PersistentVolume, volume, { signal }),
      updateClaim: (claim) => client.update(PersistentVolumeClaim, claim, { signal }),
      node: (name) => nodes.get(undefined, name),
      hasPod: ({ metadata }) => pods.get(metadata.namespace, metadata.name ?? "")?.metadata.uid === metadata.uid,
      nowMs: () => clock.monotonicMs(),
      changed: (maxWaitMs) => changes.next(clock, maxWaitMs, signal),
    },
    follow(notify) {
      const on = (each: Informer<KubeObject>, event: ClusterEvent): void => {
        each.addHandlers({
          added: (current) => notify({ event, current }),
          updated: (old, current) => notify({ event, old, current }),
        });
      };
      on(claims as Informer<KubeObject>, "volume-claim-changed");
      on(volumes as Informer<KubeObject>, "volume-changed");
      on(classes as Informer<KubeObject>, "storage-class-changed");
      on(csiNodes as Informer<KubeObject>, "csi-node-changed");
      on(drivers as Informer<KubeObject>, "csi-driver-changed");
      on(capacities as Informer<KubeObject>, "csi-capacity-changed");
      attachments.addHandlers({ deleted: (old) => notify({ event: "volume-attachment-deleted", old }) });
    },
  };
}
