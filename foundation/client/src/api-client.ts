import type { KubeObject, ResourceType } from "@coracle/api";
import type { DeleteOptions, ListMeta, Status } from "@coracle/api/meta/v1";

export interface ListResult<T> {
  readonly items: readonly T[];
  readonly metadata: ListMeta;
}

export interface ReadOptions {
  readonly resourceVersion?: string | undefined;
  /** Ask for metadata alone (PartialObjectMetadata); everything else of the object is absent. */
  readonly metadataOnly?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ListOptions extends ReadOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Page size; the answer then carries `metadata.continue` when there is more. */
  readonly limit?: number | undefined;
  readonly continue?: string | undefined;
  readonly resourceVersionMatch?: "Exact" | "NotOlderThan" | undefined;
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  readonly dryRun?: boolean | undefined;
  readonly fieldManager?: string | undefined;
  /** Only the metadata of what is answered is read; everything else of it is absent. */
  readonly metadataOnly?: boolean | undefined;
  /** Write a subresource instead: `status`, `scale`, `binding`, `eviction`, `token` … */
  readonly subresource?: string | undefined;
}

export type PatchType = "json" | "merge" | "strategic" | "apply";

export interface ObjectKey {
  /** Absent for cluster-scoped objects. */
  readonly namespace?: string | undefined;
  readonly name: string;
}

export type WatchEvent<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string; readonly initialEventsEnd: boolean }
  | { readonly type: "ERROR"; readonly status: Status };

export interface WatchOptions extends ListOptions {
  /** Ask for the present state first (`sendInitialEvents=true`), ended by a bookmark. */
  readonly sendInitialEvents?: boolean | undefined;
  /** Server closes the watch after so long; absent: server's choice. */
  readonly timeoutSeconds?: number | undefined;
}

/**
 * Requests to an API server. Failures are `StatusError`s (from `@coracle/apimachinery`): what the server said, or
 * one with code 503/500 when it could not be reached (reason ServiceUnavailable). Objects are returned parsed; they
 * may be shared and must not be changed.
 */
export interface ApiClient {
  get<T extends KubeObject>(type: ResourceType<T>, key: ObjectKey, options?: ReadOptions): Promise<T>;
  list<T extends KubeObject>(type: ResourceType<T>, options?: ListOptions): Promise<ListResult<T>>;
  /** Posts to the collection, or with `options.subresource` to the subresource of the named object. `T` in, `T` out. */
  create<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<T>;
  /** Posts `body` to a subresource of `key` (`binding`, `eviction`, `token`) and returns what the server answers. */
  post<R>(
    type: ResourceType<unknown>,
    key: ObjectKey,
    subresource: string,
    body: unknown,
    options?: WriteOptions,
  ): Promise<R>;
  update<T extends KubeObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<T>;
  patch<T extends KubeObject>(
    type: ResourceType<T>,
    key: ObjectKey,
    patchType: PatchType,
    body: unknown,
    options?: WriteOptions & { readonly force?: boolean },
  ): Promise<T>;
  delete(
    type: ResourceType<unknown>,
    key: ObjectKey,
    options?: DeleteOptions & { readonly signal?: AbortSignal },
  ): Promise<void>;
  deleteCollection(
    type: ResourceType<unknown>,
    options?: ListOptions & { readonly deleteOptions?: DeleteOptions },
  ): Promise<void>;
  /**
   * One watch request, from its first event to its end. Ends without error when the server closes it; throws
   * `StatusError` (410 Expired included) otherwise. Prefer a reflector (`createInformer`).
   */
  watch<T extends KubeObject>(type: ResourceType<T>, options?: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** Any path: the answer's parsed JSON. For what has no resource: /version, /readyz, discovery. */
  raw(
    method: string,
    path: string,
    body?: unknown,
    options?: { readonly signal?: AbortSignal; readonly contentType?: string; readonly accept?: string },
  ): Promise<unknown>;
}
