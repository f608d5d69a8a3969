import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Cleanup, createFakeClock, silentLogger } from "@coracle/base";
import { expect, it } from "vitest";
import { openEmbeddedStore, prefixEnd, StoreError, type Store, type StoreEvent } from "../src/index.ts";

const exec = promisify(execFile);
const isRoot = process.getuid?.() === 0;

async function fillUntilRefused(store: Store): Promise<{ acknowledged: number; refusal: unknown }> {
  const acknowledged: number[] = [];
  for (let i = 0; ; i += 20) {
    const burst = Array.from({ length: 20 }, async (_, at) => {
      const op = { type: "put", key: `big/${i + at}`, value: Buffer.alloc(20_000, 1) } as const;
      await store.txn({ compare: [], success: [op] });
      acknowledged.push(i + at);
    });
    const refused = (await Promise.allSettled(burst)).find((result) => result.status === "rejected");
    if (refused !== undefined) return { acknowledged: acknowledged.length, refusal: refused.reason };
  }
}

async function mountSmallDisk(cleanup: Cleanup, size = "4m"): Promise<string> {
  const mount = await mkdtemp(join(tmpdir(), "store-full-"));
  cleanup.add(() => rm(mount, { recursive: true, force: true }));
  await exec("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", mount]);
  cleanup.add(async () => void (await exec("umount", [mount])));
  return mount;
}

it.skipIf(!isRoot)("a full disk refuses writes with noSpace, keeps what it has, and recovers", async () => {
  await using cleanup = new Cleanup();
  const mount = await mountSmallDisk(cleanup);
  const open = (): Promise<Store> =>
    openEmbeddedStore({ dataDir: join(mount, "data"), clock: createFakeClock(), logger: silentLogger });
  const store = cleanup.use(await open());
  const seen: StoreEvent[] = [];
  await store.watch(
    { key: "big/", end: prefixEnd("big/") },
    { events: (events) => void seen.push(...events), closed: () => undefined },
  );
  const { acknowledged, refusal } = await fillUntilRefused(store);
  expect(refusal).toBeInstanceOf(StoreError);
  expect(refusal).toMatchObject({ code: "noSpace", message: "etcdserver: mvcc: database space exceeded" });
  expect(acknowledged).toBeGreaterThan(20);
  expect((await store.range({ key: "big/", end: prefixEnd("big/") })).count).toBe(acknowledged);
  expect(await store.revision()).toBe(acknowledged + 1);
  expect(seen).toHaveLength(acknowledged);
  await exec("mount", ["-o", "remount,size=16m", mount]);
  await store.txn({ compare: [], success: [{ type: "put", key: "small", value: Buffer.alloc(1) }] });
  await store[Symbol.asyncDispose]();
  const again = cleanup.use(await open());
  expect((await again.range({ key: "\0", end: "\0" })).count).toBe(acknowledged + 1);
});

it.skipIf(!isRoot)(
  "a store that filled its disk lets go of what was deleted, and has room for as much again",
  async () => {
    await using cleanup = new Cleanup();
    const dataDir = join(await mountSmallDisk(cleanup), "data");
    const store = cleanup.use(await openEmbeddedStore({ dataDir, clock: createFakeClock(), logger: silentLogger }));
    const small = (i: number): Promise<unknown> =>
      store.txn({ compare: [], success: [{ type: "put", key: `small/${i}`, value: Buffer.alloc(1_500, 1) }] });
    const fill = async (): Promise<number> => {
      for (let i = 0; ; i++) {
        try {
          // oxlint-disable-next-line no-await-in-loop
          await small(i);
        } catch {
          return i;
        }
      }
    };
    const first = await fill();
    expect(first).toBeGreaterThan(100);
    for (let round = 0; round < 5; round++) {
      // oxlint-disable-next-line no-await-in-loop
      await store.txn({ compare: [], success: [{ type: "delete", key: "small/", end: prefixEnd("small/") }] });
      // oxlint-disable-next-line no-await-in-loop
      await store.compact(await store.revision());
      const used = async (): Promise<number> => (await store.size()).usedBytes;
      // oxlint-disable-next-line no-await-in-loop
      await expect.poll(used, { timeout: 20_000 }).toBeLessThan(100_000);
      // oxlint-disable-next-line no-await-in-loop
      expect(await fill()).toBeGreaterThan(first / 2);
    }
  },
);

it.skipIf(!isRoot)("a disk without room for a new store is told before anything is written to it", async () => {
  await using cleanup = new Cleanup();
  const dataDir = join(await mountSmallDisk(cleanup, "64k"), "data");
  await expect(openEmbeddedStore({ dataDir, clock: createFakeClock(), logger: silentLogger })).rejects.toMatchObject({
    code: "noSpace",
    message: expect.stringContaining("no space left on the disk of") as string,
  });
});
