import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { spawnSync } from "node:child_process";
import { systemClock } from "@coracle/base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSnapshot, restoreSnapshot } from "../src/index.ts";
import { hasEtcd, hasEtcdctl, startOurs, startReal, type RunningEtcd } from "./running-etcd.ts";

interface HashAnswer {
  readonly HashKV: { readonly hash: number; readonly compact_revision?: number };
}

async function hashOf(server: RunningEtcd, revision = 0): Promise<HashAnswer["HashKV"]> {
  const [answer] = JSON.parse(
    await server.etcdctl("endpoint", "hashkv", `--rev=${revision}`, "-w", "json"),
  ) as HashAnswer[];
  const { hash, compact_revision } = answer!.HashKV;
  return { hash, ...(compact_revision === undefined ? {} : { compact_revision }) };
}

async function writeHistory(server: RunningEtcd): Promise<void> {
  for (let n = 0; n < 8; n++) await server.etcdctl("put", `k${n % 4}`, `v${n}`);
  await server.etcdctl("del", "k1");
  await server.etcdctl("put", "k1", "again");
  await server.etcdctl("del", "--prefix", "k2");
  await server.etcdctl("put", "ü", "ß");
}

describe.skipIf(!hasEtcdctl)("etcdctl's maintenance, with our server", () => {
  let root = "";
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "cor-maintenance-"));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it.skipIf(!hasEtcd)(
    "hashes of the same history are etcd's: at any revision, before and after a compaction",
    async () => {
      await using ours = await startOurs();
      await using real = await startReal();
      await Promise.all([writeHistory(ours), writeHistory(real)]);
      for (const revision of [0, 5, 10, 12]) expect(await hashOf(ours, revision)).toEqual(await hashOf(real, revision));
      for (const revision of ["6", "11"]) {
        await Promise.all([ours.etcdctl("compact", revision), real.etcdctl("compact", "--physical", revision)]);
        for (const at of [0, 12]) expect(await hashOf(ours, at)).toEqual(await hashOf(real, at));
      }
      await expect(hashOf(ours, 5)).rejects.toThrow("required revision has been compacted");
      await expect(hashOf(ours, 99)).rejects.toThrow("required revision is a future revision");
    },
  );

  it("a snapshot is etcd's: saved with its checksum, told of, restored by etcd and by us with all revisions", async () => {
    await using ours = await startOurs();
    await writeHistory(ours);
    await ours.etcdctl("put", "large", "x".repeat(100_000));
    const batch = Array.from({ length: 100 }, (_, n) => ours.etcdctl("put", `many/${n}`, "y".repeat(500)));
    await Promise.all(batch);
    await ours.etcdctl("compact", "6");
    const file = join(root, "saved.db");
    await ours.etcdctl("snapshot", "save", file);
    expect((await stat(file)).size % 512).toBe(32);
    const told = JSON.parse(await ours.etcdctl("snapshot", "status", file, "-w", "json")) as {
      revision: number;
      totalKey: number;
    };
    await using snapshot = await openSnapshot(file);
    const { revision, totalKeys, hash } = await snapshot.status();
    expect(told).toMatchObject({ revision, totalKey: totalKeys, hash });
    expect(revision).toBe(114);

    const restored = join(root, "restored");
    await restoreSnapshot({ snapshot, dataDir: join(restored, "member"), clock: systemClock });
    await using again = await startOurs([], restored);
    expect(await hashOf(again)).toEqual(await hashOf(ours));
    await expect(restoreSnapshot({ snapshot, dataDir: join(restored, "member"), clock: systemClock })).rejects.toThrow(
      "holds a store already",
    );
    if (!hasEtcd) return;
    const dataDir = join(root, "real");
    const { status, stderr } = spawnSync("etcdctl", ["snapshot", "restore", file, `--data-dir=${dataDir}`], {
      env: { ...process.env, ETCDCTL_API: "3" },
    });
    expect([status, String(stderr)]).toEqual([0, expect.anything()]);
    await using real = await startReal([], dataDir);
    expect(await hashOf(real)).toEqual(await hashOf(ours));
    expect(await real.etcdctl("get", "large")).toBe(`large\n${"x".repeat(100_000)}\n`);
    const back = join(root, "back.db");
    await real.etcdctl("put", "more", "1");
    await real.etcdctl("snapshot", "save", back);
    await using theirs = await openSnapshot(back);
    await restoreSnapshot({ snapshot: theirs, dataDir: join(root, "back/member"), clock: systemClock });
    await using returned = await startOurs([], join(root, "back"));
    expect(await hashOf(returned)).toEqual(await hashOf(real));
  });

  it("a foreign, cut or changed snapshot is refused with one line", async () => {
    await using ours = await startOurs();
    const file = join(root, "good.db");
    await ours.etcdctl("put", "a", "1");
    await ours.etcdctl("snapshot", "save", file);
    const good = await readFile(file);
    const refuse = async (bytes: Buffer, why: string): Promise<void> => {
      const path = join(root, "bad.db");
      await writeFile(path, bytes);
      await expect(openSnapshot(path)).rejects.toThrow(why);
    };
    const changed = Buffer.from(good);
    changed[4_096 * 4] = (changed[4_096 * 4] ?? 0) ^ 1;
    await refuse(changed, "its checksum is wrong");
    await refuse(good.subarray(0, good.length - 32), "cut short");
    await refuse(Buffer.alloc(9_000, 7), "is no snapshot");
    await refuse(Buffer.alloc(0), "is no snapshot");
  });

  it("above the quota writes are refused until space was made and the alarm disarmed", async () => {
    await using ours = await startOurs(["--quota-backend-bytes=2000000"]);
    const value = "x".repeat(100_000);
    let refusal = "";
    let puts = 0;
    for (; puts < 100 && refusal === ""; puts++) {
      await ours.etcdctl("put", "big", value).catch((error: unknown) => (refusal = String(error)));
    }
    expect(refusal).toContain("etcdserver: mvcc: database space exceeded");
    expect(puts).toBeGreaterThan(5);
    expect(await ours.etcdctl("alarm", "list")).toContain("alarm:NOSPACE");
    await expect(ours.etcdctl("put", "small", "1")).rejects.toThrow("database space exceeded");
    await expect(ours.etcdctl("lease", "grant", "10")).rejects.toThrow("database space exceeded");
    expect(await ours.etcdctl("get", "big")).toContain(value);
    const { header } = JSON.parse(await ours.etcdctl("get", "big", "-w", "json")) as { header: { revision: number } };
    const before = (await stat(join(ours.dataDir, "member/store.mdb"))).size;
    await ours.etcdctl("compact", String(header.revision));
    await ours.etcdctl("del", "nothing");
    await ours.etcdctl("defrag");
    expect((await stat(join(ours.dataDir, "member/store.mdb"))).size).toBeLessThan(before / 3);
    await expect(ours.etcdctl("put", "small", "1")).rejects.toThrow("database space exceeded");
    expect(await ours.etcdctl("alarm", "disarm")).toContain("alarm:NOSPACE");
    expect(await ours.etcdctl("put", "small", "1")).toBe("OK\n");
    expect(await ours.etcdctl("get", "--prefix", "", "--keys-only")).toBe("big\n\nsmall\n\n");
  });

  it("a file that was defragmented is whole after a restart, and goes on growing", async () => {
    const dataDir = join(root, "defragmented");
    for (let round = 0; round < 3; round++) {
      await using ours = await startOurs([], dataDir);
      await ours.etcdctl("put", `round/${round}`, "1");
      await ours.etcdctl("defrag");
      await ours.etcdctl("put", `after/${round}`, "1");
      expect((await ours.etcdctl("get", "--prefix", "", "--keys-only")).split("\n\n")).toHaveLength(2 * round + 3);
    }
  });

  it("what a single member cannot do is refused in etcd's words", async () => {
    await using ours = await startOurs();
    await expect(ours.etcdctl("member", "remove", "1234")).rejects.toThrow("etcdserver: member not found");
    await expect(ours.etcdctl("member", "promote", "1234")).rejects.toThrow("etcdserver: member not found");
    await expect(ours.etcdctl("move-leader", "1234")).rejects.toThrow(/bad leader transferee|not leader/);
    await expect(ours.etcdctl("member", "add", "b", "--peer-urls=http://127.0.0.1:1")).rejects.toThrow("single member");
  });
});
