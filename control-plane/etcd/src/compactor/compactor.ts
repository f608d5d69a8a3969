import { isAbort, sleep, type Clock, type Logger } from "@coracle/base";
import { StoreError, type Revision, type Store, type TxnResult } from "../store/store.ts";

/** Agreed between API servers, ours and upstream's: its version counts compactions, its value is a revision. */
const COMPACT_KEY = "compact_rev_key";

/**
 * Forgets, every `intervalMs`, what was superseded an interval ago: at least that much history is always there.
 * Several API servers on one store take turns through a key in it, as upstream's do. Settles when `signal` aborts.
 */
export async function runCompactor(options: {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly intervalMs?: number | undefined;
}): Promise<void> {
  const { store, clock, signal, intervalMs = 300_000 } = options;
  const log = options.logger.child({ component: "store-compactor" });
  let turn: Turn = { count: 0, revision: 0 };
  for (;;) {
    try {
      await sleep(clock, intervalMs, signal);
      turn = await takeTurn(store, turn);
    } catch (error) {
      if (isAbort(error, signal)) return;
      if (error instanceof StoreError && error.code === "closed") return;
      log.error("compaction failed", { error });
    }
  }
}

interface Turn {
  /** Compactions counted so far. */
  readonly count: number;
  /** Revision when that was seen; what the next turn compacts to. */
  readonly revision: Revision;
}

/** Compacts if nobody else did since the last turn; else only notes where things stand. */
export async function takeTurn(store: Store, last: Turn): Promise<Turn> {
  const { succeeded, revision, results } = await claimTurn(store, last);
  if (!succeeded) {
    const [found] = results;
    return { count: (found?.type === "range" ? found.kvs[0]?.version : undefined) ?? 0, revision };
  }
  if (last.revision > 0) {
    try {
      await store.compact(last.revision);
    } catch (error) {
      // Somebody was quicker: what we wanted is done.
      if (!(error instanceof StoreError) || error.code !== "compacted") throw error;
    }
  }
  return { count: last.count + 1, revision };
}

async function claimTurn(store: Store, last: Turn): Promise<TxnResult> {
  try {
    return await store.txn({
      compare: [{ key: COMPACT_KEY, target: "version", op: "=", value: last.count }],
      success: [{ type: "put", key: COMPACT_KEY, value: Buffer.from(String(last.revision)) }],
      failure: [{ type: "range", key: COMPACT_KEY }],
    });
  } catch (error) {
    // A full store cannot take the turn down. All the more it has to forget.
    if (error instanceof StoreError && error.code === "noSpace") await store.compact(await store.revision());
    throw error;
  }
}
