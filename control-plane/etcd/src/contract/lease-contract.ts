import type { FakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import type { Store } from "../store/store.ts";
import { ALL, eachWith, failsWith, keys, put, Recorder, type MakeStore } from "./store-under-test.ts";

/** Leases, and the keys that go with them. */
export function leaseContract(make: MakeStore): void {
  describe("leases", () => {
    let store: Store;
    let clock: FakeClock | undefined;
    let base: number;
    eachWith(make, (fresh) => {
      ({ store, clock, base } = fresh);
    });

    it("a put with a lease that does not exist fails and changes nothing", async () => {
      await expect(put(store, "a", "", 4711)).rejects.toEqual(failsWith("leaseNotFound"));
      expect(await store.revision()).toBe(base);
    });

    it("a lease may have an id of one's choice, which then is taken", async () => {
      expect(await store.grantLease(60, 4711)).toBe(4711);
      await expect(store.grantLease(60, 4711)).rejects.toEqual(failsWith("leaseExists"));
      await store.revokeLease(4711);
      await expect(store.keepLeaseAlive(4711)).rejects.toEqual(failsWith("leaseNotFound"));
    });

    it("revoking a lease deletes its keys in one revision", async () => {
      const lease = await store.grantLease(60);
      await put(store, "a", "", lease);
      await put(store, "b", "", lease);
      await put(store, "c");
      expect((await store.range({ key: "a" })).kvs[0]?.lease).toBe(lease);
      const seen = new Recorder();
      using _watch = await store.watch({ ...ALL }, seen);
      await store.revokeLease(lease);
      expect(await keys(store)).toEqual(["c"]);
      await seen.untilLines(2);
      expect(seen.revisions).toEqual([base + 4]);
      await expect(store.revokeLease(lease)).rejects.toEqual(failsWith("leaseNotFound"));
      await expect(store.keepLeaseAlive(lease)).rejects.toEqual(failsWith("leaseNotFound"));
    });

    it("a key that was put again without the lease, or with another one, stays", async () => {
      const lease = await store.grantLease(60);
      const other = await store.grantLease(60);
      await put(store, "a", "", lease);
      await put(store, "b", "", lease);
      await put(store, "c", "", lease);
      await put(store, "a", "");
      await put(store, "b", "", other);
      await store.revokeLease(lease);
      expect(await keys(store)).toEqual(["a", "b"]);
    });

    it("ids have 64 bits", async () => {
      for (const id of [2n ** 63n - 1n, 2n ** 53n + 1n, -5]) {
        expect(await store.grantLease(60, id)).toBe(id);
        await put(store, "a", "", id);
        expect((await store.range({ key: "a" })).kvs[0]?.lease).toBe(id);
        const compare = [{ key: "a", target: "lease", op: "=", value: id }] as const;
        expect((await store.txn({ compare, success: [] })).succeeded).toBe(true);
        await store.keepLeaseAlive(id);
        await store.revokeLease(id);
        expect(await keys(store)).toEqual([]);
      }
    });

    it("a lease without keys ends without a revision", async () => {
      await store.revokeLease(await store.grantLease(60));
      expect(await store.revision()).toBe(base);
    });

    it("an expired lease takes its keys along; a renewed one does not expire", async (context) => {
      if (clock === undefined) return context.skip();
      const short = await store.grantLease(5);
      const renewed = await store.grantLease(8);
      await put(store, "short", "", short);
      await put(store, "renewed", "", renewed);
      const seen = new Recorder();
      using _watch = await store.watch({ ...ALL }, seen);
      await clock.advance(4_999);
      expect(await keys(store)).toEqual(["renewed", "short"]);
      await store.keepLeaseAlive(renewed);
      await clock.advance(1);
      await seen.untilLines(1);
      expect(await keys(store)).toEqual(["renewed"]);
      await clock.advance(7_900);
      expect(await keys(store)).toEqual(["renewed"]);
      await clock.advance(100);
      await seen.untilLines(2);
      expect(await keys(store)).toEqual([]);
      expect(clock.pending).toBe(0);
      return undefined;
    });
  });
}
