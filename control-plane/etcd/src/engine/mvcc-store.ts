import { systemRandom, type Clock, type Random } from "@coracle/base";
import { LeaseTable, type LeaseRecord } from "../lease/lease-table.ts";
import { Mvcc, leaseNotFoundError } from "../mvcc/mvcc.ts";
import type { KeyIndex, KeyRecord, Version } from "../mvcc/key-index.ts";
import type { TxnLimits } from "../mvcc/txn-rules.ts";
import { fromByteKey, type ByteKey } from "../mvcc/key-range.ts";
import {
  StoreError,
  type LeaseId,
  type RangeRequest,
  type RangeResult,
  type Revision,
  type StoreSize,
  type TxnRequest,
  type TxnResult,
  type WatchHandle,
  type WatchRequest,
  type WatchSink,
} from "../store/store.ts";
import { WatchHub } from "../watch/watch-hub.ts";
import { emptyGroup, hasWork, type Group, type Waiter } from "./commit-group.ts";
import type { Engine, LeaseState, StoreView } from "./engine.ts";
import type { IndexFile } from "./index-file.ts";
import type { Journal } from "./journal.ts";
import type { Quota } from "./quota.ts";

/** What an engine found when it was opened. */
export interface InitialState {
  readonly revision: Revision;
  readonly compacted: Revision;
  readonly index: KeyIndex;
  /** Keys that have several versions, or none that exists. */
  readonly layered: readonly KeyRecord[];
  /** Versions that a compaction had yet to remove. */
  readonly dropped: readonly Version[];
  readonly leases: readonly LeaseRecord[];
  readonly settings: ReadonlyMap<string, unknown>;
  /** Where the log had to be read from; before that an index was saved. */
  readonly replayedFrom: Revision;
}

/** A lease found on disk lives at least so long, so that its owner can come back and renew it. */
const LEASE_GRACE_MS = 5_000;
/** Small integers cost no memory of their own in the versions that hold them. */
const MAX_LEASE_ID = 2 ** 31 - 1;
/** Versions removed in one commit, so that a compaction never holds up writers for long; more when more is written. */
const DROP_SLICE = 250;
const DROPS_PER_CHANGE = 3;
/** The index is saved when at least so many changes would have to be replayed, and a good part of what there is. */
const INDEXED_AFTER = 50_000;
const REPLAYED_PART = 4;
/** At the end there is time for it sooner. */
const SOONER_AT_END = 5;
/** Revisions that may be there beyond those that are kept. */
const KEPT_BEYOND = 1_000;
/** Compactions may come often; to look for what could be packed is worth it now and then. */
const PACK_EVERY_MS = 30_000;
/** Chunks of the index looked at before other work gets a turn. */
const PACKED_AT_ONCE = 64;

/**
 * The store over a journal. Transactions are evaluated at once and in order; all that arrive while a commit is under
 * way share the next one. They are acknowledged, and seen by readers and watchers, when that commit is durable.
 */
export class MvccStore implements Engine {
  readonly #mvcc: Mvcc;
  readonly #hub: WatchHub;
  readonly #leases: LeaseTable;
  readonly #journal: Journal;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #indexedAfter: number;
  readonly #quota: Quota | undefined;
  readonly #released: (() => Promise<void>) | undefined;
  #group: Group = emptyGroup();
  #settings = new Map<string, unknown>();
  #dropped: Version[] = [];
  /** Fewer at once on a full disk, where letting go takes room first. */
  #dropSlice = DROP_SLICE;
  #makesRoom = false;
  /** Views that are open: what they hold is not removed. */
  #views = 0;
  #writing: Promise<void> | undefined;
  /** Changes that an opening would have to replay. */
  #sinceIndex = 0;
  #savingIndex: Promise<void> | undefined;
  /** Of the index in force; if there is none, of the one that is being saved. */
  #indexRevision: Revision | undefined;
  /** Saved, and in force with the next commit that leaves nothing to drop. */
  #savedIndex: IndexFile | undefined;
  #packing = false;
  #packAgainMs = 0;
  #keptRevisions: number | undefined;
  #flushIsDue = false;
  #publishing = false;
  /** A compaction has just ended. */
  #isSpaceFreed = false;
  #closed = false;

