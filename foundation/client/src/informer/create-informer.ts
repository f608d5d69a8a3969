import type { KubeObject, ResourceType } from "@coracle/api";
import { silentLogger, systemClock, systemRandom, TaskScope } from "@coracle/base";
import type { Clock, Logger, Random } from "@coracle/base";
import type { ApiClient } from "../api-client.ts";
import type { Informer, InformerHandlers, InformerOptions } from "../informer.ts";
import { cacheKeyOf, ObjectCache } from "./object-cache.ts";
import { runReflector, type ReflectorSink } from "./reflector.ts";

export interface InformerDeps {
  readonly client: ApiClient;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly logger?: Logger | undefined;
  /** Deep-freeze what is cached, so that a test fails where a shared object is changed. */
  readonly freeze?: boolean | undefined;
}

/** An informer that its maker stops. */
export interface OwnedInformer<T extends KubeObject> extends Informer<T>, AsyncDisposable {
  /** Adds indexes that are not there yet. */
  ensureIndexes(indexes: NonNullable<InformerOptions<T>["indexes"]>): void;
}

/** Starts an informer of its own, at once. Shared ones come from `createInformerFactory`. */
export function createInformer<T extends KubeObject>(
  deps: InformerDeps,
  type: ResourceType<T>,
  options: InformerOptions<T> = {},
): OwnedInformer<T> {
  const { client, clock = systemClock, random = systemRandom, logger = silentLogger, freeze = false } = deps;
  const cache = new ObjectCache<T>();
  const handlers = new Set<InformerHandlers<T>>();
  const scope = new TaskScope();
  const waiters = new Set<() => void>();
  let synced = false;
  for (const [name, valuesOf] of Object.entries(options.indexes ?? {})) cache.ensureIndex(name, valuesOf);

  const prepare = (object: T): T => {
    const kept = options.transform === undefined ? object : options.transform(object);
    return freeze ? deepFreeze(kept) : kept;
  };
  const tell = (call: (handlers: InformerHandlers<T>) => void): void => {
    for (const each of handlers) {
      try {
        call(each);
      } catch (error) {
        logger.error("informer handler threw", { resource: type.plural, error });
      }
    }
  };
  const put = (raw: T, isInInitialList: boolean): void => {
    const object = prepare(raw);
    const key = cacheKeyOf(object);
    const old = cache.byKey(key);
    if (old !== undefined && old.metadata.resourceVersion === object.metadata.resourceVersion) return;
    // Deleted and made again while nobody watched: two lives, not one change.
    if (old !== undefined && old.metadata.uid !== object.metadata.uid) {
      cache.delete(key);
      tell((each) => each.deleted?.(old));
      cache.set(key, object);
      tell((each) => each.added?.(object, { isInInitialList }));
      return;
    }
    cache.set(key, object);
    if (old === undefined) tell((each) => each.added?.(object, { isInInitialList }));
    else tell((each) => each.updated?.(old, object));
  };
  const drop = (key: string, last?: T): void => {
    const old = cache.delete(key);
    if (old !== undefined) tell((each) => each.deleted?.(last ?? old));
  };
  const sink: ReflectorSink<T> = {
    replace(objects) {
      const present = new Set(objects.map((object) => cacheKeyOf(object)));
      const gone = [...cache.keys()].filter((key) => !present.has(key));
      for (const key of gone) drop(key);
      const isInInitialList = !synced;
      for (const object of objects) put(object, isInInitialList);
      if (!synced) {
        synced = true;
        for (const wake of waiters) wake();
        waiters.clear();
      }
    },
    upsert: (object) => put(object, false),
    remove(raw) {
      const last = prepare(raw);
      drop(cacheKeyOf(last), last);
    },
  };
  const { namespace, labelSelector, fieldSelector, metadataOnly } = options;
  scope.run(async (signal) =>
    runReflector(
      {
        client,
        type,
        scope: { namespace, labelSelector, fieldSelector, metadataOnly },
        sink,
        clock,
        random,
        logger,
      },
      signal,
    ),
  );

  return {
    type,
    lister: cache,
    get synced() {
      return synced;
    },
    addHandlers(added) {
      handlers.add(added);
      if (added.added !== undefined) for (const object of cache.list()) added.added(object, { isInInitialList: true });
      return { [Symbol.dispose]: () => void handlers.delete(added) };
    },
    ensureIndexes(indexes) {
      for (const [name, valuesOf] of Object.entries(indexes)) cache.ensureIndex(name, valuesOf);
    },
    waitForSync(signal) {
      if (synced) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const wake = (): void => {
          signal?.removeEventListener("abort", fail);
          scope.signal.removeEventListener("abort", fail);
          resolve();
        };
        const fail = (): void => {
          waiters.delete(wake);
          signal?.removeEventListener("abort", fail);
          scope.signal.removeEventListener("abort", fail);
          reject((signal?.aborted === true ? signal.reason : scope.signal.reason) as Error);
        };
        if (signal?.aborted === true || scope.signal.aborted) return fail();
        waiters.add(wake);
        signal?.addEventListener("abort", fail, { once: true });
        scope.signal.addEventListener("abort", fail, { once: true });
      });
    },
    async [Symbol.asyncDispose]() {
      await scope[Symbol.asyncDispose]();
      handlers.clear();
    },
  };
}

/** Freezes a JSON value all the way down. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) deepFreeze(member);
  return Object.freeze(value);
}

/** A transform that drops `metadata.managedFields`, which only servers and appliers read. */
export function dropManagedFields<T extends KubeObject>(object: T): T {
  if (object.metadata?.managedFields === undefined) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}
