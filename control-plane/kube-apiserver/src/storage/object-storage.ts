import type { Revision } from "@coracle/etcd";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";

/**
 * One version of one object, as it lives in the watch cache. Its bytes are made once: whoever reads it writes the
 * same buffers.
 */
export interface StoredObject {
  /** Key in the store, `/registry/…`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** Parsed and frozen; has apiVersion, kind and metadata.resourceVersion. */
  readonly object: ApiObject;
  readonly revision: Revision;
  /** The object's JSON with resourceVersion: what GET answers and LIST joins. */
  readonly json: Buffer;
  /** Another encoding (protobuf, Table row, metadata only, watch frame …), made on first demand and kept. */
  encoded(encoding: string, make: (stored: StoredObject) => Buffer): Buffer;
}

/** One committed change, shared by all watchers. */
export interface StorageEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  /** State after the change; for DELETED the last state, with the resourceVersion of the deletion. */
  readonly current: StoredObject;
  /** State before; undefined for ADDED. */
  readonly previous: StoredObject | undefined;
  readonly revision: Revision;
}

/** A compiled pair of label and field selector; absent: everything. */
export type ObjectPredicate = (object: ApiObject) => boolean;

export interface WantedLabel {
  readonly key: string;
  readonly value: string;
}

export interface StorageListRequest {
  /** Absent: all namespaces. */
  readonly namespace?: string | undefined;
  /** The only object wanted (fieldSelector metadata.name=…): looked up instead of scanned. */
  readonly name?: string | undefined;
  readonly predicate?: ObjectPredicate | undefined;
  /** An index to use instead of a scan, e.g. `spec.nodeName`. */
  readonly index?: { readonly name: string; readonly value: string } | undefined;
  /** A label that all objects have which the predicate wants: they may be looked up instead of scanned. */
  readonly label?: WantedLabel | undefined;
  readonly limit?: number | undefined;
  /** Continue after this store key … */
  readonly after?: string | undefined;
  /** … in the state as of this revision; absent: now. Fails with `expired` when no longer kept. */
  readonly revision?: Revision | undefined;
}

export interface StorageListResult {
  readonly items: readonly StoredObject[];
  readonly revision: Revision;
  /** Set when `limit` cut the answer: key of the last item. */
  readonly lastKey?: string | undefined;
  /** Known only without predicate. */
  readonly remaining?: number | undefined;
}

export interface StorageWatchRequest {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly predicate?: ObjectPredicate | undefined;
  readonly index?: { readonly name: string; readonly value: string } | undefined;
  /** Everything after this revision; 0: the present state first, from any time; absent: the present state first, then changes. */
  readonly since?: Revision | undefined;
}

/** Receives a watch synchronously, in order. Must not throw or block. */
export interface StorageWatcher {
  /** Type as this watcher sees it: an object that begins or ceases to match arrives as ADDED or DELETED. */
  event(type: "ADDED" | "MODIFIED" | "DELETED", event: StorageEvent): void;
  /** The present state was delivered (only for watches that began with it). */
  initialDone(revision: Revision): void;
  /** Nothing follows; the client must list again. */
  closed(reason: "expired" | "shutdown"): void;
}

/** One resource's objects: reads from the watch cache, writes through the store. */
export interface ObjectStorage {
  /** As fresh as the last write acknowledged by this process. */
  get(namespace: string, name: string): StoredObject | undefined;
  list(request: StorageListRequest): Promise<StorageListResult>;
  /** Throws `alreadyExists`. */
  create(object: ApiDraft, options?: { readonly ttlSeconds?: number | undefined }): Promise<StoredObject>;
  /** Replaces that very version. Undefined: it was changed or deleted meanwhile; read again. */
  replace(
    previous: StoredObject,
    object: ApiDraft,
    options?: { readonly ttlSeconds?: number | undefined },
  ): Promise<StoredObject | undefined>;
  /** Deletes that very version; undefined as above. Answers the last state with the deletion's resourceVersion. */
  remove(previous: StoredObject): Promise<StoredObject | undefined>;
  /** What is stored is not what would be written now, though it reads the same: an update writes it. Absent: never. */
  isOutdated?(stored: StoredObject): boolean;
  /** Throws `expired` (410) when `since` is no longer kept. */
  watch(request: StorageWatchRequest, watcher: StorageWatcher): Disposable;
  /** Revision that reads are at. */
  readonly revision: Revision;
  readonly count: number;
}
