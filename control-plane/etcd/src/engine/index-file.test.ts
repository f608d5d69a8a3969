import { createFakeClock, createSeededRandom, silentLogger } from "@coracle/base";
import { cpSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Op, StoreEvent } from "../store/store.ts";
import { openEmbeddedStore } from "./embedded-store.ts";
import type { Engine } from "./engine.ts";

const KEYS = 3_000;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "index-file-"));
});
afterEach(async () => await rm(folder, { recursive: true, force: true }));

const open = (dataDir: string, indexedAfter = 500): Promise<Engine> =>
  openEmbeddedStore({ dataDir, clock: createFakeClock(), logger: silentLogger, isSynced: false, indexedAfter });

/** Everything that can be seen of a store: what it holds now and at its compaction, and its history since then. */
async function contents(store: Engine): Promise<unknown> {
  const everything = { key: "\0", end: "\0" };
  const { compacted } = store;
  const history: string[] = [];
  let last = compacted;
  const started = await store.watch(
    { ...everything, startRevision: compacted + 1, progress: true },
    {
      events: (events: readonly StoreEvent[], revision) => {
        last = revision;
        for (const event of events) history.push(JSON.stringify({ ...event, value: "" }));
      },
      closed: (reason) => expect.fail(reason.message),
    },
  );
  while (last < (await store.revision())) await new Promise((resolve) => setImmediate(resolve));
  started[Symbol.dispose]();
  return {
    compacted,
    now: JSON.stringify(await store.range(everything)),
    atCompaction: JSON.stringify((await store.range({ ...everything, revision: Math.max(compacted, 1) })).kvs),
    counted: (await store.range({ ...everything, limit: 10 })).count,
    history,
  };
}

/** Puts, deletes and compactions all over the keys. */
async function change(store: Engine, seed: number, rounds: number): Promise<void> {
  const random = createSeededRandom(seed);
  const pick = (below: number): number => Math.floor(random.next() * below);
  for (let round = 0; round < rounds; round++) {
    const txns = Array.from({ length: 20 }, () => {
      const keys = new Set(Array.from({ length: 20 }, () => `/key/${pick(KEYS)}`));
      const success = [...keys].map((key): Op => {
        if (random.next() < 0.1) return { type: "delete", key };
        return { type: "put", key, value: Buffer.from(`${round} ${key}`) };
      });
      return store.txn({ compare: [], success });
    });
    await Promise.all(txns);
    if (round % 7 === 6) await store.compact((await store.revision()) - pick(30));
  }
}

/** Waits until compactions and indexes have nothing left to write. */
async function atRest(store: Engine, dataDir: string): Promise<void> {
  for (let quiet = 0; quiet < 10; quiet++) {
    await store.keepSetting("test", quiet);
    if ((await indexFiles(dataDir)).length !== 1) quiet = 0;
  }
  await store.keepSetting("test", undefined);
}

async function indexFiles(dataDir: string): Promise<string[]> {
  return (await readdir(dataDir)).filter((name) => name.includes(".index-"));
}

describe("the saved index", () => {
  it("with the log since then tells the same as the whole log, whenever the process ends", async () => {
    for (let round = 0; round < 6; round++) {
      const dataDir = join(folder, "store");
      await using store = await open(dataDir);
      await change(store, round, 10 + round);
      // As after a crash: the files as they are while the store is open, between two commits.
      await atRest(store, dataDir);
      const [indexed, whole] = [join(folder, `indexed-${round}`), join(folder, `whole-${round}`)];
      const filter = (path: string): boolean => path === dataDir || basename(path).startsWith("store.mdb");
      cpSync(dataDir, indexed, { recursive: true, filter });
      cpSync(dataDir, whole, { recursive: true, filter });
      expect(await indexFiles(indexed)).not.toEqual([]);
      for (const name of await indexFiles(whole)) await rm(join(whole, name));
      await using fromIndex = await open(indexed, 1e9);
      await using fromLog = await open(whole, 1e9);
      const expected = await contents(store);
      expect(await contents(fromIndex)).toEqual(expected);
      expect(await contents(fromLog)).toEqual(expected);
      // And both go on alike.
      await change(fromIndex, 100 + round, 8);
      await change(fromLog, 100 + round, 8);
      expect(await contents(fromIndex)).toEqual(await contents(fromLog));
    }
  });

  it("is one file, written at the end too; what is dropped from the log stays dropped", async () => {
    for (let round = 0; round < 3; round++) {
      await using store = await open(folder);
      await change(store, round, 8);
    }
    expect(await indexFiles(folder)).toHaveLength(1);
    await using store = await open(folder);
    await store.compact(await store.revision());
    const before = await contents(store);
    await store[Symbol.asyncDispose]();
    for (const name of await indexFiles(folder)) await rm(join(folder, name));
    await using again = await open(folder);
    expect(await contents(again)).toEqual(before);
  });

  it("that is damaged, cut short, or of another log is not used", async () => {
    {
      await using store = await open(folder);
      await change(store, 1, 8);
    }
    const [name = ""] = await indexFiles(folder);
    const path = join(folder, name);
    const good = await readFile(path);
    let expected: unknown;
    for (const damage of [
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes.subarray(0, bytes.length - 9),
      (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1),
      (bytes: Buffer) => bytes.fill(7, bytes.length >> 1, (bytes.length >> 1) + 1),
      (bytes: Buffer) => bytes.fill(0, 0, 3),
      () => Buffer.alloc(0),
    ]) {
      await writeFile(path, damage(Buffer.from(good)));
      await using store = await open(folder, 1e9);
      expected ??= await contents(store);
      expect(await contents(store)).toEqual(expected);
    }
  });
});
