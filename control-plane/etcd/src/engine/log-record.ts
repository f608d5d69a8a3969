import { crc32 } from "node:zlib";
import type { Version } from "../mvcc/key-index.ts";
import type { LogRow } from "../mvcc/restore.ts";
import { leaseIdFrom } from "../store/lease-id.ts";
import { StoreError, type LeaseId, type Revision } from "../store/store.ts";

/**
 * The file holds one tree. Its first byte says what a key is about; the log is last, so that it only grows at the end:
 *
 *     00 name                                                            -> settings, as JSON
 *     01 lease:8                                                         -> lease, as JSON
 *     02 modRevision:6 sub:3 createRevision:6 version:4 lease:8 crc:4 key   -> value
 *
 * All about a version but its value is in the key: opening a store reads keys only.
 */
const SETTING = 0;
const LEASE = 1;
const LOG = 2;
const HEADER_BYTES = 32;

/** LMDB takes keys of 1978 bytes; the rest is the header. */
export const MAX_KEY_BYTES = 1_900;

export const SETTINGS = { start: Buffer.of(SETTING), end: Buffer.of(SETTING + 1) } as const;
export const LEASES = { start: Buffer.of(LEASE), end: Buffer.of(LEASE + 1) } as const;
export const LOG_ROWS = { start: Buffer.of(LOG), end: Buffer.of(LOG + 1) } as const;

export function settingKey(name: string): Buffer {
  return Buffer.concat([Buffer.of(SETTING), Buffer.from(name)]);
}

export function leaseKey(id: LeaseId): Buffer {
  const key = Buffer.alloc(typeof id === "number" ? 9 : 10);
  key[0] = LEASE;
  if (typeof id === "number") key.writeDoubleBE(id, 1);
  else key.writeBigInt64BE(id, 2);
  return key;
}

/** The key under which `version` is written. */
export function logKey(version: Version, crc: number): Buffer {
  const { key } = version.record;
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + key.length);
  bytes[0] = LOG;
  bytes.writeUIntBE(version.modRevision, 1, 6);
  bytes.writeUIntBE(version.sub, 7, 3);
  bytes.writeUIntBE(version.createRevision, 10, 6);
  bytes.writeUInt32BE(version.version, 16);
  if (version.lease === 0) bytes.fill(0, 20, 28);
  else bytes.writeBigInt64BE(BigInt(version.lease), 20);
  bytes.writeInt32BE(crc, 28);
  bytes.write(key, HEADER_BYTES, "latin1");
  return bytes;
}

export function checksum(value: Buffer): number {
  return crc32(value) | 0; // signed: a small integer to the engine
}

/** A sum over all log keys with one key more, or (`sign` -1) less. */
export function sumWith(sum: number, key: Buffer, sign: 1 | -1 = 1): number {
  return (sum + sign * crc32(key) + SUM_LIMIT) % SUM_LIMIT;
}

const SUM_LIMIT = 2 ** 48;

/** JSON with its checksum behind it. */
export function sealJson(value: unknown): Buffer {
  const text = JSON.stringify(value);
  return Buffer.from(`${text}\n${crc32(text)}`);
}

/** Throws `corrupt` when the checksum is wrong. What older versions wrote has none. */
export function openJson(sealed: Buffer): unknown {
  const [text = "", sum] = sealed.toString().split("\n");
  if (sum !== undefined && Number(sum) !== crc32(text)) throw damaged();
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw damaged(error);
  }
}

function damaged(cause?: unknown): StoreError {
  return new StoreError("corrupt", "the store is damaged: wrong checksum of a setting or a lease", { cause });
}

/** Undefined when the bytes are not a log key. */
export function parseLogKey(bytes: Buffer): LogRow | undefined {
  if (bytes.length <= HEADER_BYTES || bytes[0] !== LOG) return undefined;
  const modRevision: Revision = bytes.readUIntBE(1, 6);
  return {
    key: bytes.toString("latin1", HEADER_BYTES),
    modRevision,
    sub: bytes.readUIntBE(7, 3),
    createRevision: bytes.readUIntBE(10, 6),
    version: bytes.readUInt32BE(16),
    lease: leaseAt(bytes, 20),
    crc: bytes.readInt32BE(28),
  };
}

function leaseAt(bytes: Buffer, at: number): LeaseId {
  const high = bytes.readInt32BE(at);
  // Small ids, and none, are the rule.
  return high === 0 ? bytes.readUInt32BE(at + 4) : leaseIdFrom(bytes.readBigInt64BE(at));
}
