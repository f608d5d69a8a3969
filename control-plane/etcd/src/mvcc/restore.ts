import type { Revision } from "../store/store.ts";
import { KeyIndex, type IndexBlock, type KeyRecord, type Version } from "./key-index.ts";
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

/** Where a replay begins: an index as it was saved, or made of a whole log. */
export interface SavedIndex {
  /** Everything up to this revision is in the blocks. */
  readonly revision: Revision;
  /** In order of keys. */
  readonly blocks: Iterable<IndexBlock>;
}

/** Replays a log, in order of revisions, under the rules of `Mvcc.compact`; after what a saved index has. */
export function restore(rows: Iterable<LogRow>, compacted: Revision, saved: SavedIndex): RestoredState {
  const dropped: Version[] = [];
  let revision = Math.max(1, compacted, saved.revision);
  // The index does not know of later deletions: they are remembered as long as it is in use.
  const isForgotten = ({ version, modRevision }: Version): boolean =>
    version === 0 && modRevision < compacted && modRevision <= saved.revision;
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
  const touched = new Set<KeyRecord>();
  for (const block of saved.blocks) {
    if (block.isPlain) {
      index.appendPacked(block.rows);
      continue;
    }
    const records = layersOf(block, push);
    index.append(records);
    for (const record of records) touched.add(record);
  }
  for (const row of rows) {
    const record = index.getOrCreate(row.key);
    push(record, row);
    touched.add(record);
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