  constructor(options: {
    readonly journal: Journal;
    readonly clock: Clock;
    readonly random?: Random | undefined;
    readonly initial?: InitialState | undefined;
    readonly indexedAfter?: number | undefined;
    readonly limits?: TxnLimits | undefined;
    readonly quota?: Quota | undefined;
    /** Called at the end, when nothing is under way any more. */
    readonly closed?: (() => Promise<void>) | undefined;
  }) {
    const { journal, clock, initial, random = systemRandom, closed } = options;
    this.#quota = options.quota;
    this.#released = closed;
    this.#journal = journal;
    this.#random = random;
    this.#clock = clock;
    this.#indexedAfter = options.indexedAfter ?? INDEXED_AFTER;
    // As etcd, an empty store is at revision 1.
    const start = {
      revision: initial?.revision ?? 1,
      compacted: initial?.compacted ?? 0,
      index: initial?.index,
      layered: initial?.layered,
      readLog: journal.rows?.bind(journal),
    };
    this.#mvcc = new Mvcc((version) => this.#load(version), start, options.limits);
    this.#hub = new WatchHub(this.#mvcc);
    this.#leases = new LeaseTable(clock, (lease) => this.#expire(lease));
    if (initial !== undefined) this.#restore(initial, clock);
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    this.#checkOpen();
    return this.#mvcc.range(request);
  }

  async revision(): Promise<Revision> {
    this.#checkOpen();
    return this.#mvcc.committed;
  }

  txn(request: TxnRequest): Promise<TxnResult> {
    return new Promise((resolve, reject) => {
      this.#checkOpen();
      this.#checkKeys(request);
      this.#quota?.check(request);
      const { result, changes } = this.#mvcc.evaluate(request, (lease) => this.#leases.has(lease));
      // What it read may not be durable yet: then the answer waits too.
      if (changes.length === 0 && result.revision === this.#mvcc.committed) {
        resolve(result);
        return;
      }
      for (const change of changes) {
        this.#group.changes.push(change);
        if (change.lease !== 0) this.#leases.attach(change.lease, change.record.key);
      }
      this.#enqueue({ settle: () => resolve(result), reject });
    });
  }

  async watch(request: WatchRequest, sink: WatchSink): Promise<WatchHandle> {
    this.#checkOpen();
    return this.#hub.watch(request, sink);
  }

