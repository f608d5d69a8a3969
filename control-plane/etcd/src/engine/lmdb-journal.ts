import { stat, statfs } from "node:fs/promises";
import type * as Lmdb from "lmdb";
import type { LeaseRecord } from "../lease/lease-table.ts";
import type { Version } from "../mvcc/key-index.ts";
import { restore, type LogRow } from "../mvcc/restore.ts";
import { leaseIdFrom } from "../store/lease-id.ts";
import { StoreError, type Revision } from "../store/store.ts";
import type { Journal, JournalEntry } from "./journal.ts";
import { MEND } from "./lmdb-file.ts";
import { checksum, leaseKey, LEASES, logKey, LOG_ROWS, MAX_KEY_BYTES, parseLogKey, settingKey } from "./log-record.ts";
import type { InitialState } from "./mvcc-store.ts";

/** Raised when the layout changes; a file with another number is refused. */
const FORMAT = "coracle-store/1";

/** Versions, leases and settings in one LMDB file; a write is one LMDB transaction, synced before it resolves. */
export class LmdbJournal implements Journal {
  readonly keepsValues = true;
  readonly maxKeyBytes = MAX_KEY_BYTES;
  readonly #db: Lmdb.RootDatabase<Buffer, Buffer>;
  readonly #path: string;

  private constructor(db: Lmdb.RootDatabase<Buffer, Buffer>, path: string) {
    this.#db = db;
    this.#path = path;
  }

  /** Opens or creates the file. */
  static async open(lmdb: typeof Lmdb, path: string, isSynced = true): Promise<LmdbJournal> {
    const db = guard(path, () =>
      lmdb.open<Buffer, Buffer>({
        path,
        noSubdir: true,
        // A write that resolved is on disk, not on its way.
        overlappingSync: false,
        noSync: !isSynced,
        encoding: "binary",
        keyEncoding: "binary",
        cache: false,
        maxDbs: 1,
        ...NO_TURN_BATCHING,
      }),
    );
    const journal = new LmdbJournal(db, path);
    try {
      await journal.#checkFormat();
    } catch (error) {
      await db.close();
      throw error;
    }
    return journal;
  }

  /** Reads everything but the values. */
  restore(): InitialState {
    return guard(this.#path, () => {
      const compacted = this.#setting<Revision>("compacted") ?? 0;
      const leases: LeaseRecord[] = [];
      for (const { value } of this.#db.getRange(LEASES)) leases.push(parseLease(value));
      return { ...restore(this.#rows(), compacted), compacted, leases };
    });
  }

  write(entry: JournalEntry): Promise<void> {
    const written = this.#db.batch(() => {
      if (entry.compacted !== undefined) this.#put(settingKey("compacted"), entry.compacted);
      for (const change of entry.changes) {
        const value = change.value as Buffer;
        change.crc = checksum(value);
        // Appending fills pages to the brim. The batch tells of failures; its parts need not repeat it.
        this.#db.put(logKey(change, change.crc), value, APPEND).catch(ignore);
      }
      for (const change of entry.leases) {
        if (change.type === "keep")
          this.#put(leaseKey(change.lease.id), { ...change.lease, id: String(change.lease.id) });
        else this.#db.remove(leaseKey(change.id)).catch(ignore);
      }
      for (const version of entry.dropped) this.#db.remove(logKey(version, version.crc)).catch(ignore);
    });
    return written.then(
      () => undefined,
      async (error: unknown) => {
        throw await commitFailure(this.#path, error);
      },
    );
  }

  load(version: Version): Buffer | undefined {
    const value = guard(this.#path, () => this.#db.getBinary(logKey(version, version.crc)));
    if (value !== undefined && checksum(value) !== version.crc) {
      throw new StoreError(
        "corrupt",
        `${this.#path} is damaged: wrong checksum at revision ${version.modRevision}; ${MEND}`,
      );
    }
    return value;
  }

  async size(): Promise<{ readonly totalBytes: number; readonly usedBytes: number }> {
    const { size } = await stat(this.#path);
    const { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages } = this.#db.getStats() as TreeStats;
    const usedPages = 2 + treeBranchPageCount + treeLeafPageCount + overflowPages;
    return { totalBytes: size, usedBytes: usedPages * pageSize };
  }

  async close(): Promise<void> {
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
    await this.#db.batch(() => this.#put(settingKey("format"), FORMAT));
  }

  *#rows(): Iterable<LogRow> {
    for (const key of this.#db.getKeys(LOG_ROWS)) {
      const row = parseLogKey(key);
      if (row === undefined) throw new StoreError("corrupt", `${this.#path} is damaged: unreadable log entry; ${MEND}`);
      yield row;
    }
  }

  #put(key: Buffer, value: unknown): void {
    this.#db.put(key, Buffer.from(JSON.stringify(value))).catch(ignore);
  }

  #setting<T>(name: string): T | undefined {
    const value = this.#db.getBinary(settingKey(name));
    return value === undefined ? undefined : (JSON.parse(value.toString()) as T);
  }
}

/** Known to the library, missing in its types: a batch starts when it is complete, not a turn later. */
const NO_TURN_BATCHING: object = { eventTurnBatching: false };
const APPEND = { append: true } as unknown as number;

interface TreeStats {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

function parseLease(value: Buffer): LeaseRecord {
  const lease = JSON.parse(value.toString()) as LeaseRecord & { readonly id: number | string };
  return { ...lease, id: leaseIdFrom(BigInt(lease.id)) };
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
