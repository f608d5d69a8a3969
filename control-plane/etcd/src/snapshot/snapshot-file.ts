import { createHash, type Hash } from "node:crypto";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import type { StoreView } from "../engine/engine.ts";
import type { LeaseId, Revision } from "../store/store.ts";
import { leaseIdFrom } from "../store/lease-id.ts";
import { StoreError } from "../store/store.ts";
import type { AuthState } from "../auth/auth-state.ts";
import { fromAuthRows, toAuthRows, type AuthRow, type AuthRows } from "./auth-rows.ts";
import { BoltReader, type BoltRow } from "./bolt-reader.ts";
import { BoltWriter } from "./bolt-writer.ts";
import { crc32c } from "./crc32c.ts";
import { decodeRevision, encodeRevision, toRevisionRow } from "./revision-row.ts";

/** etcd's data file comes in whole sectors; what is over is the checksum that a snapshot ends with. */
const SECTOR_BYTES = 512;
const CHECKSUM_BYTES = 32;
const CHUNK_BYTES = 1024 * 1024;

/** Buckets of etcd's data file, in order. Ours alone, and passed over by etcd, is `coracle`: settings. */
const SETTINGS_BUCKET = "coracle";
/** The setting that users and roles are kept in. */
const AUTH = "auth";
const EMPTY_BUCKETS = ["members", "members_removed"] as const;
const META = {
  finished: "finishedCompactRev",
  scheduled: "scheduledCompactRev",
  index: "consistent_index",
  term: "term",
} as const;

/** A lease as a snapshot has it. */
export interface SnapshotLease {
  readonly id: LeaseId;
  readonly ttlSeconds: number;
}

/** What `etcdctl snapshot status` tells of a file. */
export interface SnapshotStatus {
  /** CRC-32C over buckets, keys and values. */
  readonly hash: number;
  readonly revision: Revision;
  readonly totalKeys: number;
  readonly totalBytes: number;
}

/** Writes a view as a data file of etcd, without checksum. */
export async function writeSnapshot(file: FileHandle, view: StoreView): Promise<void> {
  const writer = new BoltWriter(file);
  const put = async (key: string | Buffer, value: Buffer): Promise<void> => {
    await writer.put(typeof key === "string" ? Buffer.from(key) : key, value);
  };
  writer.endBucket("alarm");
  const auth = view.settings.get(AUTH) as AuthState | undefined;
  const authRows = auth === undefined ? undefined : toAuthRows(auth);
  for (const bucket of ["auth", "authRoles", "authUsers"] as const) {
    // oxlint-disable-next-line no-await-in-loop
    for (const { key, value } of authRows?.[bucket] ?? []) await put(key, value);
    writer.endBucket(bucket);
  }
  writer.endBucket("cluster");
  for (const [name, value] of [...view.settings].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    // oxlint-disable-next-line no-await-in-loop
    await put(name, Buffer.from(JSON.stringify(value)));
  }
  writer.endBucket(SETTINGS_BUCKET);
  for (const version of view.versions) {
    const row = toRevisionRow(version, version.version === 0 ? NOTHING : view.valueOf(version));
    const full = writer.put(row.key, row.value);
    // oxlint-disable-next-line no-await-in-loop
    if (full !== undefined) await full;
  }
  writer.endBucket("key");
  const leases = view.leases.map(({ id, ttlSeconds, remainingSeconds }) => leaseRow(id, ttlSeconds, remainingSeconds));
  // oxlint-disable-next-line no-await-in-loop
  for (const { key, value } of leases.toSorted((a, b) => Buffer.compare(a.key, b.key))) await put(key, value);
  writer.endBucket("lease");
  for (const bucket of EMPTY_BUCKETS) writer.endBucket(bucket);
  await put(META.index, numberOf(BigInt(view.revision)));
  if (view.compacted > 0) await put(META.finished, encodeRevision(view.compacted, 0));
  if (view.compacted > 0) await put(META.scheduled, encodeRevision(view.compacted, 0));
  await put(META.term, numberOf(1n));
  writer.endBucket("meta");
  await writer.end();
}

/** Reads a file in chunks and, at the end, the checksum over all of them. */
export async function* withChecksum(file: FileHandle): AsyncGenerator<Buffer> {
  const sum = createHash("sha256");
  const { size } = await file.stat();
  for (let at = 0; at < size;) {
    // oxlint-disable-next-line no-await-in-loop
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, at);
    if (bytesRead === 0) break;
    at += bytesRead;
    const chunk = buffer.subarray(0, bytesRead);
    sum.update(chunk);
    yield chunk;
  }
  yield sum.digest();
}

