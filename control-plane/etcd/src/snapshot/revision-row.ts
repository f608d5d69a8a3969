import { loadEtcdCodec } from "@coracle/api";
import type { Version } from "../mvcc/key-index.ts";
import type { LogRow } from "../mvcc/version-row.ts";
import { leaseIdFrom } from "../store/lease-id.ts";
import { StoreError, type Revision } from "../store/store.ts";

const REVISION_BYTES = 17;
const SEPARATOR = 0x5f;
const TOMBSTONE = 0x74;

/** A revision as etcd's file has it: `main:8 "_" sub:8`, and a `t` where the key was deleted. */
export function encodeRevision(main: Revision, sub: number, isDeletion = false): Buffer {
  const bytes = Buffer.alloc(REVISION_BYTES + (isDeletion ? 1 : 0));
  bytes.writeBigInt64BE(BigInt(main), 0);
  bytes[8] = SEPARATOR;
  bytes.writeBigInt64BE(BigInt(sub), 9);
  if (isDeletion) bytes[REVISION_BYTES] = TOMBSTONE;
  return bytes;
}

export function decodeRevision(bytes: Buffer): { readonly main: Revision; readonly sub: number } {
  if (bytes.length < REVISION_BYTES || bytes[8] !== SEPARATOR)
    throw new StoreError("corrupt", "a revision is unreadable");
  return { main: Number(bytes.readBigInt64BE(0)), sub: Number(bytes.readBigInt64BE(9)) };
}

/** One row of etcd's bucket `key`. */
export interface RevisionRow {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** A version as etcd writes it. */
export function toRevisionRow(version: Version, value: Buffer): RevisionRow {
  const isDeletion = version.version === 0;
  const key = Buffer.from(version.record.key, "latin1");
  const kv = isDeletion
    ? { key }
    : {
        key,
        createRevision: BigInt(version.createRevision),
        modRevision: BigInt(version.modRevision),
        version: BigInt(version.version),
        value,
        lease: BigInt(version.lease),
      };
  return {
    key: encodeRevision(version.modRevision, version.sub, isDeletion),
    value: loadEtcdCodec().encode("mvccpb.KeyValue", kv),
  };
}

/** What a row says; its value still has to be summed up. */
export function fromRevisionRow(row: RevisionRow): { readonly row: Omit<LogRow, "crc">; readonly value: Buffer } {
  const { main, sub } = decodeRevision(row.key);
  const isDeletion = row.key.length > REVISION_BYTES && row.key[REVISION_BYTES] === TOMBSTONE;
  const kv = loadEtcdCodec().decode("mvccpb.KeyValue", row.value);
  return {
    row: {
      key: (kv.key ?? Buffer.alloc(0)).toString("latin1"),
      modRevision: main,
      sub,
      createRevision: isDeletion ? 0 : Number(kv.createRevision ?? 0n),
      version: isDeletion ? 0 : Number(kv.version ?? 0n),
      lease: isDeletion ? 0 : leaseIdFrom(kv.lease ?? 0n),
    },
    value: isDeletion ? Buffer.alloc(0) : (kv.value ?? Buffer.alloc(0)),
  };
}
