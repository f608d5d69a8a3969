import { mkdtemp, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { silentLogger, type Clock } from "@coracle/base";
import { copyLmdbFile } from "../engine/lmdb-journal.ts";
import { openEmbeddedStore } from "../engine/embedded-store.ts";
import { StoreError } from "../store/store.ts";
import { saveSnapshot, withChecksum, writeSnapshot } from "./snapshot-file.ts";

/**
 * Saves the store in a directory as a snapshot, also while another process serves it: the copy is of one moment, and writers go on.
 * Needs room for the data beside the snapshot.
 */
export async function saveDirectory(options: {
  readonly dataDir: string;
  readonly path: string;
  readonly clock: Clock;
}): Promise<void> {
  const { dataDir, path, clock } = options;
  const folder = await mkdtemp(join(dirname(path), ".snapshot-"));
  try {
    await copyLmdbFile(join(dataDir, "store.mdb"), join(folder, "store.mdb"));
    const file = await open(join(folder, "data"), "wx+", 0o600);
    try {
      {
        await using store = await openEmbeddedStore({ dataDir: folder, clock, logger: silentLogger });
        using view = store.view();
        await writeSnapshot(file, view);
      }
      await saveSnapshot(path, withChecksum(file));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new StoreError("unavailable", `there is no store in ${dataDir}`, { cause: error });
    }
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