/** Saves what a snapshot's stream brings; the file has its name only when it is whole and its checksum is right. */
export async function saveSnapshot(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const part = `${path}.part`;
  const file = await open(part, "w", 0o600);
  try {
    for await (const chunk of chunks) await file.write(chunk);
    await file.sync();
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  try {
    await using _checked = await openSnapshot(part);
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** A snapshot whose checksum is right. */
export class Snapshot implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #reader: BoltReader;
  readonly #size: number;

  constructor(file: FileHandle, reader: BoltReader, size: number) {
    this.#file = file;
    this.#reader = reader;
    this.#size = size;
  }

  /** Versions of keys as etcd writes them, oldest first. */
  rows(): AsyncGenerator<BoltRow> {
    return this.#reader.rows("key");
  }

  async compacted(): Promise<Revision> {
    let compacted = 0;
    for await (const { key, value } of this.#reader.rows("meta")) {
      const name = key.toString();
      if (name === META.finished || name === META.scheduled)
        compacted = Math.max(compacted, decodeRevision(value).main);
    }
    return compacted;
  }

  async leases(): Promise<readonly SnapshotLease[]> {
    const leases: SnapshotLease[] = [];
    for await (const { value } of this.#reader.rows("lease")) leases.push(parseLease(value));
    return leases;
  }

  /** Settings of ours. A snapshot of etcd may have users and roles. */
  async settings(): Promise<ReadonlyMap<string, unknown>> {
    const settings = new Map<string, unknown>();
    for await (const { key, value } of this.#reader.rows(SETTINGS_BUCKET)) {
      settings.set(key.toString(), JSON.parse(value.toString()));
    }
    if (!settings.has(AUTH)) {
      const rowsOf = async (bucket: keyof AuthRows): Promise<AuthRow[]> => {
        const rows: AuthRow[] = [];
        // The page that a row lies in is not kept.
        for await (const { key, value } of this.#reader.rows(bucket)) {
          rows.push({ key: Buffer.from(key), value: Buffer.from(value) });
        }
        return rows;
      };
      const [auth, authRoles, authUsers] = [await rowsOf("auth"), await rowsOf("authRoles"), await rowsOf("authUsers")];
      const state = fromAuthRows({ auth, authRoles, authUsers });
      if (state !== undefined) settings.set(AUTH, state);
    }
    return settings;
  }

  async status(): Promise<SnapshotStatus> {
    let hash = 0;
    let totalKeys = 0;
    let revision = 0;
    for (const bucket of BUCKETS) {
      if (await this.#reader.hasBucket(bucket)) hash = crc32c(hash, Buffer.from(bucket));
      for await (const { key, value } of this.#reader.rows(bucket)) {
        hash = crc32c(crc32c(hash, key), value);
        totalKeys++;
        if (bucket === "key") revision = Math.max(revision, decodeRevision(key).main);
      }
    }
    return { hash, revision, totalKeys, totalBytes: this.#size };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** Opens a snapshot, ours or etcd's. A foreign, cut or changed file is refused with `corrupt` and one line. */
export async function openSnapshot(
  path: string,
  options: { readonly skipHashCheck?: boolean } = {},
): Promise<Snapshot> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const isSummed = size % SECTOR_BYTES === CHECKSUM_BYTES;
    const dataBytes = isSummed ? size - CHECKSUM_BYTES : size;
    const reader = await BoltReader.open(file, path, dataBytes);
    if (options.skipHashCheck !== true) {
      if (!isSummed)
        throw new StoreError("corrupt", `${path} is no snapshot: it has no checksum at its end, or is cut short`);
      await checkSum(file, path, dataBytes);
    }
    return new Snapshot(file, reader, size);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function checkSum(file: FileHandle, path: string, dataBytes: number): Promise<void> {
  const sum = createHash("sha256");
  await sumUp(file, dataBytes, sum);
  const { buffer } = await file.read(Buffer.alloc(CHECKSUM_BYTES), 0, CHECKSUM_BYTES, dataBytes);
  if (!sum.digest().equals(buffer)) throw new StoreError("corrupt", `${path} is damaged: its checksum is wrong`);
}

async function sumUp(file: FileHandle, bytes: number, sum: Hash): Promise<void> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = 0; at < bytes;) {
    // oxlint-disable-next-line no-await-in-loop
    const { bytesRead } = await file.read(chunk, 0, Math.min(CHUNK_BYTES, bytes - at), at);
    if (bytesRead === 0) return;
    sum.update(chunk.subarray(0, bytesRead));
    at += bytesRead;
  }
}

const NOTHING = Buffer.alloc(0);
const BUCKETS = [
  "alarm",
  "auth",
  "authRoles",
  "authUsers",
  "cluster",
  SETTINGS_BUCKET,
  "key",
  "lease",
  ...EMPTY_BUCKETS,
  "meta",
];

function numberOf(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

/** `leasepb.Lease`: ID = 1, TTL = 2, RemainingTTL = 3, all int64. */
function leaseRow(id: LeaseId, ttl: number, remaining: number): { readonly key: Buffer; readonly value: Buffer } {
  const key = Buffer.alloc(8);
  key.writeBigInt64BE(BigInt(id));
  const fields = [BigInt(id), BigInt(ttl), remaining < ttl ? BigInt(remaining) : 0n];
  return {
    key,
    value: Buffer.concat(fields.map((value, at) => (value === 0n ? NOTHING : varintField(at + 1, value)))),
  };
}

function varintField(field: number, value: bigint): Buffer {
  const bytes = [field << 3];
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

function parseLease(bytes: Buffer): SnapshotLease {
  const fields = [0n, 0n, 0n, 0n];
  for (let at = 0; at < bytes.length;) {
    const field = (bytes[at++] as number) >>> 3;
    let value = 0n;
    for (let shift = 0n; at < bytes.length; shift += 7n) {
      const byte = bytes[at++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    fields[field] = BigInt.asIntN(64, value);
  }
  return { id: leaseIdFrom(fields[1] as bigint), ttlSeconds: Number(fields[2]) };
}
