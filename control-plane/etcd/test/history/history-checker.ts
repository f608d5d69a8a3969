import type { StoreEvent } from "../../src/index.ts";

/** One request as its client saw it. Times are on one clock. */
export interface Operation {
  readonly kind: "write" | "read";
  readonly key: string;
  readonly startedAt: number;
  /** Absent: nobody knows what became of it. */
  readonly ended?: { readonly at: number; readonly revision: number } | undefined;
  /** What was written (unique in the whole history), or read; undefined: deleted, or not there. */
  readonly value: string | undefined;
  /** A write that was made on a condition which did not hold: it changed nothing. */
  readonly isRefused?: boolean | undefined;
  /** The same for the writes of one transaction: all of them happen, at one revision, or none does. */
  readonly txn?: number | undefined;
}

/** What a watcher was given at one revision. */
export interface Delivery {
  readonly revision: number;
  readonly events: readonly StoreEvent[];
}

/**
 * What is wrong with a history; nothing, if it is linearizable in the order of revisions. As each answer tells its revision, that order
 * need not be searched for: what is acknowledged must be where it says, reads must be the state of their revision, time may not run
 * backwards, and the watcher must have been given each revision once and in order.
 */
export function faultsOf(operations: readonly Operation[], deliveries: readonly Delivery[]): string[] {
  const faults: string[] = [];
  const states = new Map<string, { readonly revision: number; readonly value: string | undefined }[]>();
  const written = new Map<string, number>();
  let last = 1;
  for (const { revision, events } of deliveries) {
    if (revision !== last + 1) faults.push(`the watcher was given ${revision} after ${last}`);
    last = revision;
    for (const event of events) {
      const key = event.type === "put" ? event.kv.key : event.key;
      const value = event.type === "put" ? event.kv.value.toString() : undefined;
      const versions = states.get(key) ?? [];
      versions.push({ revision, value });
      states.set(key, versions);
      if (value === undefined) continue;
      if (written.has(value)) faults.push(`${value} was written twice, at ${written.get(value)} and ${revision}`);
      written.set(value, revision);
    }
  }
  const stateAt = (key: string, revision: number): string | undefined =>
    states.get(key)?.findLast((version) => version.revision <= revision)?.value;
  const tried = new Set(operations.filter(({ kind }) => kind === "write").map(({ value }) => value));
  for (const [value, revision] of written) if (!tried.has(value)) faults.push(`${value} at ${revision} is nobody's`);
  for (const { kind, key, value, ended, isRefused } of operations) {
    if (ended === undefined) continue;
    const { revision } = ended;
    if (kind === "write" && isRefused !== true) {
      const version = states.get(key)?.find((each) => each.revision === revision);
      if (version === undefined || version.value !== value)
        faults.push(`acknowledged and lost: ${value ?? `no ${key}`} at ${revision}`);
    } else if (kind === "read" && stateAt(key, revision) !== value) {
      faults.push(`${key} was read as ${value} at ${revision}, where it is ${stateAt(key, revision)}`);
    }
    if (isRefused === true && value !== undefined && written.has(value)) faults.push(`refused and written: ${value}`);
  }
  return [...faults, ...tornTransactions(operations, written), ...stepsBack(operations)];
}

function tornTransactions(operations: readonly Operation[], written: ReadonlyMap<string, number>): string[] {
  const revisions = new Map<number, number>();
  const faults: string[] = [];
  for (const { txn, value = "" } of operations) {
    if (txn === undefined) continue;
    const revision = written.get(value) ?? 0;
    const other = revisions.get(txn) ?? revision;
    if (other !== revision) faults.push(`torn: one transaction wrote at ${other} and at ${revision} (0: not at all)`);
    revisions.set(txn, revision);
  }
  return faults;
}

/** Answers that are older than one that had ended before they were asked for. */
function stepsBack(operations: readonly Operation[]): string[] {
  const ended = operations.flatMap((operation) =>
    operation.ended === undefined ? [] : [{ ...operation, ...operation.ended }],
  );
  const byEnd = ended.toSorted((a, b) => a.at - b.at);
  const faults: string[] = [];
  let next = 0;
  let highest = 0;
  for (const { startedAt, revision, kind, key, isRefused } of ended.toSorted((a, b) => a.startedAt - b.startedAt)) {
    for (; (byEnd[next]?.at ?? Infinity) < startedAt; next++) highest = Math.max(highest, byEnd[next]?.revision ?? 0);
    const isNew = kind === "write" && isRefused !== true;
    if (revision < highest || (isNew && revision === highest)) {
      faults.push(`a ${kind} of ${key} was answered at ${revision}, after ${highest} had been told`);
    }
  }
  return faults;
}
