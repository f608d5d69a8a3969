import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createSeededRandom, sleep, systemClock } from "@coracle/base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRemoteStore } from "../src/index.ts";
import { Workload } from "./history/workload.ts";
import { leaderOf, makeClusterTls, Member, type ClusterTls } from "./members.ts";
import { freePort, hasEtcd, hasEtcdctl, startOurs } from "./running-etcd.ts";

const run = promisify(execFile);
let root: string;
let cert: ClusterTls;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "cor-cluster-"));
  cert = makeClusterTls(root);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function startCluster(prefix: string, flags: readonly string[] = []): Promise<readonly Member[]> {
  const names = ["a", "b", "c"].map((name) => `${prefix}${name}`);
  const clients: string[] = [];
  const peers: string[] = [];
  for (const _name of names) {
    clients.push(`https://127.0.0.1:${await freePort()}`);
    peers.push(`https://127.0.0.1:${await freePort()}`);
  }
  const cluster = names.map((name, at) => `${name}=${peers[at]}`).join(",");
  const members = names.map(
    (name, at) =>
      new Member({
        name,
        dir: root,
        tls: cert,
        clientUrl: clients[at] ?? "",
        peerUrl: peers[at] ?? "",
        cluster,
        flags,
      }),
  );
  for (const member of members) member.start();
  await leaderOf(members);
  return members;
}

describe.skipIf(!hasEtcd)("a real cluster of three, with TLS (needs Debian's etcd-server)", () => {
  it(
    "leaders killed, members stopped, history compacted: linearizable, the watch complete",
    { timeout: 120_000 },
    async () => {
      const members = await startCluster("h");
      const random = createSeededRandom(17);
      const store = createRemoteStore({
        endpoints: members.map(({ url }) => url),
        tls: cert.client,
        clock: systemClock,
        random,
      });
      try {
        const workload = new Workload([store], random);
        await workload.begin(6);
        for (let round = 0; round < 3; round++) {
          await sleep(systemClock, 300);
          const leader = await leaderOf(members);
          await leader.kill();
          await leaderOf(members.filter((member) => member !== leader));
          await sleep(systemClock, 300);
          leader.start();
          const slow = members[round % 3] as Member;
          await leaderOf(members);
          slow.signal("SIGSTOP");
          await sleep(systemClock, 700);
          slow.signal("SIGCONT");
          await leaderOf(members);
          const seen = workload.watched;
          // What the watcher has is not needed any more, nor by the reads of now.
          await store
            .compact(Math.max(2, seen - 5))
            .catch((error: unknown) =>
              expect(String(error)).toMatch(/compacted|unavail|timed|time out|DEADLINE|deadline|leader|closed/i),
            );
        }
        await workload.end();
        expect(workload.faults()).toEqual([]);
        expect(workload.acknowledged).toBeGreaterThan(100);
      } finally {
        await store[Symbol.asyncDispose]();
        for (const member of members) await member.kill();
      }
    },
  );

  it(
    "a member that lost its leader says so, and watches and writes go on with the next one",
    { timeout: 90_000 },
    async () => {
      const members = await startCluster("l");
      const [first, ...others] = members as [Member, Member, Member];
      const store = createRemoteStore({ endpoints: [first.url], tls: cert.client, clock: systemClock });
      const seen: number[] = [];
      let isClosed = false;
      const sink = {
        events: (_: unknown, revision: number) => void seen.push(revision),
        closed: () => {
          isClosed = true;
        },
      };
      const put = (): Promise<{ readonly revision: number }> =>
        store.txn({ compare: [], success: [{ type: "put", key: "k", value: Buffer.from("1") }] });
      try {
        await store.watch({ key: "k" }, sink);
        const before = await put();
        for (const member of others) member.signal("SIGSTOP");
        while ((await first.leads()) !== undefined) await sleep(systemClock, 50);
        // It waits for a leader, where nothing of it was carried out.
        const later = put();
        await sleep(systemClock, 2_500);
        for (const member of others) member.signal("SIGCONT");
        const { revision } = await later;
        while (seen.at(-1) !== revision) await sleep(systemClock, 20);
        expect([seen, isClosed]).toEqual([[before.revision, revision], false]);
      } finally {
        for (const member of others) member.signal("SIGCONT");
        await store[Symbol.asyncDispose]();
        for (const member of members) await member.kill();
      }
    },
  );

  it("out of quota, writes fail with noSpace and reads go on", { timeout: 60_000 }, async () => {
    const members = await startCluster("q", ["--quota-backend-bytes=4000000"]);
    const store = createRemoteStore({ endpoints: members.map(({ url }) => url), tls: cert.client, clock: systemClock });
    try {
      const put = (n: number): Promise<unknown> =>
        store.txn({ compare: [], success: [{ type: "put", key: `k${n}`, value: Buffer.alloc(500_000, n) }] });
      const fill = async (): Promise<void> => {
        for (let n = 0; n < 40; n++) await put(n);
      };
      await expect(fill()).rejects.toMatchObject({ code: "noSpace" });
      expect((await store.range({ key: "k0" })).kvs[0]?.value).toHaveLength(500_000);
    } finally {
      await store[Symbol.asyncDispose]();
      for (const member of members) await member.kill();
    }
  });
});

describe.skipIf(!hasEtcdctl)("our server, with TLS", () => {
  it("asks for a certificate, whose common name is the user", async () => {
    await using ours = await startOurs([
      "--listen-client-urls=https://127.0.0.1:0",
      `--cert-file=${cert.files.cert}`,
      `--key-file=${cert.files.key}`,
      `--trusted-ca-file=${cert.files.ca}`,
      "--client-cert-auth",
    ]);
    const identity = [`--cert=${cert.files.clientCert}`, `--key=${cert.files.clientKey}`];
    const etcdctl = async (...args: string[]): Promise<string> => {
      const all = ["--endpoints", `https://${ours.endpoint}`, `--cacert=${cert.files.ca}`, ...args];
      return (await run("etcdctl", all, { env: { ...process.env, ETCDCTL_API: "3" } })).stdout;
    };
    for (const args of [
      ["user", "add", "root:secret"],
      ["user", "grant-role", "root", "root"],
      ["user", "add", "ada", "--no-password"],
      ["role", "add", "writer"],
      ["role", "grant-permission", "writer", "readwrite", "a"],
      ["user", "grant-role", "ada", "writer"],
      ["auth", "enable"],
    ]) {
      await etcdctl(...args, ...identity);
    }
    expect(await etcdctl("put", "a", "1", ...identity)).toBe("OK\n");
    await expect(etcdctl("put", "b", "1", ...identity)).rejects.toThrow("permission denied");
    expect(await etcdctl("put", "b", "1", ...identity, "--user=root:secret")).toBe("OK\n");
    await expect(etcdctl("put", "a", "1", "--command-timeout=1s", "--dial-timeout=1s")).rejects.toThrow();
  });
});
