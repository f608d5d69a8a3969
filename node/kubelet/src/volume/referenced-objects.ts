import type { KubeObject, ResourceType } from "@coracle/api";
import { ConfigMap, Secret, type Container, type Pod } from "@coracle/api/core/v1";
import type { Clock, Logger } from "@coracle/base";
import { createInformer, dropManagedFields, type ApiClient, type OwnedInformer } from "@coracle/client";

/** ConfigMaps and Secrets that pods of this node name: followed one by one, as long as a pod needs them. */
export interface ReferencedObjects extends AsyncDisposable {
  /** Follows what `pod` names; resolves when all of it was asked for. */
  acquire(pod: Pod, signal: AbortSignal): Promise<void>;
  release(uid: string): Promise<void>;
  configMap(namespace: string, name: string): ConfigMap | undefined;
  secret(namespace: string, name: string): Secret | undefined;
}

interface Followed {
  readonly informer: OwnedInformer<KubeObject>;
  readonly uids: Set<string>;
}

/** Names of the ConfigMaps and Secrets that a pod needs to run. */
export function referencesOf(pod: Pod): { readonly configMaps: Set<string>; readonly secrets: Set<string> } {
  const configMaps = new Set<string>();
  const secrets = new Set<string>();
  const add = (set: Set<string>, name: string | undefined): void => {
    if (name !== undefined && name !== "") set.add(name);
  };
  for (const volume of pod.spec?.volumes ?? []) {
    add(configMaps, volume.configMap?.name);
    add(secrets, volume.secret?.secretName);
    for (const source of volume.projected?.sources ?? []) {
      add(configMaps, source.configMap?.name);
      add(secrets, source.secret?.name);
    }
  }
  const containers = [
    ...(pod.spec?.initContainers ?? []),
    ...(pod.spec?.containers ?? []),
    ...((pod.spec?.ephemeralContainers ?? []) as readonly Container[]),
  ];
  for (const container of containers) {
    for (const source of container.envFrom ?? []) {
      add(configMaps, source.configMapRef?.name);
      add(secrets, source.secretRef?.name);
    }
    for (const variable of container.env ?? []) {
      add(configMaps, variable.valueFrom?.configMapKeyRef?.name);
      add(secrets, variable.valueFrom?.secretKeyRef?.name);
    }
  }
  for (const reference of pod.spec?.imagePullSecrets ?? []) add(secrets, reference.name);
  return { configMaps, secrets };
}

/** Calls `onChange` with the uids of the pods that use an object whenever it changes. */
export function createReferencedObjects(
  deps: { readonly client: ApiClient; readonly clock: Clock; readonly logger: Logger },
  onChange: (uids: Iterable<string>) => void,
): ReferencedObjects {
  const followed = new Map<string, Followed>();
  const keyOf = (type: ResourceType<KubeObject>, namespace: string, name: string): string =>
    `${type.plural}/${namespace}/${name}`;

  function follow(type: ResourceType<KubeObject>, namespace: string, name: string, uid: string): Followed {
    const key = keyOf(type, namespace, name);
    let entry = followed.get(key);
    if (entry === undefined) {
      const informer = createInformer(deps, type, {
        namespace,
        fieldSelector: `metadata.name=${name}`,
        transform: dropManagedFields,
      });
      const made: Followed = { informer, uids: new Set() };
      informer.addHandlers({
        added: (_object, { isInInitialList }) => {
          if (!isInInitialList) onChange(made.uids);
        },
        updated: () => onChange(made.uids),
        deleted: () => onChange(made.uids),
      });
      followed.set(key, (entry = made));
    }
    entry.uids.add(uid);
    return entry;
  }

  const find = <T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string): T | undefined =>
    followed.get(keyOf(type as ResourceType<KubeObject>, namespace, name))?.informer.lister.get(namespace, name) as
      | T
      | undefined;

  return {
    async acquire(pod, signal) {
      const { namespace = "", uid = "" } = pod.metadata;
      const { configMaps, secrets } = referencesOf(pod);
      const entries = [
        ...[...configMaps].map((name) => follow(ConfigMap as ResourceType<KubeObject>, namespace, name, uid)),
        ...[...secrets].map((name) => follow(Secret as ResourceType<KubeObject>, namespace, name, uid)),
      ];
      await Promise.all(entries.map(async ({ informer }) => informer.waitForSync(signal)));
    },
    async release(uid) {
      const unused: Followed[] = [];
      for (const [key, entry] of followed) {
        if (!entry.uids.delete(uid) || entry.uids.size > 0) continue;
        followed.delete(key);
        unused.push(entry);
      }
      await Promise.all(unused.map(async ({ informer }) => informer[Symbol.asyncDispose]()));
    },
    configMap: (namespace, name) => find(ConfigMap, namespace, name),
    secret: (namespace, name) => find(Secret, namespace, name),
    async [Symbol.asyncDispose]() {
      const all = [...followed.values()];
      followed.clear();
      await Promise.all(all.map(async ({ informer }) => informer[Symbol.asyncDispose]()));
    },
  };
}
