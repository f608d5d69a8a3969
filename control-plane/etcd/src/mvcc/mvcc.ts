import {
  CompactedError,
  StoreError,
  type KeyValue,
  type LeaseId,
  type OpResult,
  type Op,
  type RangeRequest,
  type RangeResult,
  type Revision,
  type StoreEvent,
  type TxnRequest,
  type TxnResult,
} from "../store/store.ts";
import { History } from "./history.ts";
import { KeyIndex, visibleAt, type KeyRecord, type Version } from "./key-index.ts";
import type { PackedRows } from "./packed-rows.ts";
import { fromByteKey, toByteKey, toKeyRange, type ByteKey } from "./key-range.ts";
import { chooseBranch, checkTxn, type TxnLimits } from "./txn-rules.ts";
import type { LogRow } from "./version-row.ts";

const NOTHING = Buffer.alloc(0);

/** Fetches the value of a version whose value is not in memory. */
export type ValueLoader = (version: Version) => Buffer;

/** An operation whose inner transactions know their branch. */
type ChosenOp =
  | Exclude<Op, { readonly type: "txn" }>
  | { readonly type: "chosen"; readonly succeeded: boolean; readonly ops: readonly ChosenOp[] };

/** Where the rules take up: what is known of the time before. */
export interface MvccStart {
  readonly revision: Revision;
  readonly compacted: Revision;
  readonly index?: KeyIndex | undefined;
  /** Keys that have several versions, or none that exists. */
  readonly layered?: readonly KeyRecord[] | undefined;
  /** The log from a revision on. What happened before the start is not in the history, but there. */
  readonly readLog?: ((from: Revision) => Iterable<LogRow>) | undefined;
}

/** What evaluating a transaction did to the state. */
export interface Evaluation {
  readonly result: TxnResult;
  /** In order; empty when nothing was written. */
  readonly changes: readonly Version[];
}

/**
 * etcd's multi-version rules, without I/O. Transactions change the state at once and are `head`; they become
 * `committed`, and visible to readers and in the history, when the engine says so, or are undone.
 */
export class Mvcc {
  readonly #index: KeyIndex;
  readonly #history = new History();
  readonly #startedAt: Revision;
  readonly #readLog: ((from: Revision) => Iterable<LogRow>) | undefined;
  /** What the next compaction has to look at, beside the history. */
  #layered: Set<KeyRecord>;
  readonly #load: ValueLoader;
  readonly #limits: TxnLimits | undefined;
  #head: Revision;
  #committed: Revision;
  #compacted: Revision;

  constructor(load: ValueLoader, start: MvccStart, limits?: TxnLimits) {
    this.#limits = limits;
    this.#load = load;
    this.#index = start.index ?? new KeyIndex();
    this.#layered = new Set(start.layered);
    this.#readLog = start.readLog;
    this.#startedAt = start.revision;
    this.#head = start.revision;
    this.#committed = start.revision;
    this.#compacted = start.compacted;
  }

  /** Revision of the last evaluated transaction. */
  get head(): Revision {
    return this.#head;
  }

  /** Revision that readers see. */
  get committed(): Revision {
    return this.#committed;
  }

  /** Oldest revision that can be read. */
  get compacted(): Revision {
    return this.#compacted;
  }

  /** Committed changes since the start, or since the last compaction. */
  get changeCount(): number {
    return this.#history.length;
  }

