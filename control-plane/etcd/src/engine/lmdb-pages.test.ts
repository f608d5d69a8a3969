import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFakeClock, createSeededRandom, silentLogger } from "@coracle/base";
import { expect, it } from "vitest";
import type { Op } from "../store/store.ts";
import { openEmbeddedStore } from "./embedded-store.ts";
import { findPageDamage } from "./lmdb-pages.ts";

it(
  "nothing is found in a file that was written to in any way; a page that is another one's is",
  { timeout: 60_000 },
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "store-pages-"));
    const path = join(dataDir, "store.mdb");
    const random = createSeededRandom(9);
    const below = (limit: number): number => Math.floor(random.next() * limit);
    try {
      for (let round = 0; round < 8; round++) {
        await using store = await openEmbeddedStore({
          dataDir,
          clock: createFakeClock(),
          logger: silentLogger,
          isSynced: false,
        });
        for (let n = 0; n < 40; n++) {
          const keys = new Set(
            Array.from({ length: 1 + below(20) }, () => `key-${below(400)}-${"x".repeat(below(200))}`),
          );
          const success = [...keys].map((key): Op => {
            if (random.next() < 0.3) return { type: "delete", key };
            return { type: "put", key, value: Buffer.alloc(below(random.next() < 0.1 ? 60_000 : 900), n) };
          });
          // While somebody looks at an older state, its pages are not used again, and the list of free ones grows.
          using _view = random.next() < 0.3 ? store.view() : undefined;
          const writes = Array.from({ length: 1 + below(4) }, () => store.txn({ compare: [], success }));
          await Promise.all(writes);
          if (random.next() < 0.2) await store.compact(await store.revision()).catch(() => {});
        }
        await store[Symbol.asyncDispose]();
        expect(findPageDamage(path)).toBeUndefined();
      }
      const bytes = await readFile(path);
      const last = bytes.length / 4_096 - 1;
      let found = 0;
      for (let page = 2; page <= last; page++) {
        const changed = Buffer.from(bytes);
        changed.copyWithin(page * 4_096, (page === 2 ? last : 2) * 4_096, (page === 2 ? last : 2) * 4_096 + 4_096);
        await writeFile(path, changed);
        if (findPageDamage(path) !== undefined) found++;
        if (page > 60) break;
      }
      expect(found).toBeGreaterThan(0);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  },
);
