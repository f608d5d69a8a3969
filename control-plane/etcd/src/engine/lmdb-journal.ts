import { open, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type * as Lmdb from "lmdb";
import type { LeaseRecord } from "../lease/lease-table.ts";
import type { IndexBlock, Version } from "../mvcc/key-index.ts";
import { restore, type SavedIndex } from "../mvcc/restore.ts";
import { RowSorter } from "../mvcc/row-sorter.ts";
import type { LogRow } from "../mvcc/version-row.ts";
import { leaseIdFrom } from "../store/lease-id.ts";
import { StoreError, type Revision } from "../store/store.ts";
import { readIndexFile, removeIndexFiles, writeIndexFile, type IndexFile } from "./index-file.ts";
import type { Journal, JournalEntry } from "./journal.ts";
import { MEND } from "./lmdb-file.ts";
import {
  added,
  checksum,
  checksumOfKey,
  leaseKey,
  LEASES,
  openJson,
  sealJson,
  SETTINGS,
  logKey,
  logKeyOf,
  LOG_ROWS,
  MAX_KEY_BYTES,
  isLogKey,
  keyEncoder,
  parseLogKey,
  settingKey,
  type KeyBytes,
} from "./log-record.ts";
import type { InitialState } from "./mvcc-store.ts";
import { WriteRoom, type Demand, type FilePages } from "./write-room.ts";

/** Raised when the layout changes; a file with another number is refused. */
const FORMAT = "coracle-store/1";

/** Versions, leases and settings in one LMDB file; a write is one LMDB transaction, synced before it resolves. */
export class LmdbJournal implements Journal {
  readonly keepsValues = true;
  readonly maxKeyBytes = MAX_KEY_BYTES;
  #db: Lmdb.RootDatabase<Buffer, Buffer>;
  readonly #path: string;
  readonly #isSynced: boolean;
  #sums: Sums = { log: 0, tail: { after: 0, sum: 0 } };
  /** For the index that is being saved. */
  #nextTail: Tail | undefined;
  readonly #open: (path: string) => Lmdb.RootDatabase<Buffer, Buffer>;
  /** Bytes that went through memory since the file was mapped. */
  #passed = 0;
  #isWriting = false;
  #isReopeningDue = false;
  #reopening: Promise<void> | undefined;
  #isClosed = false;
  /** As it was when the file was last looked at: while it is mapped anew nothing is written. */
  #stats: FileStats | undefined;
  #room: WriteRoom;

  private constructor(path: string, isSynced: boolean, openFile: (path: string) => Lmdb.RootDatabase<Buffer, Buffer>) {
    this.#open = openFile;
    this.#isSynced = isSynced;
    this.#db = openFile(path);
    this.#path = path;
    this.#room = this.#newRoom();
  }

  /** Opens or creates the file. */
  static async open(lmdb: typeof Lmdb, path: string, isSynced = true): Promise<LmdbJournal> {
    const openFile = (file: string): Lmdb.RootDatabase<Buffer, Buffer> =>
      lmdb.open<Buffer, Buffer>({
        path: file,
        noSubdir: true,
        // A write that resolved is on disk, not on its way.
        overlappingSync: false,
        noSync: !isSynced,
        encoding: "binary",
        keyEncoder: keyEncoder(),
        cache: false,
        maxDbs: 1,
        ...AT_ONCE,
      });
    const journal = guard(path, () => new LmdbJournal(path, isSynced, openFile));
    try {
      await journal.#checkFormat();
    } catch (error) {
      await journal.close();
      throw error;
    }
    return journal;
  }

  /** Reads everything but the values: the saved index, and the log since then. */
  async restore(): Promise<InitialState> {
    const inForce = guard(this.#path, () => this.#setting<IndexFile>("index"));
    const sums = guard(this.#path, () => this.#setting<Sums>("sums"));
    const isUsable = inForce !== undefined && sums?.tail.after === inForce.revision;
    const read = isUsable ? await readIndexFile(this.#path, inForce) : undefined;
    const saved = read !== undefined && this.#isMostOf(read) ? read : undefined;
    await removeIndexFiles(this.#path, inForce?.id);
    const state = guard(this.#path, () => this.#restore(saved, sums));
    // All of the file went through memory. It need not stay there.
    if (saved === undefined) await this.#reopen();
    return { ...state, replayedFrom: saved?.revision ?? 0 };
  }

  /** A process that ended while it was filled leaves an index of a small part. To sort all is quicker than to replay most. */
  #isMostOf({ blocks }: SavedIndex): boolean {
    let rows = 0;
    for (const block of blocks) rows += block.rows.length;
    return rows >= this.#look().entryCount / 2;
  }

  write(entry: JournalEntry): Promise<void> {
    if (this.#reopening !== undefined) return this.#reopening.then(() => this.write(entry));
    this.#isWriting = true;
    return this.#writeWithRoom(entry).finally(() => {
      this.#isWriting = false;
      this.#pass(entry.changes.reduce((total, { value }) => total + (value?.length ?? 0), 0));
    });
  }

  async #writeWithRoom(entry: JournalEntry): Promise<void> {
    if (!guard(this.#path, () => this.#room.take(demandOf(entry)))) throw noSpace(undefined);
    await this.#write(entry);
  }

  #write(entry: JournalEntry): Promise<void> {
    let { log, tail } = this.#sums;
    let next = this.#nextTail;
    const count = (key: Buffer, revision: Revision, sign: 1 | -1): void => {
      const change = sign * checksumOfKey(key);
      log = added(log, change);
      tail = withChange(tail, revision, change);
      if (next !== undefined) next = withChange(next, revision, change);
    };
    const written = this.#db.batch(() => {
      if (entry.compacted !== undefined) this.#put(settingKey("compacted"), entry.compacted);
      for (const change of entry.changes) {
        const value = change.value as Buffer;
        change.crc = checksum(value);
        // Appending fills pages to the brim. The batch tells of failures; its parts need not repeat it.
        const key = logKey(change);
        count(key, change.modRevision, 1);
        this.#db.put(key, value, APPEND).catch(ignore);
      }
      for (const change of entry.leases) {
        if (change.type === "keep")
          this.#put(leaseKey(change.lease.id), { ...change.lease, id: String(change.lease.id) });
        else this.#db.remove(leaseKey(change.id)).catch(ignore);
      }
      for (const { name, value } of entry.settings) {
        if (value === undefined) this.#db.remove(settingKey(KEPT + name)).catch(ignore);
        else this.#put(settingKey(KEPT + name), value);
      }
      for (const version of entry.dropped) {
        const key = logKey(version);
        count(key, version.modRevision, -1);
        this.#db.remove(key).catch(ignore);
      }
      if (entry.index !== undefined) {
        this.#put(settingKey("index"), entry.index);
        if (next !== undefined) tail = next;
        next = undefined;
      }
      if (log !== this.#sums.log || tail !== this.#sums.tail) this.#put(settingKey("sums"), { log, tail });
    });
    // In a busy process the next turn is far away.
    this.#db.remove(NOTHING).catch(ignore);
    return written.then(
      async () => {
        this.#sums = { log, tail };
        this.#nextTail = next;
        if (entry.index !== undefined) await removeIndexFiles(this.#path, entry.index.id);
      },
      async (error: unknown) => {
        throw await commitFailure(this.#path, error);
      },
    );
  }

  saveIndex(revision: Revision, blocks: Iterable<IndexBlock>): Promise<IndexFile> {
    this.#nextTail = { after: revision, sum: 0 };
    return writeIndexFile(this.#path, revision, blocks, this.#isSynced);
  }

  load(version: Version): Buffer | undefined {
    const value = guard(this.#path, () => this.#db.getBinary(logKey(version)));
    if (value !== undefined && checksum(value) !== version.crc) {
      throw new StoreError(
        "corrupt",
        `${this.#path} is damaged: wrong checksum at revision ${version.modRevision}; ${MEND}`,
      );
    }
    this.#pass(value?.length ?? 0);
    return value;
  }

  get totalBytes(): number {
    const { lastPageNumber, pageSize } = this.#look();
    return (lastPageNumber + 1) * pageSize;
  }

  /** Writes what is live to a new file and puts that in the place of the old one. */
  async defragment(): Promise<void> {
    const path = `${this.#path}.defragmented`;
    await this.#reopening;
    const old = this.#db;
    this.#isWriting = true;
    try {
      await removeFile(path);
      await old.backup(path, true);
      await syncFile(path);
      const fresh = guard(path, () => this.#open(path));
      // Both names move on: whoever opens the file later finds the lock that belongs to it.
      await rename(path, this.#path);
      await rename(`${path}-lock`, `${this.#path}-lock`);
      this.#db = fresh;
      this.#room = this.#newRoom();
      await syncFile(dirname(this.#path));
    } catch (error) {
      await removeFile(path);
      throw toStoreError(this.#path, error);
    } finally {
      this.#isWriting = false;
    }
    await old.close();
  }

  async size(): Promise<{ readonly totalBytes: number; readonly usedBytes: number }> {
    await this.#reopening;
    return { totalBytes: this.totalBytes, usedBytes: this.usedBytes };
  }

  get usedBytes(): number {
    const stats = this.#look();
    return (META_PAGES + pagesOf(stats)) * stats.pageSize;
  }

  #look(): FileStats {
    if (this.#reopening === undefined || this.#stats === undefined) this.#stats = this.#db.getStats() as FileStats;
    return this.#stats;
  }

  #newRoom(): WriteRoom {
    return new WriteRoom(this.#path, (): FilePages => {
      const stats = this.#look();
      const reachedPages = stats.lastPageNumber + 1;
      const freePages = reachedPages - META_PAGES - pagesOf(stats) - pagesOf(stats.free);
      return { pageBytes: stats.pageSize, reachedPages, freePages };
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#reopening?.catch(ignore);
    await this.#db.close();
  }

  async #checkFormat(): Promise<void> {
    const format = guard(this.#path, () => this.#setting<string>("format"));
    if (format === FORMAT) return;
    if (format !== undefined) {
      throw new StoreError("corrupt", `${this.#path} has format ${format}, this version reads ${FORMAT}`);
    }
    for (const _key of this.#db.getKeys({ limit: 1 })) {
      throw new StoreError("corrupt", `${this.#path} is an LMDB file, but not a store of ours; ${MEND}`);
    }
    if (!this.#room.take({ single: TREE_PAGES, adjacent: 0, isGrowth: true }))
      throw new StoreError("noSpace", `no space left on the disk of ${this.#path}`);
    await this.#db.batch(() => this.#put(settingKey("format"), FORMAT));
  }

  rows(from: Revision): Iterable<LogRow> {
    return rowsOf(this.#keys(from));
  }

  *#keys(from: Revision): Iterable<KeyBytes> {
    const keys: Iterable<unknown> = this.#db.getKeys({ start: logKeyOf(from), end: LOG_ROWS.end });
    for (const key of keys as Iterable<KeyBytes>) {
      if (!isLogKey(key)) throw new StoreError("corrupt", `${this.#path} is damaged: unreadable log entry; ${MEND}`);
      yield key;
    }
  }

  #restore(saved: SavedIndex | undefined, sums: Sums | undefined): Omit<InitialState, "replayedFrom"> {
    const compacted = this.#setting<Revision>("compacted") ?? 0;
    const leases: LeaseRecord[] = [];
    for (const { value } of this.#db.getRange(LEASES)) leases.push(parseLease(value));
    const settings = new Map<string, unknown>();
    for (const { key, value } of this.#db.getRange(SETTINGS) as Iterable<{ key: unknown; value: Buffer }>) {
      const { bytes, start, end } = key as KeyBytes;
      const name = bytes.toString("utf8", start + 1, end);
      if (name.startsWith(KEPT)) settings.set(name.slice(KEPT.length), openJson(value));
    }
    let sum = 0;
    const keys = this.#keys(saved === undefined ? 0 : saved.revision + 1);
    const counted = function* (): Iterable<KeyBytes> {
      for (const key of keys) {
        sum = added(sum, checksumOfKey(key.bytes.subarray(key.start, key.end)));
        yield key;
      }
    };
    const { dropped, ...state } = restore(
      saved === undefined ? [] : rowsOf(counted()),
      compacted,
      saved ?? sortedRowsOf(counted()),
    );
    const expected = saved === undefined ? sums?.log : sums?.tail.sum;
    if (expected !== undefined && expected !== sum) {
      throw new StoreError("corrupt", `${this.#path} is damaged: the log is not complete; ${MEND}`);
    }
    this.#sums = sums ?? { log: sum, tail: { after: 0, sum } };
    // A compaction may have removed from the log what the index had.
    const isThere = (version: Version): boolean =>
      version.modRevision > (saved?.revision ?? 0) || this.#db.doesExist(logKey(version));
    return { ...state, dropped: dropped.filter(isThere), compacted, leases, settings };
  }

  async #reopen(): Promise<void> {
    this.#passed = 0;
    if (this.totalBytes < REOPENED_BYTES) return;
    await this.#db.close();
    this.#db = guard(this.#path, () => this.#open(this.#path));
  }

  /**
   * Pages that were read or written stay in memory as long as the file is mapped. When there are many, it is mapped anew: in a turn of
   * its own, for that takes no longer than the turn when nothing is being written, so that no read comes in between.
   */
  #pass(bytes: number): void {
    this.#passed += bytes;
    if (this.#passed < PASSED_BYTES || this.#isReopeningDue) return;
    this.#isReopeningDue = true;
    setImmediate(() => {
      this.#isReopeningDue = false;
      if (this.#isWriting || this.#isClosed || this.#reopening !== undefined) return;
      this.#reopening = this.#reopen().finally(() => {
        this.#reopening = undefined;
      });
      // Whoever reads or writes next is told.
      this.#reopening.catch(ignore);
    });
  }

  #put(key: Buffer, value: unknown): void {
    this.#db.put(key, sealJson(value)).catch(ignore);
  }

  #setting<T>(name: string): T | undefined {
    const value = this.#db.getBinary(settingKey(name));
    return value === undefined ? undefined : (openJson(value) as T);
  }
}

function* rowsOf(keys: Iterable<KeyBytes>): Iterable<LogRow> {
  for (const key of keys) yield parseLogKey(key);
}

function sortedRowsOf(keys: Iterable<KeyBytes>): SavedIndex {
  const sorter = new RowSorter();
  for (const { bytes, start, end } of keys) sorter.add(bytes, start + 1, end);
  return sorter;
}

/** Sums over checksums of log keys: they tell when one is missing, or is not what was written. */
interface Sums {
  /** Of the whole log. */
  readonly log: number;
  readonly tail: Tail;
}

/** Of what came after the revision of the saved index. */
interface Tail {
  readonly after: Revision;
  readonly sum: number;
}

const withChange = (tail: Tail, revision: Revision, change: number): Tail =>
  revision > tail.after ? { after: tail.after, sum: added(tail.sum, change) } : tail;

/** A file that is smaller may stay in memory whole. */
const REOPENED_BYTES = 32 * 1024 * 1024;
const PASSED_BYTES = 48 * 1024 * 1024;

/** Settings that users of the engine keep, beside its own. */
const KEPT = "kept/";

/**
 * Known to the library, missing in its types. A batch that is complete starts a turn of the event loop later, unless more instructions than
 * the threshold are there when another one follows.
 */
const AT_ONCE: object = { eventTurnBatching: false, txnStartThreshold: 1 };
/** Never there: removing it changes nothing. */
const NOTHING = settingKey("");
const APPEND = { append: true } as unknown as number;

/** The two pages that say where the trees are. */
const META_PAGES = 2;
/** The library's, and no file of ours has others. */
const PAGE_BYTES = 4_096;
const PAGE_HEADER_BYTES = 64;
/** What a row of the log takes in its leaf beside key and value. */
const ROW_BYTES = 64;
/** Smaller values always lie in the leaf; of larger ones some do. */
const INLINE_BYTES = 2_040;
/** Changed with each transaction beside the leaves: settings, the ways to the leaves, the tree of free pages. */
const TREE_PAGES = 24;

/** What one write may need of the file at most. */
function demandOf({ changes, leases, settings, dropped }: JournalEntry): Demand {
  let isGrowth = false;
  let [single, adjacent, rowBytes] = [TREE_PAGES + 2 * (leases.length + settings.length) + dropped.length, 0, 0];
  for (const { record, version, value } of changes) {
    const bytes = value?.length ?? 0;
    isGrowth ||= version > 0;
    rowBytes += ROW_BYTES + record.key.length;
    if (bytes <= INLINE_BYTES) {
      rowBytes += bytes;
      continue;
    }
    // Beside its leaf; what is larger than a page lies on pages side by side.
    const pages = Math.ceil((bytes + PAGE_HEADER_BYTES) / PAGE_BYTES);
    if (pages === 1) single++;
    else adjacent += pages;
  }
  // Rows are written one after the other, in leaves that may be half full.
  return { single: single + Math.ceil((2 * rowBytes) / PAGE_BYTES), adjacent, isGrowth };
}

interface TreeStats {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

interface FileStats extends TreeStats {
  readonly entryCount: number;
  readonly pageSize: number;
  readonly lastPageNumber: number;
  readonly free: TreeStats;
}

function pagesOf({ treeBranchPageCount, treeLeafPageCount, overflowPages }: TreeStats): number {
  return treeBranchPageCount + treeLeafPageCount + overflowPages;
}

function parseLease(value: Buffer): LeaseRecord {
  const lease = openJson(value) as LeaseRecord & { readonly id: number | string };
  return { ...lease, id: leaseIdFrom(BigInt(lease.id)) };
}

async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(`${path}-lock`, { force: true });
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function ignore(): void {}

/** Runs a call into LMDB; what LMDB says about the file becomes a `StoreError`. */
function guard<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw toStoreError(path, error);
  }
}

/** The library rejects with a generic error that holds a promise for the real one. */
async function commitFailure(path: string, error: unknown): Promise<StoreError> {
  if (!(error instanceof Error) || !("commitError" in error)) return toStoreError(path, error);
  try {
    await error.commitError;
    return toStoreError(path, error);
  } catch (cause) {
    // LMDB calls a write that was cut short an I/O error, also when the disk is just full.
    if (cause instanceof Error && "code" in cause && cause.code === EIO && (await isFull(path))) return noSpace(cause);
    return toStoreError(path, cause);
  }
}

const NEARLY_FULL_BYTES = 4 * 1024 * 1024;

async function isFull(path: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize < NEARLY_FULL_BYTES;
}

const EIO = 5;
const ENOSPC = 28;
const EDQUOT = 122;
const MAP_FULL = -30792;

function toStoreError(path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const message = error instanceof Error ? error.message : String(error);
  if (code === ENOSPC || code === EDQUOT || code === MAP_FULL || /no space left/i.test(message)) {
    return noSpace(error);
  }
  if (typeof code === "number" && code < 0) {
    return new StoreError("corrupt", `${path} is damaged: ${message}; ${MEND}`, { cause: error });
  }
  return new StoreError("unavailable", `${path}: ${message}`, { cause: error });
}

function noSpace(cause: unknown): StoreError {
  return new StoreError("noSpace", "etcdserver: mvcc: database space exceeded", { cause });
}

/** Copies a store's file as it is at one moment, also while another process writes to it. */
export async function copyLmdbFile(from: string, to: string): Promise<void> {
  await stat(from);
  const { open: openFile } = await import("lmdb");
  const db = guard(from, () => openFile({ path: from, noSubdir: true, readOnly: true, encoding: "binary" }));
  try {
    await db.backup(to, true);
  } catch (error) {
    throw toStoreError(from, error);
  } finally {
    await db.close();
  }
}
