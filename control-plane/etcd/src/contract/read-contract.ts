import { describe, expect, it } from "vitest";
import { prefixEnd, type Store } from "../store/store.ts";
import { ALL, bytes, eachWith, failsWith, keys, put, remove, type MakeStore } from "./store-under-test.ts";

/** What was put can be read, as it is and as it was. */
export function readContract(make: MakeStore): void {
  describe("put and range", () => {
    let store: Store;
    let base: number;
    eachWith(make, (fresh) => {
      ({ store, base } = fresh);
    });

    it("a put raises the revision by one and counts versions of the key", async () => {
      expect(await put(store, "a", "1")).toBe(base + 1);
      expect(await put(store, "a", "2")).toBe(base + 2);
      const { kvs, revision } = await store.range({ key: "a" });
      expect(revision).toBe(base + 2);
      expect(kvs).toEqual([
        { key: "a", value: bytes("2"), createRevision: base + 1, modRevision: base + 2, version: 2, lease: 0 },
      ]);
    });

    it("a key that was deleted starts anew at version 1", async () => {
      await put(store, "a", "1");
      await remove(store, "a");
      await put(store, "a", "2");
      const { kvs } = await store.range({ key: "a" });
      expect(kvs[0]).toMatchObject({ createRevision: base + 3, modRevision: base + 3, version: 1 });
    });

    it("deleting what is not there leaves the revision alone", async () => {
      expect(await remove(store, "nothing")).toBe(base);
      expect(await store.revision()).toBe(base);
    });

    it("a range is half open, in byte order of the keys", async () => {
      for (const key of ["b/", "b/2", "a", "b/10", "b0", "b/é", "b/z", "b/😀", "b/\uffee"]) await put(store, key);
      const { kvs, count } = await store.range({ key: "b/", end: prefixEnd("b/") });
      expect(kvs.map((kv) => kv.key)).toEqual(["b/", "b/10", "b/2", "b/z", "b/é", "b/\uffee", "b/😀"]);
      expect(count).toBe(7);
    });

    it("an end of one zero byte means every key from the first on", async () => {
      for (const key of ["a", "b", "c"]) await put(store, key);
      expect((await store.range({ key: "b", end: "\0" })).kvs.map((kv) => kv.key)).toEqual(["b", "c"]);
    });

    it("a limit cuts the answer and says so, the count does not change", async () => {
      for (const key of ["a", "b", "c"]) await put(store, key);
      const cut = await store.range({ ...ALL, limit: 2 });
      expect([cut.kvs.map((kv) => kv.key), cut.more, cut.count]).toEqual([["a", "b"], true, 3]);
      const whole = await store.range({ ...ALL, limit: 3 });
      expect([whole.kvs.length, whole.more, whole.count]).toEqual([3, false, 3]);
    });

    it("keysOnly leaves values out, countOnly leaves everything out", async () => {
      await put(store, "a", "value");
      const only = await store.range({ ...ALL, keysOnly: true });
      expect([only.kvs[0]?.key, only.kvs[0]?.value.length, only.kvs[0]?.version]).toEqual(["a", 0, 1]);
      const counted = await store.range({ ...ALL, countOnly: true });
      expect([counted.kvs, counted.count, counted.more]).toEqual([[], 1, false]);
    });

    it("the past can be read at any revision that is kept", async () => {
      await put(store, "a", "1");
      await put(store, "b", "1");
      await put(store, "a", "2");
      await remove(store, "b");
      expect(await keys(store, base)).toEqual([]);
      expect(await keys(store, base + 1)).toEqual(["a"]);
      expect(await keys(store, base + 3)).toEqual(["a", "b"]);
      expect(await keys(store, base + 4)).toEqual(["a"]);
      expect((await store.range({ key: "a", revision: base + 2 })).kvs[0]?.value.toString()).toBe("1");
      expect((await store.range({ key: "a", revision: base + 2 })).revision).toBe(base + 4);
    });

    it("the future can not be read", async () => {
      await expect(store.range({ key: "a", revision: base + 1 })).rejects.toEqual(failsWith("futureRevision"));
    });

    it("values come back byte for byte, also empty and large ones", async () => {
      const large = Buffer.alloc(1_000_000, 7);
      await store.txn({ compare: [], success: [{ type: "put", key: "large", value: large }] });
      await put(store, "empty", "");
      expect((await store.range({ key: "large" })).kvs[0]?.value.equals(large)).toBe(true);
      expect((await store.range({ key: "empty" })).kvs[0]?.value.length).toBe(0);
    });

    it("a request of more than 1.5 MiB is refused", async () => {
      const value = Buffer.alloc(1_600_000);
      await expect(store.txn({ compare: [], success: [{ type: "put", key: "a", value }] })).rejects.toEqual(
        failsWith("tooLarge"),
      );
    });
  });
}
