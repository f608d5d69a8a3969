import { open, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Cleanup, type Clock, type Logger, type Random } from "@coracle/base";
import { StoreError } from "../store/store.ts";
import { lockDataDir } from "./data-dir-lock.ts";
import { checkLmdbFile } from "./lmdb-file.ts";
import { LmdbJournal } from "./lmdb-journal.ts";
import type { TxnLimits } from "../mvcc/txn-rules.ts";
import type { Engine } from "./engine.ts";
import { MvccStore } from "./mvcc-store.ts";
import { Quota } from "./quota.ts";

/**
 * Opens the store in `dataDir`, or makes a new one there. What it acknowledges is on disk. One process at a time: a
 * second one fails with `unavailable`. A damaged or foreign file fails with `corrupt`.
 */
export async function openEmbeddedStore(options: {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: Random | undefined;
  /** False: writes are acknowledged before they are on disk. */
  readonly isSynced?: boolean | undefined;
  /** After so many changes the index is saved, if that is a good part of what there is. */
  readonly indexedAfter?: number | undefined;
  /** Undefined: as etcd does by default. */
  readonly limits?: TxnLimits | undefined;
  /** Puts are refused with `noSpace` while more than this is in use. Undefined: the disk is the bound. */
  readonly quotaBytes?: number | undefined;
}): Promise<Engine> {
  const { dataDir, clock, random, quotaBytes } = options;
  const log = options.logger.child({ component: "store" });
  const startedAtMs = clock.monotonicMs();
  const owned = new Cleanup();
  // Loaded only by those who open a store, and while the directory is looked at.
  const library = import("lmdb");
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    owned.use(await lockDataDir(dataDir));
    const path = join(dataDir, "store.mdb");
    await checkLmdbFile(path);
    const journal = await LmdbJournal.open(await library, path, options.isSynced ?? true);
    owned.add(() => journal.close());
    await syncDirectory(dataDir);
    const initial = await journal.restore();
    const tookMs = Math.round(clock.monotonicMs() - startedAtMs);
    log.info("store opened", { dataDir, revision: initial.revision, keys: initial.index.size, tookMs });
    return new MvccStore({
      journal,
      clock,
      random,
      initial,
      indexedAfter: options.indexedAfter,
      limits: options.limits,
      quota: quotaBytes === undefined ? undefined : new Quota(quotaBytes, journal, log),
      closed: () => owned[Symbol.asyncDispose](),
    });
  } catch (error) {
    await owned[Symbol.asyncDispose]();
    throw error instanceof StoreError ? error : new StoreError("unavailable", String(error), { cause: error });
  }
}

/** So that the new file's name survives a power cut. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