  /** Committed changes at and after `from`, in order and whole revisions: so many, or a few more, or all there are. */
  changesFrom(from: Revision, count: number): readonly Version[] {
    const changes: Version[] = [];
    const isFull = (next: Revision): boolean =>
      changes.length >= count && (changes.at(-1) as Version).modRevision < next;
    if (from <= this.#startedAt && this.#readLog !== undefined) {
      for (const row of this.#readLog(from)) {
        if (row.modRevision > this.#startedAt) break;
        if (isFull(row.modRevision)) return changes;
        const change = this.#versionOf(row);
        if (change !== undefined) changes.push(change);
      }
    }
    for (let at = this.#history.positionOf(from); at < this.#history.length; at++) {
      const change = this.#history.at(at) as Version;
      if (isFull(change.modRevision)) break;
      changes.push(change);
    }
    return changes;
  }

  get index(): KeyIndex {
    return this.#index;
  }

  /** Reads committed state. */
  range(request: RangeRequest): RangeResult {
    return this.#rangeAt(request, this.#committed);
  }

  /** Runs a transaction on top of all before it. Throws, and changes nothing, when it is not allowed. */
  evaluate(request: TxnRequest, leaseExists: (lease: LeaseId) => boolean): Evaluation {
    checkTxn(request, this.#limits);
    const succeeded = chooseBranch(request.compare, this);
    const ops = succeeded ? request.success : (request.failure ?? []);
    const chosen = ops.map((op) => this.#choose(op));
    for (const op of chosen) this.#checkOp(op, leaseExists);
    const revision = this.#head + 1;
    const changes: Version[] = [];
    const results = chosen.map((op) => this.#apply(op, revision, changes));
    if (changes.length > 0) this.#head = revision;
    return { result: { succeeded, revision: this.#head, results }, changes };
  }

  /** The live version of a key, evaluated changes included. */
  find(key: string): Version | undefined {
    const newest = this.#index.get(toByteKey(key))?.newest;
    return newest === undefined || newest.version === 0 ? undefined : newest;
  }

  /** The live versions of a range, evaluated changes included. */
  findAll(key: string, end: string): readonly Version[] {
    const found: Version[] = [];
    this.#index.forEach(toKeyRange(key, end), ({ newest }) => {
      if (newest !== undefined && newest.version > 0) found.push(newest);
    });
    return found;
  }

  valueOf(version: Version): Buffer {
    return version.value ?? this.#load(version);
  }

  /** A transaction within one, with the branch it takes. Compares see the state before the outermost one. */
  #choose(op: Op): ChosenOp {
    if (op.type !== "txn") return op;
    const succeeded = chooseBranch(op.compare, this);
    const ops = succeeded ? op.success : (op.failure ?? []);
    return { type: "chosen", succeeded, ops: ops.map((inner) => this.#choose(inner)) };
  }

  /** Deletes keys whatever they hold now; used when a lease ends. */
  deleteKeys(keys: Iterable<string>): readonly Version[] {
    const changes: Version[] = [];
    for (const key of [...keys].toSorted(byByteOrder)) {
      const { newest } = this.#index.get(key) ?? {};
      if (newest !== undefined && newest.version > 0) this.#bury(key, this.#head + 1, changes);
    }
    if (changes.length > 0) this.#head++;
    return changes;
  }

  /** Makes evaluated changes visible. They come in the order of evaluation. */
  commit(changes: readonly Version[]): void {
    for (const change of changes) this.#history.append(change);
    const last = changes.at(-1);
    if (last !== undefined) this.#committed = last.modRevision;
  }

  /** Takes back everything that is evaluated and not committed: `changes`, all of it, in the order of evaluation. */
  undo(changes: readonly Version[]): void {
    for (const { record } of changes.toReversed()) {
      record.newest = record.newest?.older;
      if (record.newest === undefined) this.#index.remove(record.key);
    }
    this.#head = this.#committed;
  }

  /**
   * Forgets what no reader at or after `revision` can see, and returns it. Changes made at `revision` itself stay in
   * the history, so that a watch can start there. Deletions after `keptAfter` are remembered: a saved index knows the
   * keys, and not that they were deleted.
   */
  compact(revision: Revision, keptAfter: Revision = Infinity): Version[] {
    if (revision <= this.#compacted) throw new CompactedError(this.#compacted);
    if (revision > this.#committed) throw futureRevisionError();
    const dropped: Version[] = [];
    for (const record of this.#layered) this.#compactRecord(record, revision, keptAfter, dropped);
    this.#compacted = revision;
    for (const change of this.#history.dropBefore(revision)) {
      dropOlder(change, dropped);
      if (change.version > 0) continue;
      if (change.modRevision > keptAfter) this.#layered.add(change.record);
      else this.#unlink(change, dropped);
    }
    for (let at = 0; this.#history.at(at)?.modRevision === revision; at++) {
      dropOlder(this.#history.at(at) as Version, dropped);
    }
    return dropped;
  }

  #compactRecord(record: KeyRecord, revision: Revision, keptAfter: Revision, dropped: Version[]): void {
    let visible = record.newest;
    while (visible !== undefined && visible.modRevision > revision) visible = visible.older;
    // What the history has leads to all that is older.
    if (visible !== undefined && (visible.modRevision <= this.#startedAt || visible.modRevision < this.#compacted)) {
      dropOlder(visible, dropped);
      const isForgotten = visible.version === 0 && visible.modRevision < revision;
      if (isForgotten && visible.modRevision <= keptAfter) this.#unlink(visible, dropped);
    }
    const { newest } = record;
    const isLayered = newest !== undefined && (newest.older !== undefined || newest.version === 0);
    if (!isLayered) this.#layered.delete(record);
  }

  /** What a row of the log is about; undefined when it is gone. */
  #versionOf(row: LogRow): Version | undefined {
    let version = this.#index.get(row.key)?.newest;
    while (version !== undefined && version.modRevision > row.modRevision) version = version.older;
    return version?.modRevision === row.modRevision ? version : undefined;
  }

  /** Fails as etcd does when `revision` can not be read. */
  checkReadable(revision: Revision): void {
    if (revision < this.#compacted) throw new CompactedError(this.#compacted);
  }

  keyValue(version: Version): KeyValue {
    return toKeyValue(version, version.value ?? this.#load(version));
  }

  /** As `keyValue`, but a value that is not in memory is fetched only when it is looked at. */
  previousKeyValue(version: Version | undefined): KeyValue | undefined {
    if (version === undefined || version.version === 0) return undefined;
    return version.value === undefined ? toLazyKeyValue(version, this.#load) : toKeyValue(version, version.value);
  }

  event(change: Version): StoreEvent {
    const previous = this.previousKeyValue(change.older);
    if (change.version > 0) return { type: "put", kv: this.keyValue(change), previous };
    return { type: "delete", key: fromByteKey(change.record.key), modRevision: change.modRevision, previous };
  }

  #rangeAt(request: RangeRequest, now: Revision): RangeResult {
    const range = toKeyRange(request.key, request.end);
    const at = request.revision !== undefined && request.revision > 0 ? request.revision : now;
    if (at > now) throw futureRevisionError();
    this.checkReadable(at);
    const limit = request.limit !== undefined && request.limit > 0 ? request.limit : Infinity;
    const kvs: KeyValue[] = [];
    let count = 0;
    const visit = (record: KeyRecord): void => {
      const version = visibleAt(record, at);
      if (version === undefined) return;
      if (count++ >= limit || request.countOnly === true) return;
      kvs.push(request.keysOnly === true ? toKeyValue(version, NOTHING) : this.keyValue(version));
    };
    // Those that are only counted.
    const passOver = (packed: PackedRows): boolean => {
      if ((count < limit && request.countOnly !== true) || packed.newestRevision > at) return false;
      count += packed.length;
      return true;
    };
    this.#index.forEach(range, visit, passOver);
    return { revision: now, kvs, count, more: request.countOnly !== true && count > limit };
  }

  #checkOp(op: ChosenOp, leaseExists: (lease: LeaseId) => boolean): void {
    if (op.type === "chosen") {
      for (const inner of op.ops) this.#checkOp(inner, leaseExists);
    } else if (op.type === "put") {
      if ((op.ignoreValue === true || op.ignoreLease === true) && this.find(op.key) === undefined) {
        throw new StoreError("keyNotFound", "etcdserver: key not found");
      }
      if (op.lease !== undefined && op.lease !== 0 && !leaseExists(op.lease)) throw leaseNotFoundError();
    } else if (op.type === "range" && op.revision !== undefined && op.revision > 0) {
      if (op.revision > this.#head) throw futureRevisionError();
      this.checkReadable(op.revision);
    }
  }

  #apply(op: ChosenOp, revision: Revision, changes: Version[]): OpResult {
    switch (op.type) {
      case "put":
        return this.#put(op, revision, changes);
      case "delete": {
        const doomed: Version[] = [];
        this.#index.forEach(toKeyRange(op.key, op.end), ({ newest }) => {
          if (newest !== undefined && newest.version > 0) doomed.push(newest);
        });
        const deleted = doomed.map((version) => this.previousKeyValue(version) as KeyValue);
        for (const { record } of doomed) this.#bury(record.key, revision, changes);
        return { type: "delete", deleted };
      }
      case "range":
        return { type: "range", ...this.#rangeAt(op, changes.length > 0 ? revision : this.#head) };
      case "chosen":
        return {
          type: "txn",
          succeeded: op.succeeded,
          results: op.ops.map((inner) => this.#apply(inner, revision, changes)),
        };
      default:
        return op satisfies never;
    }
  }

  #put(op: Op & { readonly type: "put" }, revision: Revision, changes: Version[]): OpResult {
    const record = this.#index.getOrCreate(toByteKey(op.key));
    const older = record.newest;
    const isNew = older === undefined || older.version === 0;
    const change: Version = {
      record,
      modRevision: revision,
      sub: changes.length,
      createRevision: isNew ? revision : older.createRevision,
      version: isNew ? 1 : older.version + 1,
      lease: op.ignoreLease === true ? (older?.lease ?? 0) : (op.lease ?? 0),
      crc: 0,
      value: op.ignoreValue === true && older !== undefined ? this.valueOf(older) : op.value,
      older,
    };
    record.newest = change;
    changes.push(change);
    return { type: "put", previous: this.previousKeyValue(older) };
  }

  #bury(key: ByteKey, revision: Revision, changes: Version[]): void {
    const record = this.#index.getOrCreate(key);
    const change: Version = {
      record,
      modRevision: revision,
      sub: changes.length,
      createRevision: 0,
      version: 0,
      lease: 0,
      crc: 0,
      value: NOTHING,
      older: record.newest,
    };
    record.newest = change;
    changes.push(change);
  }

  #unlink(change: Version, dropped: Version[]): void {
    const { record } = change;
    dropped.push(change);
    if (record.newest === change) {
      record.newest = undefined;
      this.#index.remove(record.key);
      return;
    }
    let newer = record.newest;
    while (newer !== undefined && newer.older !== change) newer = newer.older;
    if (newer !== undefined) newer.older = undefined;
  }
}

/** A key-value whose value is fetched when it is looked at; possible until that version is compacted. */
function toLazyKeyValue(version: Version, load: ValueLoader): KeyValue {
  return {
    key: fromByteKey(version.record.key),
    get value() {
      return load(version);
    },
    createRevision: version.createRevision,
    modRevision: version.modRevision,
    version: version.version,
    lease: version.lease,
  };
}

function toKeyValue(version: Version, value: Buffer): KeyValue {
  return {
    key: fromByteKey(version.record.key),
    value,
    createRevision: version.createRevision,
    modRevision: version.modRevision,
    version: version.version,
    lease: version.lease,
  };
}

function dropOlder(change: Version, dropped: Version[]): void {
  let { older } = change;
  change.older = undefined;
  while (older !== undefined) {
    dropped.push(older);
    const next: Version | undefined = older.older;
    older.older = undefined;
    older = next;
  }
}

function byByteOrder(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function futureRevisionError(): StoreError {
  return new StoreError("futureRevision", "etcdserver: mvcc: required revision is a future revision");
}

export function leaseNotFoundError(): StoreError {
  return new StoreError("leaseNotFound", "etcdserver: requested lease not found");
}
