import { createFakeClock, type FakeClock } from "@coracle/base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  prefixEnd,
  StoreError,
  type Compare,
  type LeaseId,
  type Store,
  type StoreErrorCode,
  type StoreEvent,
  type WatchSink,
} from "../store/store.ts";

/** A store under test, with the clock that rules its leases; no clock: real time rules them. */
export interface StoreUnderTest {
  readonly store: Store;
  readonly clock?: FakeClock | undefined;
}

const ALL = { key: "\0", end: "\0" } as const;
const bytes = (text: string): Buffer => Buffer.from(text);

async function put(store: Store, key: string, value = "", lease: LeaseId = 0): Promise<number> {
  const { revision } = await store.txn({ compare: [], success: [{ type: "put", key, value: bytes(value), lease }] });
  return revision;
}

async function remove(store: Store, key: string, end?: string): Promise<number> {
  const { revision } = await store.txn({ compare: [], success: [{ type: "delete", key, end }] });
  return revision;
}

async function keys(store: Store, revision = 0): Promise<readonly string[]> {
  return (await store.range({ ...ALL, revision })).kvs.map((kv) => kv.key);
}

function failsWith(code: StoreErrorCode): { asymmetricMatch(other: unknown): boolean } {
  return { asymmetricMatch: (other) => other instanceof StoreError && other.code === code };
}

/** Records what a watch delivers as lines like `5 put a=1 was 0` and lets a test wait for them. */
class Recorder implements WatchSink {
  readonly lines: string[] = [];
  readonly revisions: number[] = [];
  end: StoreError | undefined;
  #wake: (() => void) | undefined;

  events(events: readonly StoreEvent[], revision: number): void {
    this.revisions.push(revision);
    for (const event of events) this.lines.push(lineOf(event));
    this.#wake?.();
  }

  closed(reason: StoreError): void {
    this.end = reason;
    this.#wake?.();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  untilLines(count: number): Promise<void> {
    return this.until(() => this.lines.length >= count);
  }
}

function lineOf(event: StoreEvent): string {
  const was = event.previous === undefined ? "" : ` was ${event.previous.value.toString()}`;
  return event.type === "put"
    ? `${event.kv.modRevision} put ${event.kv.key}=${event.kv.value.toString()}${was}`
    : `${event.modRevision} delete ${event.key}${was}`;
}

/** What every engine promises. `make` gives an empty store, which the suite disposes. */
export function storeContract(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`store contract: ${name}`, () => {
    let store: Store;
    let clock: FakeClock | undefined;
    let base: number;

    beforeEach(async () => {
      ({ store, clock } = await make());
      base = await store.revision();
    });
    afterEach(async () => {
      await store[Symbol.asyncDispose]();
    });

    describe("put and range", () => {
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

    describe("transactions", () => {
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

    describe("watch", () => {
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

    describe("compaction", () => {
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

    describe("leases", () => {
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

    describe("end", () => {
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
  });
}

/** A fake clock and a store that goes by it, for engines in this process. */
export async function withFakeClock(make: (clock: FakeClock) => Store | Promise<Store>): Promise<StoreUnderTest> {
  const clock = createFakeClock();
  return { store: await make(clock), clock };
}
