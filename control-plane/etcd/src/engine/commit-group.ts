import type { Version } from "../mvcc/key-index.ts";
import type { Revision } from "../store/store.ts";
import type { LeaseChange, SettingChange } from "./journal.ts";

/** Who waits for a commit. */
export interface Waiter {
  readonly settle: () => void;
  readonly reject: (reason: unknown) => void;
}

/** What goes to disk in one commit. */
export interface Group {
  readonly changes: Version[];
  readonly leases: LeaseChange[];
  readonly settings: SettingChange[];
  readonly waiters: Waiter[];
  readonly undo: (() => void)[];
  compacted: Revision | undefined;
}

export function emptyGroup(): Group {
  return { changes: [], leases: [], settings: [], waiters: [], undo: [], compacted: undefined };
}

/** Whether somebody waits for it. */
export function hasWork(group: Group): boolean {
  return group.waiters.length > 0;
}
