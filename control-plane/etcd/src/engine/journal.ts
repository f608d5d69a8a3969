import type { LeaseRecord } from "../lease/lease-table.ts";
import type { IndexBlock, Version } from "../mvcc/key-index.ts";
import type { LogRow } from "../mvcc/version-row.ts";
import type { LeaseId, Revision } from "../store/store.ts";
import type { IndexFile } from "./index-file.ts";

/** What becomes durable together, or not at all. */
export interface JournalEntry {
  readonly changes: readonly Version[];
  readonly leases: readonly LeaseChange[];
  readonly settings: readonly SettingChange[];
  /** Set when this entry is a compaction. */
  readonly compacted?: Revision | undefined;
  /** Versions that nobody can see any more. */
  readonly dropped: readonly Version[];
  /** The saved index that is in force from now on. */
  readonly index?: IndexFile | undefined;
}

export type LeaseChange =
  | { readonly type: "keep"; readonly lease: LeaseRecord }
  | { readonly type: "end"; readonly id: LeaseId };

/** Undefined as value: it is removed. */
export interface SettingChange {
  readonly name: string;
  readonly value: unknown;
}

/** Where an engine keeps what must survive. The rules are the same for all engines; this is what differs. */
export interface Journal {
  /** Resolves when on disk. Undefined: done, there is nothing to wait for. One call at a time. */
  write(entry: JournalEntry): Promise<void> | undefined;
  /** The value of a version that was written; undefined when it is gone. */
  load(version: Version): Buffer | undefined;
  /** The log from a revision on, without values. Absent: nothing outlives the process. */
  rows?(from: Revision): Iterable<LogRow>;
  /** Saves the index as it is at a revision, so that a later opening reads it instead of the log before. */
  saveIndex?(revision: Revision, blocks: Iterable<IndexBlock>): Promise<IndexFile>;
  /** Longer keys are refused. */
  readonly maxKeyBytes: number;
  /** Whether values live here, so that memory can forget them after a write. */
  readonly keepsValues: boolean;
  readonly totalBytes: number;
  /** Absent: there is nothing to gain. Not called while a write is under way. */
  defragment?(): Promise<void>;
  size(): Promise<{ readonly totalBytes: number; readonly usedBytes: number }>;
}
