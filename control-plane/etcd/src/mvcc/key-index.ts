import type { LeaseId, Revision } from "../store/store.ts";
import type { ByteKey, KeyRange } from "./key-range.ts";

/** One version of one key. A deletion is a version too, with `version` 0. */
export interface Version {
  readonly record: KeyRecord;
  readonly modRevision: Revision;
  /** Position among the changes of its revision. */
  readonly sub: number;
  readonly createRevision: Revision;
  readonly version: number;
  readonly lease: LeaseId;
  /** Checksum of the value, for engines that write it to disk. */
  crc: number;
  /** Present as long as memory is where the value lives. */
  value: Buffer | undefined;
  /** The version before; undefined for the first one kept. */
  older: Version | undefined;
}

/** A key and its versions, newest first. */
export interface KeyRecord {
  readonly key: ByteKey;
  newest: Version | undefined;
}

/** The version of `record` that a reader at `revision` sees; deletions show as undefined. */
export function visibleAt(record: KeyRecord, revision: Revision): Version | undefined {
  let version = record.newest;
  while (version !== undefined && version.modRevision > revision) version = version.older;
  return version === undefined || version.version === 0 ? undefined : version;
}

const MAX_CHUNK = 256;

/** All keys in byte order: a two-level sorted array, so that an insert moves at most one chunk. */
export class KeyIndex {
  #chunks: KeyRecord[][] = [];

  get(key: ByteKey): KeyRecord | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)];
    if (chunk === undefined) return undefined;
    const record = chunk[lowerBound(chunk, key)];
    return record !== undefined && record.key === key ? record : undefined;
  }

  getOrCreate(key: ByteKey): KeyRecord {
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) {
      const record: KeyRecord = { key, newest: undefined };
      this.#chunks.push([record]);
      return record;
    }
    const position = lowerBound(chunk, key);
    const found = chunk[position];
    if (found !== undefined && found.key === key) return found;
    const record: KeyRecord = { key, newest: undefined };
    chunk.splice(position, 0, record);
    if (chunk.length > MAX_CHUNK) {
      // Keys that only grow leave full chunks behind; others split in the middle.
      const cut = position === chunk.length - 1 ? chunk.length - 1 : chunk.length >> 1;
      this.#chunks.splice(at + 1, 0, chunk.splice(cut));
    }
    return record;
  }

  remove(key: ByteKey): void {
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    const position = lowerBound(chunk, key);
    if (chunk[position]?.key !== key) return;
    chunk.splice(position, 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
  }

  /** Calls `visit` for each key of the range, in order. `visit` must not insert or remove keys. */
  forEach(range: KeyRange, visit: (record: KeyRecord) => void): void {
    if (range.single) {
      const record = this.get(range.start);
      if (record !== undefined) visit(record);
      return;
    }
    for (let at = this.#chunkOf(range.start); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] as KeyRecord[];
      const first = (chunk[0] as KeyRecord).key < range.start ? lowerBound(chunk, range.start) : 0;
      for (let position = first; position < chunk.length; position++) {
        const record = chunk[position] as KeyRecord;
        if (range.end !== undefined && record.key >= range.end) return;
        visit(record);
      }
    }
  }

  /** Replaces the content by `records`, which are in key order. */
  load(records: readonly KeyRecord[]): void {
    const fill = (MAX_CHUNK * 3) >> 2;
    this.#chunks = [];
    for (let from = 0; from < records.length; from += fill) this.#chunks.push(records.slice(from, from + fill));
  }

  /** Index of the last chunk that begins at or before `key`; 0 when all begin after it. */
  #chunkOf(key: ByteKey): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (((this.#chunks[middle] as KeyRecord[])[0] as KeyRecord).key <= key) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : low - 1;
  }
}

function lowerBound(chunk: readonly KeyRecord[], key: ByteKey): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((chunk[middle] as KeyRecord).key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
