import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFakeClock, createSeededRandom } from "@coracle/base";
import { expect, it } from "vitest";
import { createMemoryStore } from "../engine/memory-store.ts";
import { StoreError } from "../store/store.ts";
import { openSnapshot, saveSnapshot, withChecksum, writeSnapshot } from "./snapshot-file.ts";

it("a file that was changed or cut anywhere is refused with one line; without its checksum it never does worse", async () => {
  const dir = await mkdtemp(join(tmpdir(), "snapshot-"));
  const random = createSeededRandom(4);
  const below = (limit: number): number => Math.floor(random.next() * limit);
  try {
    await using store = createMemoryStore({ clock: createFakeClock() });
    for (let n = 0; n < 300; n++) {
      const value = Buffer.alloc(n % 50 === 0 ? 20_000 : below(300), n);
      await store.txn({ compare: [], success: [{ type: "put", key: `key-${n % 250}`, value }] });
    }
    const good = join(dir, "good");
    const file = await open(join(dir, "data"), "wx+");
    {
      using view = store.view();
      await writeSnapshot(file, view);
    }
    await saveSnapshot(good, withChecksum(file));
    await file.close();
    const bytes = await readFile(good);
    const path = join(dir, "changed");
    const outcome = async (skipHashCheck: boolean): Promise<string> => {
      try {
        await using snapshot = await openSnapshot(path, { skipHashCheck });
        await snapshot.status();
        await snapshot.leases();
        await snapshot.compacted();
        await snapshot.settings();
        return "taken";
      } catch (error) {
        const isPlain = error instanceof StoreError && error.code === "corrupt" && !error.message.includes("\n");
        return isPlain ? "refused" : String(error);
      }
    };
    for (let round = 0; round < 200; round++) {
      let changed = Buffer.from(bytes);
      if (round % 4 === 0) changed = changed.subarray(0, below(bytes.length - 1));
      // Headers of pages are where it hurts.
      else
        for (let n = 0; n <= below(4); n++)
          flip(changed, below(bytes.length / 4_096) * 4_096 + below(64), 1 + below(255));
      await writeFile(path, changed);
      if (!changed.equals(bytes)) expect(await outcome(false)).toBe("refused");
      expect(["taken", "refused"]).toContain(await outcome(true));
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

function flip(bytes: Buffer, at: number, bits: number): void {
  bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ bits;
}
