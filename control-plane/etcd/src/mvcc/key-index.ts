import type { LeaseId, Revision } from "../store/store.ts";
import type { ByteKey, KeyRange } from "./key-range.ts";
import { PackedRows } from "./packed-rows.ts";

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

/** Versions of neighbouring keys, in order of keys, then of revisions. */
export interface IndexBlock {
  readonly rows: PackedRows;
  /** Each key has one version, and exists. */
  readonly isPlain: boolean;
}

const MAX_CHUNK = 256;

/** Neighbouring keys: as objects, or, while nobody changes them, packed. */
interface Chunk {
  /** At or before the first key. */
  first: ByteKey;
  records: KeyRecord[] | undefined;
  packed: PackedRows | undefined;
}

/**
 * All keys in byte order: a two-level sorted array, so that an insert moves at most one chunk. What is read may be a
 * copy, made for the reader; only `getOrCreate` gives a record that may be changed.
 */
export class KeyIndex {
  #chunks: Chunk[] = [];

  get(key: ByteKey): KeyRecord | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)];
    if (chunk === undefined) return undefined;
    if (chunk.packed !== undefined) return findPacked(chunk.packed, key);
    const { records = [] } = chunk;
    const record = records[lowerBound(records, key)];
    return record !== undefined && record.key === key ? record : undefined;
  }

  getOrCreate(key: ByteKey): KeyRecord {
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) {
      const record: KeyRecord = { key, newest: undefined };
      this.#chunks.push({ first: key, records: [record], packed: undefined });
      return record;
    }
    const records = unpacked(chunk);
    const position = lowerBound(records, key);
    const found = records[position];
    if (found !== undefined && found.key === key) return found;
    const record: KeyRecord = { key, newest: undefined };
    records.splice(position, 0, record);
    if (position === 0) chunk.first = key;
    if (records.length > MAX_CHUNK) {
      // Keys that only grow leave full chunks behind; others split in the middle.
      const cut = position === records.length - 1 ? records.length - 1 : records.length >> 1;
      this.#chunks.splice(at + 1, 0, toChunk(records.splice(cut)));
    }
    return record;
  }

  remove(key: ByteKey): void {
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    const records = unpacked(chunk);
    const position = lowerBound(records, key);
    if (records[position]?.key !== key) return;
    records.splice(position, 1);
    if (records.length === 0) this.#chunks.splice(at, 1);
  }

  /**
   * Calls `visit` for each key of the range, in order. `visit` must not insert or remove keys. Packed keys that are all
   * of the range are offered to `passOver` first, and not visited when it returns true.
   */
  forEach(range: KeyRange, visit: (record: KeyRecord) => void, passOver?: (packed: PackedRows) => boolean): void {
    if (range.single) {
      const record = this.get(range.start);
      if (record !== undefined) visit(record);
      return;
    }
    const { start, end } = range;
    for (let at = this.#chunkOf(start); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] as Chunk;
      if (end !== undefined && chunk.first >= end) return;
      const { packed, records = [] } = chunk;
      if (packed !== undefined) {
        const from = chunk.first < start ? packed.lowerBound(start) : 0;
        const to = end === undefined || packed.keyAt(packed.length - 1) < end ? packed.length : packed.lowerBound(end);
        if (from === 0 && to === packed.length && passOver?.(packed) === true) continue;
        for (let position = from; position < to; position++) visit(packed.record(position));
        continue;
      }
      const first = chunk.first < start ? lowerBound(records, start) : 0;
      for (let position = first; position < records.length; position++) {
        const record = records[position] as KeyRecord;
        if (end !== undefined && record.key >= end) return;
        visit(record);
      }
    }
  }

  /** Appends keys that come after all others, in order. */
  append(records: readonly KeyRecord[]): void {
    const fill = (MAX_CHUNK * 3) >> 2;
    for (let from = 0; from < records.length; from += fill) {
      this.#chunks.push(toChunk(records.slice(from, from + fill)));
    }
  }

  /** As `append`; each key has one version, and exists. */
  appendPacked(packed: PackedRows): void {
    if (packed.length > 0) this.#chunks.push({ first: packed.keyAt(0), records: undefined, packed });
  }

  /**
   * Packs some chunks, from `key` on, in which nothing was changed at or after `before`. Returns where to go on, and
   * undefined at the end.
   */
  pack(key: ByteKey, before: Revision, count: number): ByteKey | undefined {
    const from = this.#chunkOf(key);
    const to = Math.min(from + count, this.#chunks.length);
    for (let at = from; at < to; at++) {
      const chunk = this.#chunks[at] as Chunk;
      const versions = chunk.records === undefined ? undefined : plainVersions(chunk.records, before);
      if (versions === undefined) continue;
      chunk.packed = PackedRows.of(versions);
      chunk.records = undefined;
    }
    return this.#chunks[to]?.first;
  }

  /**
   * Everything that changed at or before `revision`, a few keys at a time. Keys may be changed and compacted meanwhile:
   * what is then missing is either gone or changed later.
   */
  *blocks(revision: Revision): Iterable<IndexBlock> {
    let last: ByteKey | undefined;
    for (;;) {
      let at = last === undefined ? 0 : this.#chunkOf(last);
      while (last !== undefined && at < this.#chunks.length && lastKeyOf(this.#chunks[at] as Chunk) <= last) at++;
      const chunk = this.#chunks[at];
      if (chunk === undefined) return;
      const { packed } = chunk;
      const isWhole = last === undefined || chunk.first > last;
      const after = last;
      last = lastKeyOf(chunk);
      if (packed !== undefined && isWhole && packed.newestRevision <= revision) {
        yield { rows: packed, isPlain: true };
        continue;
      }
      const records = chunk.records ?? recordsOf(chunk.packed as PackedRows);
      const block = toBlock(after === undefined ? records : records.filter(({ key }) => key > after), revision);
      if (block.rows.length > 0) yield block;
    }
  }

  /** Number of keys, deleted ones that are remembered included. */
  get size(): number {
    return this.#chunks.reduce((sum, { records, packed }) => sum + (records?.length ?? packed?.length ?? 0), 0);
  }

  /** Index of the last chunk that begins at or before `key`; 0 when all begin after it. */
  #chunkOf(key: ByteKey): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#chunks[middle] as Chunk).first <= key) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : low - 1;
  }
}

