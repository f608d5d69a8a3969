import { crc32 } from "node:zlib";
import type { Version } from "../mvcc/key-index.ts";
import { readRow, ROW_HEADER_BYTES, writeRow, type LogRow } from "../mvcc/version-row.ts";
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
const HEADER_BYTES = 1 + ROW_HEADER_BYTES;

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
export function logKey(version: Version): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + version.record.key.length);
  bytes[0] = LOG;
  writeRow(bytes, 1, version);
  return bytes;
}

/** Where the log rows of `revision` begin. */
export function logKeyOf(revision: Revision): Buffer {
  const bytes = Buffer.alloc(7);
  bytes[0] = LOG;
  bytes.writeUIntBE(revision, 1, 6);
  return bytes;
}

export function checksum(value: Buffer): number {
  return crc32(value) | 0; // signed: a small integer to the engine
}

export function checksumOfKey(key: Buffer): number {
  return crc32(key);
}

/** A sum of checksums with one more, or (negative) one less. */
export function added(sum: number, change: number): number {
  return (sum + change + SUM_LIMIT) % SUM_LIMIT;
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

/** A key as the library has just read it: good until it reads the next one. */
export interface KeyBytes {
  bytes: Buffer;
  start: number;
  end: number;
}

/** A buffer for each key that is passed on the way would cost more than reading it does. */
export function keyEncoder(): object {
  const last: KeyBytes = { bytes: Buffer.alloc(0), start: 0, end: 0 };
  return {
    writeKey(key: Buffer, target: Buffer, position: number): number {
      target.set(key, position);
      return position + key.length;
    },
    readKey(bytes: Buffer, start: number, end: number): KeyBytes {
      last.bytes = bytes;
      last.start = start;
      last.end = end;
      return last;
    },
  };
}

/** Whether a log row follows the first byte. */
export function isLogKey({ bytes, start, end }: KeyBytes): boolean {
  return end - start > HEADER_BYTES && bytes[start] === LOG;
}

export function parseLogKey({ bytes, start, end }: KeyBytes): LogRow {
  return readRow(bytes, start + 1, end);
}
