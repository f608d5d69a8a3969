import type { KubeObject, ResourceType } from "@coracle/api";
import { apiVersionOf } from "@coracle/api";
import type { LabelSelector } from "@coracle/api/meta/v1";
import { cacheKeyOf, type CacheKey, type Informer, type InformerFactory, type InformerOptions } from "@coracle/client";
import type { Expectations } from "../expectations/expectations.ts";
import { byController, controllerOf } from "../ownership/ownership.ts";
import { labelMatcher } from "../selector/label-selector.ts";

/** What a watch has at hand. */
export interface WatchContext {
  readonly informers: InformerFactory;
  /** The informer of the objects that are reconciled. */
  readonly primary: Informer<KubeObject>;
  readonly expectations: Expectations | undefined;
  readonly enqueue: (key: CacheKey) => void;
  readonly enqueueAfter: (key: CacheKey, delayMs: number) => void;
}

/** Turns changes of one kind of object into keys of another. */
export interface Watch {
  /** Adds its handlers and returns the informer that must be synced before anything is reconciled. */
  start(context: WatchContext, cleanup: (undo: Disposable) => void): Informer<KubeObject>;
}

/** Objects whose controller is a reconciled one; tells `expectations` what was seen. */
export function owned<T extends KubeObject>(type: ResourceType<T>): Watch {
  return {
    start({ informers, primary, expectations, enqueue }, cleanup) {
      const informer = informers.informer(type, { indexes: byController });
      const apiGroup = apiVersionOf(primary.type).split("/")[0];
      const ownerKeyOf = (object: T): CacheKey | undefined => {
        const reference = controllerOf(object);
        if (reference?.kind !== primary.type.kind || reference.apiVersion.split("/")[0] !== apiGroup) return undefined;
        const { namespace } = object.metadata;
        const owner = primary.lister.get(primary.type.namespaced ? namespace : undefined, reference.name);
        return owner?.metadata.uid === reference.uid ? cacheKeyOf(owner) : undefined;
      };
      cleanup(
        informer.addHandlers({
          added(object) {
            const key = ownerKeyOf(object);
            if (key === undefined) return;
            if (object.metadata.deletionTimestamp === undefined) expectations?.creationObserved(key);
            else expectations?.deletionObserved(key, object.metadata.uid ?? "");
            enqueue(key);
          },
          updated(old, object) {
            const before = ownerKeyOf(old);
            const key = ownerKeyOf(object);
            if (before !== undefined && before !== key) enqueue(before);
            if (key === undefined) return;
            if (object.metadata.deletionTimestamp !== undefined && old.metadata.deletionTimestamp === undefined)
              expectations?.deletionObserved(key, object.metadata.uid ?? "");
            enqueue(key);
          },
          deleted(object) {
            const key = ownerKeyOf(object);
            if (key === undefined) return;
            expectations?.deletionObserved(key, object.metadata.uid ?? "");
            enqueue(key);
          },
        }),
      );
      return informer as unknown as Informer<KubeObject>;
    },
  };
}

/** Orphans that a reconciled object's selector matches: it may want to adopt them. */
export function matchingOrphans<T extends KubeObject, O extends KubeObject>(
  type: ResourceType<T>,
  selectorOf: (owner: O) => LabelSelector | undefined,
): Watch {
  return {
    start({ informers, primary, enqueue }, cleanup) {
      const informer = informers.informer(type, { indexes: byController });
      const offer = (object: T): void => {
        if (controllerOf(object) !== undefined || object.metadata.deletionTimestamp !== undefined) return;
        for (const owner of primary.lister.list(object.metadata.namespace))
          if (labelMatcher(selectorOf(owner as O))(object.metadata.labels)) enqueue(cacheKeyOf(owner));
      };
      cleanup(
        informer.addHandlers({
          added: offer,
          updated(old, object) {
            if (old.metadata.labels !== object.metadata.labels || controllerOf(old) !== undefined) offer(object);
          },
        }),
      );
      return informer as unknown as Informer<KubeObject>;
    },
  };
}

/** Any other relation: `keysOf` says what to reconcile when an object changes (both states) or appears or goes. */
export function mapped<T extends KubeObject>(
  type: ResourceType<T>,
  keysOf: (object: T, old: T | undefined, context: WatchContext) => readonly CacheKey[],
  options?: InformerOptions<T>,
): Watch {
  return {
    start(context, cleanup) {
      const informer = context.informers.informer(type, options);
      const handle = (object: T, old?: T): void => {
        for (const key of keysOf(object, old, context)) context.enqueue(key);
      };
      cleanup(
        informer.addHandlers({
          added: (object) => handle(object),
          updated: (old, object) => handle(object, old),
          deleted: (object) => handle(object),
        }),
      );
      return informer as unknown as Informer<KubeObject>;
    },
  };
}
