import { describe, expect, it } from "vitest";
import type { Compare, Store } from "../store/store.ts";
import { ALL, bytes, eachWith, failsWith, keys, put, Recorder, remove, type MakeStore } from "./store-under-test.ts";

/** Compares, branches, all or nothing. */
export function txnContract(make: MakeStore): void {
  describe("transactions", () => {
    let store: Store;
    let base: number;
    eachWith(make, (fresh) => {
      ({ store, base } = fresh);
    });

    it("run success when every compare holds, else failure", async () => {
      await put(store, "a", "1");
      const txn = (version: number): Promise<boolean> =>
        store
          .txn({
            compare: [
              { key: "a", target: "version", op: "=", value: version },
              { key: "b", target: "create", op: "=", value: 0 },
            ],
            success: [{ type: "put", key: "yes", value: bytes("") }],
            failure: [{ type: "put", key: "no", value: bytes("") }],
          })
          .then((result) => result.succeeded);
      expect(await txn(2)).toBe(false);
      expect(await keys(store)).toEqual(["a", "no"]);
      expect(await txn(1)).toBe(true);
      expect(await keys(store)).toEqual(["a", "no", "yes"]);
    });

    it.each([
      ["mod", "=", 3, true],
      ["mod", "=", 2, false],
      ["mod", "!=", 3, false],
      ["mod", "<", 4, true],
      ["mod", "<", 3, false],
      ["create", ">", 1, true],
      ["create", ">", 2, false],
      ["version", "=", 2, true],
      ["version", ">", 1, true],
      ["version", "<", 2, false],
    ] as const)("a key created at 2 and changed at 3: compare %s %s %i holds: %s", async (target, op, at, holds) => {
      await put(store, "other");
      await put(store, "a");
      await put(store, "a");
      const value = target === "version" ? at : base + at;
      const { succeeded } = await store.txn({ compare: [{ key: "a", target, op, value }], success: [] });
      expect(succeeded).toBe(holds);
    });

    it("of concurrent updates of one version exactly one wins", async () => {
      const revision = await put(store, "a", "0");
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          store.txn({
            compare: [{ key: "a", target: "mod", op: "=", value: revision }],
            success: [{ type: "put", key: "a", value: bytes(String(i)) }],
            failure: [{ type: "range", key: "a" }],
          }),
        ),
      );
      expect(results.filter((result) => result.succeeded)).toHaveLength(1);
      const winner = results.findIndex((result) => result.succeeded);
      for (const { succeeded, results: answers } of results) {
        const [answer] = answers;
        if (!succeeded && answer?.type === "range") expect(answer.kvs[0]?.value.toString()).toBe(String(winner));
      }
    });

    it("all changes of one transaction share a revision, and later operations see earlier ones", async () => {
      await put(store, "gone", "x");
      const { revision, results } = await store.txn({
        compare: [],
        success: [
          { type: "put", key: "a", value: bytes("1") },
          { type: "delete", key: "gone" },
          { type: "range", ...ALL },
          { type: "put", key: "b", value: bytes("2") },
        ],
      });
      expect(revision).toBe(base + 2);
      expect(results[1]).toMatchObject({ type: "delete", deleted: [{ key: "gone" }] });
      expect(results[2]).toMatchObject({ type: "range", count: 1, kvs: [{ key: "a", modRevision: base + 2 }] });
      expect((await store.range(ALL)).kvs.map((kv) => kv.modRevision)).toEqual([base + 2, base + 2]);
    });

    it("puts and deletes answer what was there before", async () => {
      await put(store, "a", "1");
      const over = await store.txn({ compare: [], success: [{ type: "put", key: "a", value: bytes("2") }] });
      const [first] = over.results;
      expect(first?.type === "put" && first.previous?.value.toString()).toBe("1");
      const gone = await store.txn({ compare: [], success: [{ type: "delete", ...ALL }] });
      const [second] = gone.results;
      expect(second?.type === "delete" && second.deleted.map((kv) => kv.value.toString())).toEqual(["2"]);
    });

    it("a key may change only once in a transaction", async () => {
      const twice = { type: "put", key: "a", value: bytes("") } as const;
      await expect(store.txn({ compare: [], success: [twice, twice] })).rejects.toEqual(failsWith("duplicateKey"));
      await expect(
        store.txn({ compare: [], success: [twice, { type: "delete", key: "a", end: "z" }] }),
      ).rejects.toEqual(failsWith("duplicateKey"));
      expect(await store.revision()).toBe(base);
    });

    it.each<[string, Compare, boolean]>([
      ["a value equals its bytes", { key: "k/a", target: "value", op: "=", value: bytes("1") }, true],
      ["a value is compared as bytes", { key: "k/a", target: "value", op: "<", value: bytes("10") }, true],
      [
        "a missing key fulfils no compare of values",
        { key: "k/x", target: "value", op: "!=", value: bytes("1") },
        false,
      ],
      ["all keys of a range: true", { key: "k/", end: "k0", target: "version", op: "=", value: 1 }, true],
      ["all keys of a range: false", { key: "k/", end: "k0", target: "value", op: "=", value: bytes("1") }, false],
      ["an empty range is a missing key", { key: "x/", end: "x0", target: "version", op: "=", value: 0 }, true],
      ["a key without lease has lease 0", { key: "k/a", target: "lease", op: "=", value: 0 }, true],
    ])("compares: %s", async (_name, compare, expected) => {
      await put(store, "k/a", "1");
      await put(store, "k/b", "2");
      expect((await store.txn({ compare: [compare], success: [] })).succeeded).toBe(expected);
    });

    it("a transaction within a transaction compares with the state before both, and answers its own results", async () => {
      await put(store, "a", "1");
      const { succeeded, revision, results } = await store.txn({
        compare: [{ key: "a", target: "version", op: "=", value: 1 }],
        success: [
          { type: "put", key: "a", value: bytes("2") },
          {
            type: "txn",
            compare: [{ key: "a", target: "version", op: "=", value: 2 }],
            success: [{ type: "put", key: "seen", value: bytes("") }],
            failure: [
              { type: "put", key: "unseen", value: bytes("") },
              { type: "range", key: "a" },
            ],
          },
        ],
      });
      expect([succeeded, revision]).toEqual([true, base + 2]);
      const inner = results[1];
      expect(inner).toMatchObject({ type: "txn", succeeded: false });
      expect(inner?.type === "txn" && inner.results[1]).toMatchObject({ kvs: [{ key: "a", value: bytes("2") }] });
      expect(await keys(store)).toEqual(["a", "unseen"]);
    });

    it("keys of any bytes are kept, ordered as bytes, and seen by watches", async () => {
      const [low, high] = ["\udc80", "b\udcff"];
      const seen = new Recorder();
      using _watch = await store.watch({ key: "a", end: "\0" }, seen);
      for (const key of [low, high, "é"]) await put(store, key);
      expect(await keys(store)).toEqual([high, low, "é"]);
      expect((await store.range({ key: high })).count).toBe(1);
      await remove(store, low);
      await seen.untilLines(4);
      expect(seen.lines.at(-1)).toContain(low);
    });

    it("a put may keep the value or the lease that a key has; without the key it fails", async () => {
      const lease = await store.grantLease(60);
      await put(store, "a", "1", lease);
      const change = (op: { ignoreValue?: boolean; ignoreLease?: boolean }, key = "a"): Promise<unknown> =>
        store.txn({
          compare: [],
          success: [{ type: "put", key, value: bytes(op.ignoreValue === true ? "" : "2"), ...op }],
        });
      await change({ ignoreLease: true });
      expect((await store.range({ key: "a" })).kvs[0]).toMatchObject({ value: bytes("2"), lease });
      await change({ ignoreValue: true });
      expect((await store.range({ key: "a" })).kvs[0]).toMatchObject({ value: bytes("2"), lease: 0 });
      await expect(change({ ignoreValue: true }, "b")).rejects.toEqual(failsWith("keyNotFound"));
      expect(await keys(store)).toEqual(["a"]);
      await store.revokeLease(lease);
    });

    it("more than 128 operations are refused", async () => {
      const success = Array.from({ length: 129 }, (_, i) => ({ type: "range", key: `k${i}` }) as const);
      await expect(store.txn({ compare: [], success })).rejects.toEqual(failsWith("invalidRequest"));
    });

    it("a transaction without key is refused", async () => {
      await expect(put(store, "")).rejects.toEqual(failsWith("invalidRequest"));
    });
  });
}
