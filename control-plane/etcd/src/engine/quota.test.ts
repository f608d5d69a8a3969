import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFakeClock, silentLogger } from "@coracle/base";
import { expect, it } from "vitest";
import { runCompactor } from "../compactor/compactor.ts";
import type { Store } from "../store/store.ts";
import { openEmbeddedStore } from "./embedded-store.ts";

const MEGABYTE = 1024 ** 2;

async function put(store: Store, key: string): Promise<void> {
  await store.txn({ compare: [], success: [{ type: "put", key, value: Buffer.alloc(20_000, key) }] });
}

it("at its quota a store refuses puts, as etcd does; it reads and deletes, and recovers by itself when it has compacted", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "store-quota-"));
  const clock = createFakeClock();
  try {
    await using store = await openEmbeddedStore({ dataDir, clock, logger: silentLogger, quotaBytes: 4 * MEGABYTE });
    let revisions = 0;
    const fill = async (): Promise<unknown> => {
      try {
        for (;;) await put(store, `key/${revisions++ % 20}`);
      } catch (error) {
        return error;
      }
    };
    const full = { code: "noSpace", message: "etcdserver: mvcc: database space exceeded" };
    expect(await fill()).toMatchObject(full);
    expect(revisions).toBeGreaterThan(100);
    const { totalBytes } = await store.size();
    expect(totalBytes).toBeLessThan(4.5 * MEGABYTE);
    await expect(put(store, "other")).rejects.toMatchObject(full);
    expect((await store.range({ key: "key/0" })).kvs[0]?.value.subarray(0, 5).toString()).toBe("key/0");
    await store.txn({ compare: [], success: [{ type: "delete", key: "key/0" }] });
    await store.compact(await store.revision());
    await expect.poll(() => put(store, "other").then(() => "taken", String), { timeout: 30_000 }).toBe("taken");
    // What was freed is written to again, or given back: the file does not grow with what goes through it.
    expect(await fill()).toMatchObject(full);
    expect((await store.size()).totalBytes).toBeLessThan(5 * MEGABYTE);
    // The API server's own upkeep gets it out of there.
    const stop = new AbortController();
    const upkeep = runCompactor({ store, clock, logger: silentLogger, signal: stop.signal });
    const passes = async (): Promise<string> => {
      await clock.advance(300_000);
      return put(store, "other").then(() => "taken", String);
    };
    await expect.poll(passes, { timeout: 30_000 }).toBe("taken");
    stop.abort();
    await upkeep;
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
