import type { Version } from "../mvcc/key-index.ts";
import type { LeaseId, Revision, Store } from "../store/store.ts";

/** A lease as it is now. */
export interface LeaseState {
  readonly ttlSeconds: number;
  /** Whole seconds until it ends, rounded up. */
  readonly remainingSeconds: number;
  readonly keys: readonly string[];
}

/** The store as it is at one moment: compactions take nothing of it away until it is disposed of. */
export interface StoreView extends Disposable {
  readonly revision: Revision;
  readonly compacted: Revision;
  /** Everything that is kept, oldest first. */
  readonly versions: readonly Version[];
  /** Live leases, with how long they live. */
  readonly leases: readonly { readonly id: LeaseId; readonly ttlSeconds: number; readonly remainingSeconds: number }[];
  /** What was kept beside keys and leases. */
  readonly settings: ReadonlyMap<string, unknown>;
  valueOf(version: Version): Buffer;
}

/** A store of our own: what an etcd server answers beside what the port has. */
export interface Engine extends Store {
  /** Undefined: there is no such lease. */
  leaseState(lease: LeaseId): LeaseState | undefined;
  leases(): readonly LeaseId[];
  /** Revision of the last compaction; 0: there was none. */
  readonly compacted: Revision;
  /** Bytes on disk (or in memory), without waiting. */
  readonly totalBytes: number;
  /**
   * Keeps so many revisions, and not many more: older ones are forgotten as new ones come. Undefined, as at first: all
   * are kept until `compact` is called.
   */
  keepRevisions(count: number | undefined): void;
  view(): StoreView;
  /** Gives space that is not used back to the disk. Writers wait meanwhile, readers do not. */
  defragment(): Promise<void>;
  /** Something small that is kept with the data, as JSON. */
  setting(name: string): unknown;
  /** Resolves once durable. Undefined removes it. */
  keepSetting(name: string, value: unknown): Promise<void>;
}
