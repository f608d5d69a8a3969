import { isAbort, sleep, UsageError, type Clock, type Logger } from "@coracle/base";
import type { Engine } from "../engine/engine.ts";
import { StoreError, type Revision } from "../store/store.ts";

/** What `--auto-compaction-mode` and `--auto-compaction-retention` ask for. */
export type AutoCompaction =
  /** What was superseded so long ago is forgotten. */
  | { readonly mode: "periodic"; readonly periodMs: number }
  /** So many revisions are kept. */
  | { readonly mode: "revision"; readonly revisions: number };

const HOUR_MS = 3_600_000;
const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: HOUR_MS };

/** A number is hours, or revisions; a period may have units. Undefined: nothing is compacted. Throws UsageError. */
export function parseAutoCompaction(mode: "periodic" | "revision", retention: string): AutoCompaction | undefined {
  const count = /^\d+$/.test(retention) ? Number(retention) : undefined;
  if (count === 0) return undefined;
  if (mode === "revision") {
    if (count === undefined) throw invalid(retention);
    return { mode, revisions: count };
  }
  if (count !== undefined) return { mode, periodMs: count * HOUR_MS };
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(retention)) throw invalid(retention);
  const periodMs = [...retention.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
    .map(([, amount, unit = ""]) => Number(amount) * (UNITS_MS[unit] ?? 0))
    .reduce((sum, each) => sum + each, 0);
  return periodMs === 0 ? undefined : { mode, periodMs };
}

/**
 * Compacts by itself until `signal` aborts. Of a period, everything is kept for at least so long, as etcd does; of
 * revisions, no fewer, and, other than etcd, which looks every five minutes only, never many more.
 */
export async function runAutoCompaction(options: {
  readonly what: AutoCompaction;
  readonly store: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { what, store, signal } = options;
  try {
    if (what.mode === "periodic") await compactByTime(options, what.periodMs);
    else store.keepRevisions(what.revisions);
  } catch (error) {
    const isOver = isAbort(error, signal) || (error instanceof StoreError && error.code === "closed");
    if (!isOver) throw error;
  }
}

/** Notes the revision ten times a period (of an hour at most); the oldest note is what a compaction goes to. */
async function compactByTime(
  { store, clock, logger, signal }: Parameters<typeof runAutoCompaction>[0],
  periodMs: number,
): Promise<void> {
  const intervalMs = Math.min(periodMs, HOUR_MS);
  const stepMs = intervalMs / 10;
  const noted: Revision[] = [];
  let due = clock.monotonicMs() + periodMs;
  let last: Revision = 0;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop
    noted.push(await store.revision());
    if (noted.length > Math.floor(periodMs / stepMs) + 1) noted.shift();
    // oxlint-disable-next-line no-await-in-loop
    await sleep(clock, stepMs, signal);
    const revision = noted[0] ?? 0;
    if (clock.monotonicMs() < due || revision === last) continue;
    try {
      // oxlint-disable-next-line no-await-in-loop
      await store.compact(revision);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code === "closed") throw error;
      if (error.code !== "compacted") {
        logger.warn("automatic compaction failed", { revision, error });
        continue;
      }
    }
    last = revision;
    due = clock.monotonicMs() + intervalMs;
  }
}

const invalid = (retention: string): UsageError =>
  new UsageError(`error parsing CompactionRetention: invalid duration ${JSON.stringify(retention)}`);
