import { describe, expect, it } from "vitest";
import type { Store } from "../store/store.ts";
import { ALL, eachWith, failsWith, keys, put, Recorder, remove, type MakeStore } from "./store-under-test.ts";

/** The past is forgotten, the present is kept. */
export function compactionContract(make: MakeStore): void {
  describe("compaction", () => {
    let store: Store;
    let base: number;
    eachWith(make, (fresh) => {
      ({ store, base } = fresh);
    });

    it("forgets the past, keeps the present", async () => {
      await put(store, "a", "1");
      await put(store, "a", "2");
      await put(store, "b", "1");
      await remove(store, "b");
      await put(store, "a", "3");
      await store.compact(base + 4);
      await expect(store.range({ key: "a", revision: base + 3 })).rejects.toEqual(failsWith("compacted"));
      expect((await store.range({ key: "a", revision: base + 4 })).kvs[0]?.value.toString()).toBe("2");
      expect((await store.range({ key: "a" })).kvs[0]).toMatchObject({ version: 3, createRevision: base + 1 });
      expect(await keys(store)).toEqual(["a"]);
    });

    it("can not be repeated, turned back or done in the future", async () => {
      await put(store, "a");
      await put(store, "a");
      await store.compact(base + 1);
      await expect(store.compact(base + 1)).rejects.toEqual(failsWith("compacted"));
      await expect(store.compact(base + 9)).rejects.toEqual(failsWith("futureRevision"));
    });

    it("a watch from before it fails, a watch from it on gets every event", async () => {
      for (let i = 1; i <= 4; i++) await put(store, "a", String(i));
      await store.compact(base + 3);
      const late = new Recorder();
      const outcome = await store.watch({ key: "a", startRevision: base + 2 }, late).then(
        () => late.until(() => late.end !== undefined).then(() => late.end),
        (error: unknown) => error,
      );
      expect(outcome).toEqual(failsWith("compacted"));
      const seen = new Recorder();
      using _watch = await store.watch({ key: "a", startRevision: base + 4 }, seen);
      await seen.untilLines(1);
      expect(seen.revisions).toEqual([base + 4]);
    });

    it("does not disturb a watch that is up to date", async () => {
      const seen = new Recorder();
      using _watch = await store.watch({ ...ALL }, seen);
      await put(store, "a", "1");
      await seen.untilLines(1);
      await store.compact(base + 1);
      await put(store, "a", "2");
      await seen.untilLines(2);
      expect(seen.end).toBeUndefined();
    });

    it("a key deleted and compacted can come back", async () => {
      await put(store, "a", "1");
      await remove(store, "a");
      await put(store, "c");
      await store.compact(base + 3);
      await put(store, "a", "2");
      expect((await store.range({ key: "a" })).kvs[0]).toMatchObject({ version: 1, createRevision: base + 4 });
    });
  });
}
