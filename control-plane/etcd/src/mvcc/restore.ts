import type { LeaseId, Revision } from "../store/store.ts";
import type { KeyRecord, Version } from "./key-index.ts";
import type { ByteKey } from "./key-range.ts";

/** A version as the log has it, without its value. */
export interface LogRow {
  readonly key: ByteKey;
  readonly modRevision: Revision;
  readonly sub: number;
  readonly createRevision: Revision;
  readonly version: number;
  readonly lease: LeaseId;
  readonly crc: number;
}

/** Keys and history as a log tells them. */
export interface RestoredState {
  readonly revision: Revision;
  /** In key order. */
  readonly records: readonly KeyRecord[];
  /** Changes at and after the compaction, in order. */
  readonly history: readonly Version[];
  /** Rows that a compaction had yet to remove. */
  readonly dropped: readonly Version[];
}

/** Replays a log, in order of revisions, under the rules of `Mvcc.compact`. */
export function restore(rows: Iterable<LogRow>, compacted: Revision): RestoredState {
  const byKey = new Map<ByteKey, KeyRecord>();
  const history: Version[] = [];
  const dropped: Version[] = [];
  let revision = Math.max(1, compacted);
  for (const row of rows) {
    let record = byKey.get(row.key);
    if (record === undefined) byKey.set(row.key, (record = { key: row.key, newest: undefined }));
    const older = keepOlder(record.newest, row.modRevision, compacted, dropped);
    const change: Version = {
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
    record.newest = change;
    if (change.modRevision >= compacted) history.push(change);
    revision = Math.max(revision, change.modRevision);
  }
  const records: KeyRecord[] = [];
  for (const record of byKey.values()) {
    if (record.newest !== undefined && isForgotten(record.newest, compacted)) dropped.push(record.newest);
    else records.push(record);
  }
  records.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { revision, records, history, dropped };
}

function keepOlder(
  older: Version | undefined,
  supersededAt: Revision,
  compacted: Revision,
  dropped: Version[],
): Version | undefined {
  if (older === undefined || (supersededAt > compacted && !isForgotten(older, compacted))) return older;
  dropped.push(older);
  return undefined;
}

function isForgotten(version: Version, compacted: Revision): boolean {
  return version.version === 0 && version.modRevision < compacted;
}
