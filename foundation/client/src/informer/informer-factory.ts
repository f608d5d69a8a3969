import { apiVersionOf, type KubeObject, type ResourceType } from "@coracle/api";
import type { Informer, InformerFactory, InformerOptions } from "../informer.ts";
import { createInformer, dropManagedFields, type InformerDeps, type OwnedInformer } from "./create-informer.ts";

/**
 * Informers shared by type, scope and transform; indexes asked for later are added to the shared cache. Without a
 * transform of its own an informer drops managed fields.
 */
export function createInformerFactory(deps: InformerDeps): InformerFactory {
  const informers = new Map<string, OwnedInformer<KubeObject>>();
  const transformIds = new Map<unknown, number>();

  const transformId = (transform: unknown): number => {
    const known = transformIds.get(transform);
    if (known !== undefined) return known;
    transformIds.set(transform, transformIds.size);
    return transformIds.size - 1;
  };

  const idOf = <T extends KubeObject>(type: ResourceType<T>, options: InformerOptions<T>): string => {
    const { namespace, labelSelector, fieldSelector, metadataOnly = false, transform } = options;
    const scope = [namespace, labelSelector, fieldSelector, metadataOnly, transformId(transform)];
    return `${apiVersionOf(type)}/${type.plural} ${JSON.stringify(scope)}`;
  };

  return {
    existing<T extends KubeObject>(type: ResourceType<T>): Informer<T> | undefined {
      return informers.get(idOf(type, { transform: dropManagedFields })) as OwnedInformer<T> | undefined;
    },
    informer<T extends KubeObject>(type: ResourceType<T>, options: InformerOptions<T> = {}): Informer<T> {
      const transform = options.transform ?? dropManagedFields;
      const id = idOf(type, { ...options, transform });
      const shared = informers.get(id) as OwnedInformer<T> | undefined;
      if (shared !== undefined) {
        if (options.indexes !== undefined) shared.ensureIndexes(options.indexes);
        return shared;
      }
      const informer = createInformer(deps, type, { ...options, transform });
      informers.set(id, informer as unknown as OwnedInformer<KubeObject>);
      return informer;
    },
    async waitForSync(signal) {
      for (const informer of informers.values()) await informer.waitForSync(signal);
    },
    async [Symbol.asyncDispose]() {
      const all = [...informers.values()];
      informers.clear();
      await Promise.all(all.map(async (informer) => informer[Symbol.asyncDispose]()));
    },
  };
}
