import { describe, expect, it } from "vitest";
import { prefixEnd, type Store, type WatchSink } from "../store/store.ts";
import { ALL, bytes, eachWith, failsWith, put, Recorder, remove, type MakeStore } from "./store-under-test.ts";

/** Watches are complete and in order, and end with the store. */
export function watchContract(make: MakeStore): void {
  describe("watch", () => {
    let store: Store;
    let base: number;
    eachWith(make, (fresh) => {
      ({ store, base } = fresh);
    });

    it("delivers what happens after now, in order, with the value before", async () => {
      await put(store, "a/1", "0");
      const seen = new Recorder();
      using watch = await store.watch({ key: "a/", end: prefixEnd("a/") }, seen);
      expect(watch.startedAt).toBe(base + 1);
      await put(store, "a/1", "1");
      await put(store, "b", "1");
      await remove(store, "a/1");
      await seen.untilLines(2);
      expect(seen.lines).toEqual([`${base + 2} put a/1=1 was 0`, `${base + 4} delete a/1 was 1`]);
      expect(seen.revisions).toEqual([base + 2, base + 4]);
    });

    it("starts at any revision that is kept and joins the present without gap or repetition", async () => {
      for (let i = 1; i <= 5; i++) await put(store, "a", String(i));
      const seen = new Recorder();
      using _watch = await store.watch({ key: "a", startRevision: base + 3 }, seen);
      for (let i = 6; i <= 8; i++) await put(store, "a", String(i));
      await seen.untilLines(6);
      expect(seen.lines.map((line) => line.replace(/ was .*/, ""))).toEqual(
        [3, 4, 5, 6, 7, 8].map((i) => `${base + i} put a=${i}`),
      );
    });

    it("starts in the future", async () => {
      const seen = new Recorder();
      using _watch = await store.watch({ key: "a", startRevision: base + 3 }, seen);
      for (let i = 1; i <= 4; i++) await put(store, "a", String(i));
      await seen.untilLines(2);
      expect(seen.revisions).toEqual([base + 3, base + 4]);
    });

    it("gives all events of one revision in one call", async () => {
      const seen = new Recorder();
      using _watch = await store.watch({ ...ALL }, seen);
      await store.txn({
        compare: [],
        success: ["a", "b", "c"].map((key) => ({ type: "put", key, value: bytes("") }) as const),
      });
      await seen.untilLines(3);
      expect(seen.revisions).toEqual([base + 1]);
    });

    it("ends when disposed", async () => {
      const seen = new Recorder();
      const other = new Recorder();
      const watch = await store.watch({ key: "a" }, seen);
      using _other = await store.watch({ key: "a" }, other);
      watch[Symbol.dispose]();
      watch[Symbol.dispose]();
      await put(store, "a");
      await other.untilLines(1);
      expect(seen.lines).toEqual([]);
      expect(seen.end).toBeUndefined();
    });

    it("a watcher may write from within a delivery, and the others still get everything in order", async () => {
      const seen = new Recorder();
      const writes: Promise<number>[] = [];
      const writer: WatchSink = {
        events(events) {
          if (events.some((event) => event.type === "put" && event.kv.key === "a")) writes.push(put(store, "b", ""));
        },
        closed() {},
      };
      using _first = await store.watch({ ...ALL }, writer);
      using _second = await store.watch({ ...ALL }, seen);
      await put(store, "a");
      await seen.untilLines(2);
      await Promise.all(writes);
      expect(seen.revisions).toEqual([base + 1, base + 2]);
    });
  });

  describe("end", () => {
    let store: Store;
    eachWith(make, (fresh) => {
      ({ store } = fresh);
    });

    it("watches end with `closed`, later requests fail with `closed`", async () => {
      const seen = new Recorder();
      await store.watch({ ...ALL }, seen);
      const write = put(store, "a");
      await store[Symbol.asyncDispose]();
      await write;
      expect(seen.end).toEqual(failsWith("closed"));
      await expect(store.range({ key: "a" })).rejects.toEqual(failsWith("closed"));
      await expect(put(store, "a")).rejects.toEqual(failsWith("closed"));
      await store[Symbol.asyncDispose]();
    });
  });
}