  async grantLease(ttlSeconds: number, wanted: LeaseId = 0): Promise<LeaseId> {
    this.#checkOpen();
    if (this.#leases.has(wanted)) throw new StoreError("leaseExists", "etcdserver: lease already exists");
    let id: LeaseId = wanted;
    while (id === 0 || (wanted === 0 && this.#leases.has(id))) id = 1 + Math.floor(this.#random.next() * MAX_LEASE_ID);
    this.#leases.add(id, ttlSeconds * 1000);
    await this.#writeLease(id, () => this.#leases.remove(id));
    return id;
  }

  async keepLeaseAlive(lease: LeaseId): Promise<void> {
    this.#checkOpen();
    if (!this.#leases.renew(lease)) throw leaseNotFoundError();
    await this.#writeLease(lease);
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    this.#checkOpen();
    if (!this.#leases.has(lease)) throw leaseNotFoundError();
    await this.#endLease(lease);
  }

  leaseState(lease: LeaseId): LeaseState | undefined {
    const state = this.#leases.stateOf(lease);
    if (state === undefined) return undefined;
    const attached = [...this.#leases.keysOf(lease)].filter(
      (key) => this.#mvcc.index.get(key)?.newest?.lease === lease,
    );
    return { ...state, keys: attached.toSorted().map(fromByteKey) };
  }

  leases(): readonly LeaseId[] {
    return this.#leases.ids();
  }

  get compacted(): Revision {
    return this.#mvcc.compacted;
  }

  get totalBytes(): number {
    return this.#journal.totalBytes;
  }

  keepRevisions(count: number | undefined): void {
    this.#keptRevisions = count;
    this.#compactIfDue();
  }

  view(): StoreView {
    this.#checkOpen();
    const { committed: revision, compacted } = this.#mvcc;
    const versions: Version[] = [];
    this.#mvcc.index.forEach(EVERYTHING, ({ newest }) => {
      for (let version = newest; version !== undefined; version = version.older) {
        const isForgotten = version.version === 0 && version.modRevision < compacted;
        if (version.modRevision <= revision && !isForgotten) versions.push(version);
      }
    });
    versions.sort((a, b) => a.modRevision - b.modRevision || a.sub - b.sub);
    const leases = this.#leases
      .ids()
      .map((id) => ({ id, ttlSeconds: 0, remainingSeconds: 0, ...this.#leases.stateOf(id) }));
    this.#views++;
    let isOpen = true;
    return {
      revision,
      compacted,
      versions,
      leases,
      settings: new Map(this.#settings),
      valueOf: (version) => {
        const value = version.value ?? this.#journal.load(version);
        if (value === undefined) throw missingValue(version);
        return value;
      },
      [Symbol.dispose]: () => {
        if (isOpen) this.#views--;
        isOpen = false;
        if (this.#views === 0 && this.#dropped.length > 0 && !this.#closed) this.#scheduleFlush();
      },
    };
  }

  async defragment(): Promise<void> {
    this.#checkOpen();
    const journal = this.#journal;
    if (journal.defragment === undefined) return;
    // oxlint-disable-next-line no-await-in-loop
    while (this.#writing !== undefined) await this.#writing;
    this.#checkOpen();
    const work = journal.defragment();
    const done = (): void => {
      this.#writing = undefined;
      if (hasWork(this.#group) || this.#dropped.length > 0) this.#scheduleFlush();
    };
    this.#writing = work.then(done, done);
    await work;
  }

  setting(name: string): unknown {
    return this.#settings.get(name);
  }

  async keepSetting(name: string, value: unknown): Promise<void> {
    this.#checkOpen();
    const before = this.#settings.get(name);
    const set = (to: unknown): void =>
      void (to === undefined ? this.#settings.delete(name) : this.#settings.set(name, to));
    set(value);
    this.#group.settings.push({ name, value });
    this.#group.undo.push(() => set(before));
    await new Promise<void>((settle, reject) => this.#enqueue({ settle, reject }));
  }

  async compact(revision: Revision): Promise<void> {
    this.#checkOpen();
    this.#dropped = this.#dropped.concat(this.#mvcc.compact(revision, this.#indexRevision));
    this.#group.compacted = revision;
    await new Promise<void>((settle, reject) => this.#enqueue({ settle, reject }));
  }

  async size(): Promise<StoreSize> {
    return { ...(await this.#journal.size()), quotaBytes: this.#quota?.bytes };
  }

  /** Waits for what is under way; watches end with `closed`. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#writing !== undefined || hasWork(this.#group)) {
      if (this.#writing === undefined) this.#flush();
      await this.#writing;
    }
    await this.#saveIndexAtEnd();
    this.#leases[Symbol.dispose]();
    this.#hub.close(closedError());
    await this.#released?.();
  }

  #restore(initial: InitialState, clock: Clock): void {
    this.#sinceIndex = initial.revision - initial.replayedFrom;
    if (initial.replayedFrom > 0) this.#indexRevision = initial.replayedFrom;
    this.#dropped = [...initial.dropped];
    this.#settings = new Map(initial.settings);
    for (const { id, ttlSeconds, expiresAt } of initial.leases) {
      const ttlMs = ttlSeconds * 1000;
      this.#leases.add(id, ttlMs, Math.min(ttlMs, Math.max(expiresAt - clock.now(), LEASE_GRACE_MS)));
    }
    if (initial.leases.length === 0) return;
    this.#mvcc.index.forEach(
      EVERYTHING,
      ({ key, newest }) => {
        if (newest !== undefined && newest.lease !== 0) this.#leases.attach(newest.lease, key);
      },
      (packed) => !packed.isLeased,
    );
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError();
  }

  #load(version: Version): Buffer {
    const value = version.value ?? this.#journal.load(version);
    if (value !== undefined) return value;
    this.#mvcc.checkReadable(version.modRevision);
    throw missingValue(version);
  }

  #checkKeys(request: TxnRequest): void {
    const { maxKeyBytes } = this.#journal;
    for (const ops of [request.success, request.failure ?? []]) {
      for (const op of ops) {
        if (op.type === "txn") this.#checkKeys(op);
        else if (op.type === "put" && op.key.length > maxKeyBytes) {
          throw new StoreError("tooLarge", `a key is longer than ${maxKeyBytes} bytes`);
        }
      }
    }
  }

  #writeLease(id: LeaseId, undo?: () => void): Promise<void> {
    const lease = this.#leases.recordOf(id);
    if (lease !== undefined) this.#group.leases.push({ type: "keep", lease });
    if (undo !== undefined) this.#group.undo.push(undo);
    return new Promise((settle, reject) => this.#enqueue({ settle, reject }));
  }

  #endLease(id: LeaseId): Promise<void> {
    const attached = [...this.#leases.keysOf(id)].filter((key) => this.#mvcc.index.get(key)?.newest?.lease === id);
    for (const change of this.#mvcc.deleteKeys(attached)) this.#group.changes.push(change);
    this.#group.leases.push({ type: "end", id });
    const record = this.#leases.recordOf(id);
    this.#leases.remove(id);
    this.#group.undo.push(() => {
      // It comes back as ended, and ends again a little later.
      if (record !== undefined) this.#leases.add(id, record.ttlSeconds * 1000, LEASE_GRACE_MS);
      for (const key of attached) this.#leases.attach(id, key);
    });
    return new Promise((settle, reject) => this.#enqueue({ settle, reject }));
  }

  #expire(id: LeaseId): void {
    if (this.#closed) return;
    // A failed commit brings the lease back (see #endLease): nobody waits for this one.
    this.#endLease(id).catch(() => undefined);
  }

  #enqueue(waiter: Waiter): void {
    this.#group.waiters.push(waiter);
    // A watcher that writes from within `events` must not overtake the delivery to the other watchers.
    if (this.#journal.keepsValues || this.#publishing) this.#scheduleFlush();
    else this.#flush();
  }

  /** After the present turn of the event loop, so that those who are ready now come along. */
  #scheduleFlush(): void {
    if (this.#flushIsDue || this.#writing !== undefined) return;
    this.#flushIsDue = true;
    setImmediate(() => {
      this.#flushIsDue = false;
      if (!this.#closed && this.#writing === undefined) this.#flush();
    });
  }

  #flush(): void {
    const isHeld = this.#views > 0;
    if (!hasWork(this.#group) && (isHeld || (this.#dropped.length === 0 && this.#savedIndex === undefined))) return;
    // On a full disk what is to be dropped goes alone: with writes that find no room it would never go.
    const group = this.#makesRoom && !isHeld ? emptyGroup() : this.#group;
    if (group === this.#group) this.#group = emptyGroup();
    const slice = isHeld ? 0 : Math.max(this.#dropSlice, group.changes.length * DROPS_PER_CHANGE);
    const isPart = isHeld || this.#dropped.length > slice;
    const dropped = isPart ? this.#dropped.splice(0, slice) : this.#dropped;
    if (!isPart) this.#dropped = [];
    if (dropped.length > 0 && !isPart) this.#isSpaceFreed = true;
    const { changes, leases, settings, compacted } = group;
    const index = isPart ? undefined : this.#savedIndex;
    if (index !== undefined) this.#savedIndex = undefined;
    const written = this.#journal.write({ changes, leases, settings, compacted, dropped, index });
    if (written === undefined) {
      this.#committed(group);
      return;
    }
    this.#writing = written.then(
      () => {
        this.#makesRoom = false;
        this.#dropSlice = DROP_SLICE;
        this.#indexRevision = index?.revision ?? this.#indexRevision;
        this.#committed(group);
      },
      (error: unknown) => this.#failed(group, dropped, error),
    );
  }

  #committed(group: Group): void {
    this.#writing = undefined;
    this.#mvcc.commit(group.changes);
    this.#publishing = true;
    if (group.changes.length > 0) this.#hub.publish(group.changes);
    this.#publishing = false;
    if (this.#journal.keepsValues) for (const change of group.changes) change.value = undefined;
    for (const waiter of group.waiters) waiter.settle();
    this.#sinceIndex += group.changes.length;
    if (this.#sinceIndex >= this.#indexedAfter) this.#saveIndexIfDue();
    if (group.compacted !== undefined) this.#packIfDue();
    if (this.#isSpaceFreed) this.#giveBackSpace();
    this.#compactIfDue();
    if (hasWork(this.#group) || (this.#dropped.length > 0 && this.#views === 0)) this.#scheduleFlush();
  }

  #saveIndexIfDue(): void {
    if (this.#savingIndex !== undefined || this.#savedIndex !== undefined || this.#closed) return;
    if (this.#sinceIndex < Math.max(this.#mvcc.index.size, this.#mvcc.changeCount) / REPLAYED_PART) return;
    this.#savingIndex = this.#saveIndex().finally(() => {
      this.#savingIndex = undefined;
      if (!this.#closed) this.#scheduleFlush();
    });
  }

  /** A failure is no harm: the log has everything. */
  async #saveIndex(): Promise<void> {
    const { committed } = this.#mvcc;
    const saved = this.#sinceIndex;
    this.#indexRevision ??= committed;
    try {
      this.#savedIndex = await this.#journal.saveIndex?.(committed, this.#mvcc.index.blocks(committed));
    } catch {
      this.#savedIndex = undefined;
    }
    this.#sinceIndex -= saved;
  }

  /** Everything is written by now, but for what compactions dropped. */
  async #saveIndexAtEnd(): Promise<void> {
    await this.#savingIndex;
    if (this.#sinceIndex >= this.#indexedAfter / SOONER_AT_END) await this.#saveIndex();
    if (this.#savedIndex === undefined) return;
    this.#views = 0;
    for (let before = Infinity; this.#savedIndex !== undefined && this.#dropped.length < before;) {
      before = this.#dropped.length;
      this.#flush();
      // oxlint-disable-next-line no-await-in-loop
      await this.#writing;
    }
  }

  #compactIfDue(): void {
    const { committed, compacted } = this.#mvcc;
    if (this.#keptRevisions === undefined || this.#closed) return;
    const revision = committed - this.#keptRevisions;
    if (revision - compacted < Math.max(KEPT_BEYOND, this.#keptRevisions)) return;
    // When it cannot be written it is tried again with the next commit.
    this.compact(revision).catch(() => undefined);
  }

  /** Only at the quota: otherwise the space is written to again. */
  #giveBackSpace(): void {
    this.#isSpaceFreed = false;
    if (this.#quota?.isDefragmentationDue !== true || this.#closed) return;
    // When it fails, the next compaction tries again.
    this.defragment().catch(() => undefined);
  }

  #packIfDue(): void {
    const now = this.#clock.monotonicMs();
    if (!this.#journal.keepsValues || now < this.#packAgainMs) return;
    this.#packAgainMs = now + PACK_EVERY_MS;
    this.#pack("");
  }

  /** Makes what has not changed for a while small, a few keys at a time. */
  #pack(from: ByteKey): void {
    if (this.#packing && from === "") return;
    const next = this.#mvcc.index.pack(from, this.#mvcc.compacted, PACKED_AT_ONCE);
    this.#packing = next !== undefined && !this.#closed;
    if (next !== undefined && this.#packing) setImmediate(() => this.#pack(next));
  }

  /** Those that came after stand on what failed, so they fail too. */
  #failed(group: Group, dropped: Version[], error: unknown): void {
    this.#writing = undefined;
    const later = this.#group;
    this.#group = emptyGroup();
    this.#group.compacted = later.compacted ?? group.compacted;
    this.#dropped = dropped.concat(this.#dropped);
    if (!hasWork(group)) this.#dropSlice >>= 1;
    this.#makesRoom = this.#dropped.length > 0 && this.#dropSlice > 0;
    if (this.#makesRoom) this.#scheduleFlush();
    else this.#dropSlice = DROP_SLICE;
    this.#mvcc.undo([...group.changes, ...later.changes]);
    for (const undo of [...group.undo, ...later.undo].toReversed()) undo();
    const reason = error instanceof StoreError ? error : new StoreError("unavailable", String(error), { cause: error });
    for (const waiter of [...group.waiters, ...later.waiters]) waiter.reject(reason);
  }
}

const EVERYTHING = { single: false, start: "", end: undefined } as const;

function missingValue(version: Version): StoreError {
  return new StoreError("corrupt", `the value of revision ${version.modRevision} is missing`);
}

function closedError(): StoreError {
  return new StoreError("closed", "the store is closed");
}
