import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFakeClock, silentLogger } from "@coracle/base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prefixEnd, StoreError, type LeaseId, type Store } from "../store/store.ts";
import { openEmbeddedStore } from "./embedded-store.ts";

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "store-dir-"));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

function openStore(clock = createFakeClock()): Promise<Store> {
  return openEmbeddedStore({ dataDir, clock, logger: silentLogger });
}

async function put(store: Store, key: string, value: string | Buffer = "", lease: LeaseId = 0): Promise<number> {
  const op = { type: "put", key, value: Buffer.from(value), lease } as const;
  return (await store.txn({ compare: [], success: [op] })).revision;
}

async function fill(count: number): Promise<void> {
  await using store = await openStore();
  await Promise.all(Array.from({ length: count }, (_, i) => put(store, `key-${i}`, `value ${i} `.repeat(50))));
}

async function failure(promise: Promise<unknown>): Promise<StoreError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreError);
  return error as StoreError;
}

describe("reopening", () => {
  it("keeps keys, versions, revisions and history", async () => {
    {
      await using store = await openStore();
      await put(store, "a", "1");
      await put(store, "é", "2");
      await put(store, "a", "3");
      await store.txn({ compare: [], success: [{ type: "delete", key: "é" }] });
    }
    await using store = await openStore();
    expect(await store.revision()).toBe(5);
    expect((await store.range({ key: "a" })).kvs[0]).toEqual({
      key: "a",
      value: Buffer.from("3"),
      createRevision: 2,
      modRevision: 4,
      version: 2,
      lease: 0,
    });
    expect((await store.range({ key: "\0", end: "\0", revision: 3 })).kvs.map((kv) => kv.key)).toEqual(["a", "é"]);
    expect(await put(store, "é")).toBe(6);
  });

  it("keeps the compaction, also when the last revision is a deletion", async () => {
    {
      await using store = await openStore();
      await put(store, "a", "1");
      await put(store, "a", "2");
      await store.txn({ compare: [], success: [{ type: "delete", key: "a" }] });
      await store.compact(4);
    }
    await using store = await openStore();
    expect(await store.revision()).toBe(4);
    expect((await failure(store.range({ key: "a", revision: 3 }))).code).toBe("compacted");
    expect((await store.range({ key: "a" })).count).toBe(0);
    expect((await failure(store.compact(4))).code).toBe("compacted");
  });

  it("keeps leases and what is left of their time", async () => {
    const clock = createFakeClock();
    let lease: LeaseId;
    {
      await using store = await openStore(clock);
      lease = await store.grantLease(100);
      await put(store, "leased", "", lease);
      await clock.advance(60_000);
    }
    await using store = await openStore(clock);
    await clock.advance(39_000);
    expect((await store.range({ key: "leased" })).count).toBe(1);
    expect((await failure(put(store, "x", "", Number(lease) + 1))).code).toBe("leaseNotFound");
    let gone = 0;
    await store.watch({ key: "leased" }, { events: () => void gone++, closed: () => undefined });
    await clock.advance(1_000);
    while (gone === 0) await new Promise((resolve) => setImmediate(resolve));
    expect((await store.range({ key: "leased" })).count).toBe(0);
  });
});

describe("space", () => {
  it("is used again after a compaction", async () => {
    await using store = await openStore();
    const value = Buffer.alloc(2_000, 1);
    const sizes: number[] = [];
    for (let round = 0; round < 12; round++) {
      await Promise.all(Array.from({ length: 500 }, (_, i) => put(store, `key-${i % 50}`, value)));
      await store.compact(await store.revision());
      await put(store, "tick");
      sizes.push((await store.size()).totalBytes);
    }
    expect(sizes.at(-1)).toBeLessThanOrEqual((sizes[3] ?? 0) * 1.2);
    expect((await store.size()).usedBytes).toBeLessThan(1_000_000);
  });
});

describe("the data directory", () => {
  it("has one user at a time; the second is told who is first", async () => {
    const store = await openStore();
    const error = await failure(openStore());
    expect([error.code, error.message]).toEqual([
      "unavailable",
      `data directory ${dataDir} is in use by process ${process.pid}; stop it first`,
    ]);
    await store[Symbol.asyncDispose]();
    await (await openStore())[Symbol.asyncDispose]();
  });

  it.each([
    ["a dead process", JSON.stringify({ pid: 1, startedAt: "1", bootId: "another boot" })],
    ["nobody known", "???"],
    ["a crash while it was written", ""],
  ])("a lock left by %s is taken over", async (_, text) => {
    await writeFile(join(dataDir, "LOCK"), text);
    await (await openStore())[Symbol.asyncDispose]();
  });

  it.each([
    ["text", Buffer.from("hello, world\n".repeat(1_000))],
    ["zeros", Buffer.alloc(20_000)],
    ["another database", Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(9_000)])],
    ["a stump", Buffer.from("x")],
  ])("a foreign file (%s) is refused with one line", async (_, content) => {
    await writeFile(join(dataDir, "store.mdb"), content);
    const error = await failure(openStore());
    expect(error.code).toBe("corrupt");
    expect(error.message).toContain("store.mdb");
    expect(error.message).not.toContain("\n");
  });

  it("a file that was cut short is refused, or serves what is whole, and never crashes", async () => {
    await fill(500);
    const path = join(dataDir, "store.mdb");
    const { size } = await stat(path);
    for (const keep of [5_000, size >> 1]) {
      await truncate(path, keep);
      expect((await failure(openStore())).code).toBe("corrupt");
    }
  });

  it("a value that was changed on disk is not served", async () => {
    await fill(500);
    const path = join(dataDir, "store.mdb");
    const bytes = await readFile(path);
    for (let at = bytes.indexOf("value 77 "); at >= 0; at = bytes.indexOf("value 77 ", at + 1)) bytes[at] = 0x56;
    await writeFile(path, bytes);
    await using store = await openStore();
    expect((await failure(store.range({ key: "key-77" }))).code).toBe("corrupt");
    expect((await store.range({ key: "key-78" })).count).toBe(1);
  });

  it("a file that grew at its end is fine", async () => {
    await fill(10);
    await appendFile(join(dataDir, "store.mdb"), Buffer.alloc(8_192));
    await using store = await openStore();
    expect((await store.range({ key: "key-", end: prefixEnd("key-") })).count).toBe(10);
  });
});
