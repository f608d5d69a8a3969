import type { KubeObject, ResourceType } from "@coracle/api";

/** `NAMESPACE/NAME`, or `NAME` for cluster-scoped objects. */
export type CacheKey = string;

/** A read-only view of what a reflector has seen. Objects are shared: never change them. */
export interface Lister<T> {
  get(namespace: string | undefined, name: string): T | undefined;
  byKey(key: CacheKey): T | undefined;
  /** All, or those of one namespace. */
  list(namespace?: string): readonly T[];
  /** Objects under `value` of an index that the informer was made with. */
  byIndex(index: string, value: string): readonly T[];
  /** How many these are. */
  countByIndex(index: string, value: string): number;
  readonly size: number;
}

export interface InformerHandlers<T> {
  added?(object: T, details: { readonly isInInitialList: boolean }): void;
  updated?(old: T, current: T): void;
  /** `object` is the last known state. */
  deleted?(object: T): void;
}

export interface InformerOptions<T> {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Cache metadata alone (PartialObjectMetadata). */
  readonly metadataOnly?: boolean | undefined;
  /** Name → values under which an object is found by `byIndex`. */
  readonly indexes?: Readonly<Record<string, (object: T) => readonly string[]>> | undefined;
  /** Cuts down an object before it is cached (drop managedFields …). */
  readonly transform?: ((object: T) => T) | undefined;
}

/**
 * List, then watch, then both again whenever the watch is lost, for as long as it runs; keeps a cache and calls
 * handlers in order. Handlers of one informer never overlap and must not throw.
 */
export interface Informer<T extends KubeObject> {
  readonly type: ResourceType<T>;
  readonly lister: Lister<T>;
  /** True once the first list is in the cache and its handlers were called. */
  readonly synced: boolean;
  /** Resolves when synced; rejects when stopped before or `signal` aborts. */
  waitForSync(signal?: AbortSignal): Promise<void>;
  /** Handlers added late get `added` for what the cache holds. */
  addHandlers(handlers: InformerHandlers<T>): Disposable;
}

/** Informers shared by all who ask for the same type and options in one process. Starts each on first demand. */
export interface InformerFactory extends AsyncDisposable {
  informer<T extends KubeObject>(type: ResourceType<T>, options?: InformerOptions<T>): Informer<T>;
  /** The one of whole objects in all namespaces, when somebody has asked for it. */
  existing<T extends KubeObject>(type: ResourceType<T>): Informer<T> | undefined;
  /** Resolves when all informers asked for so far are synced. */
  waitForSync(signal?: AbortSignal): Promise<void>;
}
