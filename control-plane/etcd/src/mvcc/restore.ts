import type { Revision } from "../store/store.ts";
import { KeyIndex, type IndexBlock, type KeyRecord, type Version } from "./key-index.ts";
import type { ByteKey } from "./key-range.ts";
import { toVersion, type LogRow } from "./version-row.ts";

/** Keys as a log tells them. */
export interface RestoredState {
  readonly revision: Revision;
  readonly index: KeyIndex;
  /** Keys with more than one version, or none that exists: what a compaction has to look at. */
  readonly layered: readonly KeyRecord[];
  /** Rows that a compaction had yet to remove. */
  readonly dropped: readonly Version[];
}

/** Where a replay begins. */
export interface SavedIndex {
  /** Everything up to this revision is in the blocks. */
  readonly revision: Revision;
  /** In order of keys. */
  readonly blocks: Iterable<IndexBlock>;
}

/** Replays a log, in order of revisions, under the rules of `Mvcc.compact`; after what a saved index has, if there is one. */
export function restore(rows: Iterable<LogRow>, compacted: Revision, saved?: SavedIndex): RestoredState {
  const dropped: Version[] = [];
  let revision = Math.max(1, compacted, saved?.revision ?? 0);
  // The index does not know of later deletions: they are remembered as long as it is in use.
  const isForgotten = ({ version, modRevision }: Version): boolean =>
    version === 0 && modRevision < compacted && modRevision <= (saved?.revision ?? Infinity);
  const push = (record: KeyRecord, row: LogRow): void => {
    let older = record.newest;
    if (older !== undefined && (row.modRevision <= compacted || isForgotten(older))) {
      dropped.push(older);
      older = undefined;
    }
    record.newest = toVersion(record, row, older);
    if (row.modRevision > revision) revision = row.modRevision;
  };
  const index = new KeyIndex();
  let touched: Iterable<KeyRecord>;
  if (saved === undefined) {
    const records = grouped(rows, push);
    touched = records;
    // Packed at once: a store that is just opened is as small as it gets.
    index.append(records);
    for (let key: ByteKey | undefined = ""; key !== undefined;) key = index.pack(key, Infinity, PACKED_AT_ONCE);
  } else {
    const replayed = new Set<KeyRecord>();
    touched = replayed;
    for (const block of saved.blocks) {
      if (block.isPlain) index.appendPacked(block.rows);
      else {
        const records = layersOf(block, push);
        index.append(records);
        for (const record of records) replayed.add(record);
      }
    }
    for (const row of rows) {
      const record = index.getOrCreate(row.key);
      push(record, row);
      replayed.add(record);
    }
  }
  const layered: KeyRecord[] = [];
  for (const record of touched) {
    const { newest } = record;
    if (newest === undefined) continue;
    if (isForgotten(newest)) {
      dropped.push(newest);
      index.remove(record.key);
    } else if (newest.older !== undefined || newest.version === 0) layered.push(record);
  }
  return { revision, index, layered, dropped };
}

const PACKED_AT_ONCE = 1_000;

/** The keys of a log with their versions, in order of keys. */
function grouped(rows: Iterable<LogRow>, push: (record: KeyRecord, row: LogRow) => void): KeyRecord[] {
  const byKey = new Map<ByteKey, KeyRecord>();
  for (const row of rows) {
    let record = byKey.get(row.key);
    if (record === undefined) byKey.set(row.key, (record = { key: row.key, newest: undefined }));
    push(record, row);
  }
  return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

function layersOf({ rows }: IndexBlock, push: (record: KeyRecord, row: LogRow) => void): KeyRecord[] {
  const records: KeyRecord[] = [];
  for (let position = 0; position < rows.length; position++) {
    const row = rows.row(position);
    let record = records.at(-1);
    if (record?.key !== row.key) records.push((record = { key: row.key, newest: undefined }));
    push(record, row);
  }
  return records;
}
