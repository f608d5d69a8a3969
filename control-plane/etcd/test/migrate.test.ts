import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock } from "@coracle/base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  migrateStore,
  openEmbeddedStore,
  openSnapshot,
  restoreSnapshot,
  saveDirectory,
  type Store,
} from "../src/index.ts";
import { contentHash } from "../src/migrate/content-hash.ts";
import { hasEtcd, startReal } from "./running-etcd.ts";

const clock = systemClock;
const open = (dataDir: string): ReturnType<typeof openEmbeddedStore> =>
  openEmbeddedStore({ dataDir, clock, logger: silentLogger });

async function fill(store: Store): Promise<void> {
  const lease = await store.grantLease(600, 2n ** 62n);
  for (let n = 0; n < 300; n++) {
    const value = Buffer.alloc(1 + ((n * 7_919) % 9_000), n);
    await store.txn({
      compare: [],
      success: [{ type: "put", key: `/k/${n % 200}`, value, lease: n % 50 === 0 ? lease : 0 }],
    });
  }
  await store.txn({ compare: [], success: [{ type: "put", key: "bytes\udcff", value: Buffer.of(0, 255) }] });
  await store.txn({ compare: [], success: [{ type: "delete", key: "/k/7" }] });
}

describe("moving a store", () => {
  let root = "";
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "cor-migrate-"));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it("a directory is saved while it is written to, and restored as it was at one moment", async () => {
    await using store = await open(join(root, "a"));
    await fill(store);
    let isOver = false;
    let written = 0;
    const writer = (async () => {
      while (!isOver) {
        const value = Buffer.from(String(written++));
        const both = ["x", "y"].map((key) => ({ type: "put", key, value }) as const);
        await store.txn({ compare: [], success: both });
      }
    })();
    const path = join(root, "saved");
    await saveDirectory({ dataDir: join(root, "a"), path, clock });
    isOver = true;
    await writer;
    await using snapshot = await openSnapshot(path);
    const { revision } = await restoreSnapshot({ snapshot, dataDir: join(root, "b"), clock });
    await using again = await open(join(root, "b"));
    expect(await again.revision()).toBe(revision);
    const [x, y] = (await again.range({ key: "x", end: "z" })).kvs.map((kv) => kv.value.toString());
    expect(x).toBe(y);
    expect(again.leases()).toEqual([2n ** 62n]);
    await expect(saveDirectory({ dataDir: join(root, "none"), path, clock })).rejects.toThrow("there is no store in");
  });

  it.skipIf(!hasEtcd)(
    "to an etcd cluster and back: the hashes agree, the source stays, a full target is refused",
    async () => {
      await using real = await startReal();
      const cluster = { endpoints: [`http://${real.endpoint}`] };
      const from = { dataDir: join(root, "from") };
      let before: unknown;
      {
        await using store = await open(from.dataDir);
        await fill(store);
        before = await contentHash(store);
      }
      const there = await migrateStore({ from, to: cluster, clock });
      expect(there).toMatchObject({ ...(before as object), leases: 1 });
      expect(await real.etcdctl("lease", "list")).toContain((2n ** 62n).toString(16));
      await expect(migrateStore({ from, to: cluster, clock })).rejects.toThrow("is not empty");
      const back = { dataDir: join(root, "back") };
      expect(await migrateStore({ from: cluster, to: back, clock })).toEqual(there);
      await using store = await open(back.dataDir);
      expect(await contentHash(store)).toEqual(before);
      expect(store.leaseState(2n ** 62n)?.keys).toHaveLength(4);
      await expect(migrateStore({ from, to: back, clock })).rejects.toThrow("one end of a migration is a directory");
    },
  );
});
