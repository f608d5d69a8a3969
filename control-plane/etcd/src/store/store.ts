/**
 * The `Store` port: etcd's key-value semantics (etcd v3 API: KV, Watch, Lease), as narrow as the API server needs.
 * Engines: memory, embedded (LMDB), and a remote etcd cluster. One contract suite runs on all of them.
 */

/** etcd's revision: one number for the whole store, raised by each committed transaction that writes. Below 2^53. */
export type Revision = number;

/** One version of one key. `value` is shared: do not write to it. */
export interface KeyValue {
  readonly key: string;
  readonly value: Buffer;
  /** Revision at which the key was last created. */
  readonly createRevision: Revision;
  /** Revision of this version. */
  readonly modRevision: Revision;
  /** 1 at creation, one more for every change. */
  readonly version: number;
  /** Lease id, 0 for none. */
  readonly lease: LeaseId;
}

/** 64 bits, signed: a number where that is exact, so that equal ids are the same value. */
export type LeaseId = number | bigint;

export interface RangeRequest {
  /** First key. Without `end`: the only key. */
  readonly key: string;
  /** Exclusive end; see `prefixEnd`. */
  readonly end?: string | undefined;
  /** Read the state as of this revision; 0 or absent: now. */
  readonly revision?: Revision | undefined;
  /** At most so many key-values; 0 or absent: all. */
  readonly limit?: number | undefined;
  /** Leave the values out (empty buffers). */
  readonly keysOnly?: boolean | undefined;
  readonly countOnly?: boolean | undefined;
}

export interface RangeResult {
  /** The store's revision when this was read. */
  readonly revision: Revision;
  /** In key order. */
  readonly kvs: readonly KeyValue[];
  /** Keys in the range, whatever `limit` says. */
  readonly count: number;
  /** Whether `limit` cut the answer. */
  readonly more: boolean;
}

/** With `end`, all keys of the range must fulfil it. */
export type Compare = {
  readonly key: string;
  readonly end?: string | undefined;
  readonly op: "=" | "!=" | ">" | "<";
} & (
  | { readonly target: "mod" | "create" | "version"; readonly value: number }
  | { readonly target: "lease"; readonly value: LeaseId }
  /** Bytes, compared as bytes; a key that does not exist fulfils none. */
  | { readonly target: "value"; readonly value: Buffer }
);

export type Op =
  | {
      readonly type: "put";
      readonly key: string;
      readonly value: Buffer;
      readonly lease?: LeaseId | undefined;
      /** Keep what the key has; it must exist. */
      readonly ignoreValue?: boolean | undefined;
      readonly ignoreLease?: boolean | undefined;
    }
  | { readonly type: "delete"; readonly key: string; readonly end?: string | undefined }
  | ({ readonly type: "range" } & RangeRequest)
  /** Its compares look at the state before the whole transaction. */
  | ({ readonly type: "txn" } & TxnRequest);

export interface TxnRequest {
  /** All must hold for `success` to run. */
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
  readonly failure?: readonly Op[] | undefined;
}

export type OpResult =
  /** Look at `previous.value`, if at all, before that version is compacted: it may be fetched only then. */
  | { readonly type: "put"; readonly previous: KeyValue | undefined }
  /** The same holds for the values in `deleted`. */
  | { readonly type: "delete"; readonly deleted: readonly KeyValue[] }
  | ({ readonly type: "range" } & RangeResult)
  | { readonly type: "txn"; readonly succeeded: boolean; readonly results: readonly OpResult[] };

export interface TxnResult {
  readonly succeeded: boolean;
  /** Revision after the transaction; unchanged when it wrote nothing. */
  readonly revision: Revision;
  readonly results: readonly OpResult[];
}

export type StoreEvent =
  | { readonly type: "put"; readonly kv: KeyValue; readonly previous: KeyValue | undefined }
  | {
      readonly type: "delete";
      readonly key: string;
      readonly modRevision: Revision;
      readonly previous: KeyValue | undefined;
    };

export interface WatchRequest {
  readonly key: string;
  readonly end?: string | undefined;
  /** First revision wanted; absent: everything after now. */
  readonly startRevision?: Revision | undefined;
  /**
   * For ranges: also call `events` with no events, when commits touched nothing of the range, so that the watcher
   * knows how far it is.
   */
  readonly progress?: boolean | undefined;
}

/**
 * Receives a watch. Calls come in revision order, all events of one revision in one call, synchronously after the
 * commit is durable; a sink must not throw and must not block.
 */
export interface WatchSink {
  /** Everything up to and including `revision` has been delivered with this call. */
  events(events: readonly StoreEvent[], revision: Revision): void;
  /** The watch is over: compacted start revision, engine closed, connection lost. Nothing follows. */
  closed(reason: StoreError): void;
}

export interface WatchHandle extends Disposable {
  /** Store revision at which the watch began. */
  readonly startedAt: Revision;
}

export interface Store extends AsyncDisposable {
  /** Whether others write to it too, so that only the store itself knows what is newest. */
  readonly isShared?: boolean | undefined;
  range(request: RangeRequest): Promise<RangeResult>;
  /** Resolves once durable (for engines that promise it). Concurrent transactions may share one commit to disk. */
  txn(request: TxnRequest): Promise<TxnResult>;
  /** Rejects with `compacted` when `startRevision` is no longer kept. */
  watch(request: WatchRequest, sink: WatchSink): Promise<WatchHandle>;
  /** Revision now. */
  revision(): Promise<Revision>;
  /** A lease that ends `ttlSeconds` after the last keep-alive; its keys are deleted with it. Without `id` it gets a free one. */
  grantLease(ttlSeconds: number, id?: LeaseId): Promise<LeaseId>;
  keepLeaseAlive(lease: LeaseId): Promise<void>;
  revokeLease(lease: LeaseId): Promise<void>;
  /** Forgets versions that are superseded at `revision`; watches and reads from before then fail with `compacted`. */
  compact(revision: Revision): Promise<void>;
  size(): Promise<StoreSize>;
}

/** Room that a store takes. */
export interface StoreSize {
  /** On disk, or in memory. */
  readonly totalBytes: number;
  /** Of these, bytes that hold something. */
  readonly usedBytes: number;
  /** Of a store of our own that is bounded: puts are refused when this is in use. */
  readonly quotaBytes?: number | undefined;
}

export type StoreErrorCode =
  | "compacted"
  | "futureRevision"
  | "leaseNotFound"
  | "leaseExists"
  | "keyNotFound"
  | "noSpace"
  | "closed"
  | "corrupt"
  | "unavailable"
  | "tooLarge"
  | "duplicateKey"
  | "invalidRequest";

/** Any failure of a store. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreError";
    this.code = code;
  }
}

/** A revision that is no longer kept. */
export class CompactedError extends StoreError {
  /** Oldest revision that can still be read; 0: not known. */
  readonly compactRevision: Revision;
  constructor(compactRevision: Revision) {
    super("compacted", "etcdserver: mvcc: required revision has been compacted");
    this.compactRevision = compactRevision;
  }
}

/** The exclusive end of the range of all keys that start with `prefix` (keys are compared as UTF-8 bytes). */
export function prefixEnd(prefix: string): string {
  const last = prefix.charCodeAt(prefix.length - 1);
  return prefix.slice(0, -1) + String.fromCharCode(last + 1);
}
