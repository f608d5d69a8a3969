import { leaseIdFrom } from "../store/lease-id.ts";
import type { LeaseId, Revision } from "../store/store.ts";
import type { KeyRecord, Version } from "./key-index.ts";
import type { ByteKey } from "./key-range.ts";

/**
 * A version without its value, as bytes; the log on disk and chunks of the index are made of these:
 *
 *     modRevision:6 sub:3 createRevision:6 version:4 lease:8 crc:4 key
 */
export interface LogRow {
  readonly key: ByteKey;
  readonly modRevision: Revision;
  readonly sub: number;
  readonly createRevision: Revision;
  readonly version: number;
  readonly lease: LeaseId;
  readonly crc: number;
}

/** Bytes before the key. */
export const ROW_HEADER_BYTES = 31;

/** Writes a version at `at`; returns where it ends. */
export function writeRow(bytes: Buffer, at: number, version: Version): number {
  const { key } = version.record;
  bytes.writeUIntBE(version.modRevision, at, 6);
  bytes.writeUIntBE(version.sub, at + 6, 3);
  bytes.writeUIntBE(version.createRevision, at + 9, 6);
  bytes.writeUInt32BE(version.version, at + 15);
  if (version.lease === 0) bytes.fill(0, at + 19, at + 27);
  else bytes.writeBigInt64BE(BigInt(version.lease), at + 19);
  bytes.writeInt32BE(version.crc, at + 27);
  return at + ROW_HEADER_BYTES + bytes.write(key, at + ROW_HEADER_BYTES, "latin1");
}

/** Reads what `writeRow` wrote. */
export function readRow(bytes: Buffer, at: number, end: number): LogRow {
  return {
    key: bytes.toString("latin1", at + ROW_HEADER_BYTES, end),
    modRevision: bytes.readUIntBE(at, 6),
    sub: bytes.readUIntBE(at + 6, 3),
    createRevision: bytes.readUIntBE(at + 9, 6),
    version: bytes.readUInt32BE(at + 15),
    lease: leaseAt(bytes, at + 19),
    crc: bytes.readInt32BE(at + 27),
  };
}

/** Of the row that begins at `at`. */
export function revisionAt(bytes: Buffer, at: number): Revision {
  return bytes.readUInt16BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 2);
}

/** Whether the row that begins at `at` tells of a deletion. */
export function isDeletionAt(bytes: Buffer, at: number): boolean {
  return bytes.readUInt32BE(at + 15) === 0;
}

/** Whether the row that begins at `at` has a lease. */
export function hasLeaseAt(bytes: Buffer, at: number): boolean {
  return bytes.readInt32BE(at + 19) !== 0 || bytes.readInt32BE(at + 23) !== 0;
}

/** The version of `record` that a row tells of; its value is on disk. */
export function toVersion(record: KeyRecord, row: LogRow, older: Version | undefined): Version {
  return {
    record,
    modRevision: row.modRevision,
    sub: row.sub,
    createRevision: row.createRevision,
    version: row.version,
    lease: row.lease,
    crc: row.crc,
    value: undefined,
    older,
  };
}

function leaseAt(bytes: Buffer, at: number): LeaseId {
  const high = bytes.readInt32BE(at);
  // Small ids, and none, are the rule.
  return high === 0 ? bytes.readUInt32BE(at + 4) : leaseIdFrom(bytes.readBigInt64BE(at));
}
