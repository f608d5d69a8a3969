import type { Revision } from "../store/store.ts";
import type { KeyRecord, Version } from "./key-index.ts";
import type { ByteKey } from "./key-range.ts";
import { hasLeaseAt, readRow, revisionAt, ROW_HEADER_BYTES, toVersion, writeRow, type LogRow } from "./version-row.ts";

/** count:4, newest revision:6, whether there are leases:1, then where each row ends:4. */
const COUNT_AT = 0;
const NEWEST_AT = 4;
const LEASED_AT = 10;
const ENDS_AT = 11;

/** Versions as bytes, in order of keys: a fraction of what they cost as objects, and as they are on disk. */
export class PackedRows {
  readonly bytes: Buffer;
  readonly length: number;
  readonly #rowsAt: number;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.length = bytes.readUInt32LE(COUNT_AT);
    this.#rowsAt = ENDS_AT + 4 * this.length;
  }

  static of(versions: readonly Version[]): PackedRows {
    let keyBytes = 0;
    for (const { record } of versions) keyBytes += record.key.length;
    return PackedRows.written(versions.length, keyBytes, (bytes, at, position) =>
      writeRow(bytes, at, versions[position] as Version),
    );
  }

  /** So many rows, whose keys have so many bytes together; `write` puts each in its place and returns where it ends. */
  static written(
    count: number,
    keyBytes: number,
    write: (bytes: Buffer, at: number, position: number) => number,
  ): PackedRows {
    let at = ENDS_AT + 4 * count;
    // A buffer of its own: one that is cut from a pool would keep the pool.
    const bytes = Buffer.allocUnsafeSlow(at + ROW_HEADER_BYTES * count + keyBytes);
    let newest = 0;
    let isLeased = false;
    for (let position = 0; position < count; position++) {
      const from = at;
      at = write(bytes, from, position);
      bytes.writeUInt32LE(at, ENDS_AT + 4 * position);
      newest = Math.max(newest, revisionAt(bytes, from));
      isLeased ||= hasLeaseAt(bytes, from);
    }
    bytes.writeUInt32LE(count, COUNT_AT);
    bytes.writeUIntLE(newest, NEWEST_AT, 6);
    bytes[LEASED_AT] = isLeased ? 1 : 0;
    return new PackedRows(bytes);
  }

  /** The largest revision among the rows. */
  get newestRevision(): Revision {
    return this.bytes.readUIntLE(NEWEST_AT, 6);
  }

  get isLeased(): boolean {
    return this.bytes[LEASED_AT] === 1;
  }

  row(position: number): LogRow {
    return readRow(this.bytes, this.#startOf(position), this.#endOf(position));
  }

  /** The key at `position` with its one version. */
  record(position: number): KeyRecord {
    const row = this.row(position);
    const record: KeyRecord = { key: row.key, newest: undefined };
    record.newest = toVersion(record, row, undefined);
    return record;
  }

  keyAt(position: number): ByteKey {
    return this.bytes.toString("latin1", this.#startOf(position) + ROW_HEADER_BYTES, this.#endOf(position));
  }

  /** Position of the first key that is not before `key`. */
  lowerBound(key: ByteKey): number {
    const wanted = Buffer.from(key, "latin1");
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const start = this.#startOf(middle) + ROW_HEADER_BYTES;
      if (this.bytes.compare(wanted, 0, wanted.length, start, this.#endOf(middle)) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #startOf(position: number): number {
    return position === 0 ? this.#rowsAt : this.#endOf(position - 1);
  }

  #endOf(position: number): number {
    return this.bytes.readUInt32LE(ENDS_AT + 4 * position);
  }
}
