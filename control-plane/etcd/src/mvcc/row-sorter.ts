import type { Revision } from "../store/store.ts";
import type { IndexBlock } from "./key-index.ts";
import type { ByteKey } from "./key-range.ts";
import { PackedRows } from "./packed-rows.ts";
import type { SavedIndex } from "./restore.ts";
import { isDeletionAt, revisionAt, ROW_HEADER_BYTES } from "./version-row.ts";

/** Keys of a block: room to grow in the chunk of the index that is made of it. */
const BLOCK_KEYS = 192;
const SLAB_BYTES = 4 * 1024 * 1024;

/**
 * Takes the rows of a log in order of revisions and gives them back in order of keys. They stay bytes from the log to the index: a million
 * versions as objects take longer to make, and to collect, than to sort.
 */
export class RowSorter implements SavedIndex {
  /** The largest revision that was added. */
  revision: Revision = 0;
  readonly #slabs: Buffer[] = [];
  #used = SLAB_BYTES;
  /** By order of arrival: the key of a row, and where its bytes begin, counted through all slabs. */
  readonly #keys: ByteKey[] = [];
  readonly #starts: number[] = [];

  /** Adds the row in `bytes` from `start` to `end`. */
  add(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (this.#used + length > SLAB_BYTES) {
      this.#slabs.push(Buffer.allocUnsafeSlow(SLAB_BYTES));
      this.#used = 0;
    }
    const slab = this.#slabs.length - 1;
    bytes.copy(this.#slabs[slab] as Buffer, this.#used, start, end);
    this.#keys.push(bytes.toString("latin1", start + ROW_HEADER_BYTES, end));
    this.#starts.push(slab * SLAB_BYTES + this.#used);
    this.#used += length;
    this.revision = Math.max(this.revision, revisionAt(bytes, start));
  }

  get blocks(): Iterable<IndexBlock> {
    return this.#sorted();
  }

  *#sorted(): Iterable<IndexBlock> {
    const keys = this.#keys;
    const order = keys.map((_, at) => at);
    // Those of one key stay in order of revisions.
    order.sort((a, b) => {
      const [left, right] = [keys[a] as ByteKey, keys[b] as ByteKey];
      if (left < right) return -1;
      return left === right ? a - b : 1;
    });
    for (let from = 0; from < order.length;) {
      let to = from;
      let keyCount = 0;
      let isPlain = true;
      for (let last: ByteKey | undefined; to < order.length; to++) {
        const key = keys[order[to] as number] as ByteKey;
        if (key === last) isPlain = false;
        else if (keyCount++ === BLOCK_KEYS) break;
        else if (this.#isDeletion(order[to] as number)) isPlain = false;
        last = key;
      }
      yield { rows: this.#pack(order.slice(from, to)), isPlain };
      from = to;
    }
  }

  #pack(rows: readonly number[]): PackedRows {
    let keyBytes = 0;
    for (const row of rows) keyBytes += (this.#keys[row] as ByteKey).length;
    return PackedRows.written(rows.length, keyBytes, (bytes, at, position) => {
      const row = rows[position] as number;
      const end = at + ROW_HEADER_BYTES + (this.#keys[row] as ByteKey).length;
      this.#slabOf(row).copy(bytes, at, this.#offsetOf(row), this.#offsetOf(row) + end - at);
      return end;
    });
  }

  #isDeletion(row: number): boolean {
    return isDeletionAt(this.#slabOf(row), this.#offsetOf(row));
  }

  #slabOf(row: number): Buffer {
    return this.#slabs[Math.floor((this.#starts[row] as number) / SLAB_BYTES)] as Buffer;
  }

  #offsetOf(row: number): number {
    return (this.#starts[row] as number) % SLAB_BYTES;
  }
}
