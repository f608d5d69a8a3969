import { access, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@coracle/base";
import { MAX_KEY_BYTES } from "../engine/log-record.ts";
import { LmdbJournal } from "../engine/lmdb-journal.ts";
import type { Version } from "../mvcc/key-index.ts";
import { StoreError, type Revision } from "../store/store.ts";
import { fromRevisionRow } from "./revision-row.ts";
import type { Snapshot } from "./snapshot-file.ts";

/** Versions written in one go. */
const CHUNK = 5_000;

/** Makes a store of a snapshot, with all its revisions. The directory must not hold a store yet; on failure it holds none after. */
export async function restoreSnapshot(options: {
  readonly snapshot: Snapshot;
  readonly dataDir: string;
  readonly clock: Clock;
}): Promise<{ readonly revision: Revision; readonly rows: number }> {
  const { snapshot, dataDir, clock } = options;
  const path = join(dataDir, "store.mdb");
  if (await exists(path)) throw new StoreError("unavailable", `${dataDir} holds a store already; move it away first`);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const journal = await LmdbJournal.open(await import("lmdb"), path);
  try {
    const written = await fill(journal, snapshot, clock);
    await journal.close();
    return written;
  } catch (error) {
    await journal.close();
    await rm(path, { force: true });
    await rm(`${path}-lock`, { force: true });
    throw error;
  }
}

async function fill(
  journal: LmdbJournal,
  snapshot: Snapshot,
  clock: Clock,
): Promise<{ revision: Revision; rows: number }> {
  let chunk: Version[] = [];
  let revision = 1;
  let rows = 0;
  const nothing = { changes: [], leases: [], settings: [], dropped: [] };
  for await (const wire of snapshot.rows()) {
    const { row, value } = fromRevisionRow(wire);
    if (row.key.length > MAX_KEY_BYTES) {
      throw new StoreError(
        "tooLarge",
        `the snapshot has a key of ${row.key.length} bytes; ours are at most ${MAX_KEY_BYTES}`,
      );
    }
    // The page that the value lies in is not kept.
    chunk.push({
      ...row,
      record: { key: row.key, newest: undefined },
      crc: 0,
      value: Buffer.from(value),
      older: undefined,
    });
    revision = Math.max(revision, row.modRevision);
    rows++;
    if (chunk.length < CHUNK) continue;
    await journal.write({ ...nothing, changes: chunk });
    chunk = [];
  }
  const leases = (await snapshot.leases()).map(({ id, ttlSeconds }) => ({
    type: "keep" as const,
    lease: { id, ttlSeconds, expiresAt: clock.now() + ttlSeconds * 1_000 },
  }));
  const settings = [...(await snapshot.settings())].map(([name, value]) => ({ name, value }));
  const compacted = await snapshot.compacted();
  await journal.write({ ...nothing, changes: chunk, leases, settings, ...(compacted > 0 ? { compacted } : {}) });
  return { revision: Math.max(revision, compacted), rows };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