function toChunk(records: KeyRecord[]): Chunk {
  return { first: (records[0] as KeyRecord).key, records, packed: undefined };
}

function unpacked(chunk: Chunk): KeyRecord[] {
  if (chunk.records !== undefined) return chunk.records;
  const records = recordsOf(chunk.packed as PackedRows);
  chunk.records = records;
  chunk.packed = undefined;
  return records;
}

function recordsOf(packed: PackedRows): KeyRecord[] {
  return Array.from({ length: packed.length }, (_, position) => packed.record(position));
}

function findPacked(packed: PackedRows, key: ByteKey): KeyRecord | undefined {
  const position = packed.lowerBound(key);
  return position < packed.length && packed.keyAt(position) === key ? packed.record(position) : undefined;
}

function lastKeyOf({ records = [], packed }: Chunk): ByteKey {
  if (packed !== undefined) return packed.keyAt(packed.length - 1);
  return (records.at(-1) as KeyRecord).key;
}

/** The only versions of keys that all exist and did not change at or after `before`; undefined when there are others. */
function plainVersions(records: readonly KeyRecord[], before: Revision): Version[] | undefined {
  const versions: Version[] = [];
  for (const { newest } of records) {
    if (newest === undefined || newest.version === 0 || newest.modRevision >= before) return undefined;
    if (newest.older !== undefined || newest.value !== undefined) return undefined;
    versions.push(newest);
  }
  return versions;
}

function toBlock(records: readonly KeyRecord[], revision: Revision): IndexBlock {
  const versions: Version[] = [];
  let isPlain = true;
  for (const { newest } of records) {
    const from = versions.length;
    for (let version = newest; version !== undefined; version = version.older) {
      if (version.modRevision > revision) continue;
      if (version.version === 0 || versions.length > from) isPlain = false;
      versions.push(version);
    }
    if (versions.length - from > 1) versions.push(...versions.splice(from).toReversed());
  }
  return { rows: PackedRows.of(versions), isPlain };
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
