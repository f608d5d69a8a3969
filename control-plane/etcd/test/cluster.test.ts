import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { loadEtcdCodec } from "@coracle/api";
import { createSeededRandom, sleep, systemClock } from "@coracle/base";
import { createAuthority } from "@coracle/pki";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRemoteStore, GrpcChannel, type ChannelTls } from "../src/index.ts";
import { faultsOf } from "./history-checker.ts";
import { freePort, hasEtcd, hasEtcdctl, startOurs } from "./running-etcd.ts";
import { Workload } from "./workload.ts";

const run = promisify(execFile);
let root: string;
let tls: ChannelTls;
let files: Readonly<Record<"ca" | "cert" | "key" | "clientCert" | "clientKey", string>>;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "cor-cluster-"));
  const now = systemClock.now();
  const times = { notBefore: now - 60_000, notAfter: now + 3_600_000 };
  const authority = createAuthority({ subject: { commonName: "etcd-ca" }, ...times });
  const server = authority.issue({
    subject: { commonName: "etcd" },
    usages: ["server", "client"],
    names: ["127.0.0.1", "localhost"],
    ...times,
  });
  const client = authority.issue({ subject: { commonName: "ada" }, usages: ["client"], ...times });
  tls = { ca: authority.cert, cert: client.cert, key: client.key };
  const path = (name: string): string => join(root, name);
  files = {
    ca: path("ca.crt"),
    cert: path("server.crt"),
    key: path("server.key"),
    clientCert: path("ada.crt"),
    clientKey: path("ada.key"),
  };
  const texts = [authority.cert, server.cert, server.key, client.cert, client.key];
  await Promise.all(Object.values(files).map((file, at) => writeFile(file, texts[at] ?? "")));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A member of a cluster of three, with TLS for clients and peers. */
class Member {
  readonly url: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  constructor(name: string, client: string, peer: string, cluster: string, more: readonly string[]) {
    this.url = client;
    this.#args = [
      `--name=${name}`,
      `--data-dir=${join(root, name)}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=${cluster}`,
      `--cert-file=${files.cert}`,
      `--key-file=${files.key}`,
      `--trusted-ca-file=${files.ca}`,
      "--client-cert-auth",
      `--peer-cert-file=${files.cert}`,
      `--peer-key-file=${files.key}`,
      `--peer-trusted-ca-file=${files.ca}`,
      "--peer-client-cert-auth",
      "--heartbeat-interval=50",
      "--election-timeout=500",
      ...more,
    ];
  }

  start(): void {
    this.#child = spawn("etcd", this.#args, { stdio: "ignore" });
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }

  /** Whether this one leads; undefined when it does not answer. */
  async leads(): Promise<boolean | undefined> {
    const channel = new GrpcChannel(new URL(this.url), { clock: systemClock, tls });
    try {
      const answer = await channel.unary("/etcdserverpb.Maintenance/Status", Buffer.alloc(0), { timeoutMs: 1_000 });
      const { header, leader = 0n } = loadEtcdCodec().decode("etcdserverpb.StatusResponse", answer);
      return leader === 0n ? undefined : header?.memberId === leader;
    } catch {
      return undefined;
    } finally {
      channel.disconnect();
    }
  }
}

async function startCluster(prefix: string, more: readonly string[] = []): Promise<readonly Member[]> {
  const names = ["a", "b", "c"].map((name) => `${prefix}${name}`);
  const clients: string[] = [];
  const peers: string[] = [];
  for (const _name of names) {
    clients.push(`https://127.0.0.1:${await freePort()}`);
    peers.push(`https://127.0.0.1:${await freePort()}`);
  }
  const cluster = names.map((name, at) => `${name}=${peers[at]}`).join(",");
  const members = names.map((name, at) => new Member(name, clients[at] ?? "", peers[at] ?? "", cluster, more));
  for (const member of members) member.start();
  await leaderOf(members);
  return members;
}

async function leaderOf(members: readonly Member[]): Promise<Member> {
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop
    const leads = await Promise.all(members.map((member) => member.leads()));
    const leader = members[leads.indexOf(true)];
    if (leader !== undefined) return leader;
    // oxlint-disable-next-line no-await-in-loop
    await sleep(systemClock, 50);
  }
}

describe.skipIf(!hasEtcd)("a real cluster of three, with TLS (needs Debian's etcd-server)", () => {
  it(
    "leaders killed, members stopped, history compacted: linearizable, the watch complete",
    { timeout: 120_000 },
    async () => {
      const members = await startCluster("h");
      const random = createSeededRandom(17);
      const store = createRemoteStore({ endpoints: members.map(({ url }) => url), tls, clock: systemClock, random });
      try {
        const workload = new Workload(store, random);
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
          const seen = workload.deliveries.at(-1)?.revision ?? 2;
          // What the watcher has is not needed any more, nor by the reads of now.
          await store
            .compact(Math.max(2, seen - 5))
            .catch((error: unknown) =>
              expect(String(error)).toMatch(/compacted|unavail|timed|time out|DEADLINE|deadline|leader|closed/i),
            );
        }
        await workload.end();
        expect(workload.watchFault).toBeUndefined();
        expect(faultsOf(workload.operations, workload.deliveries)).toEqual([]);
        expect(workload.acknowledged).toBeGreaterThan(100);
      } finally {
        await store[Symbol.asyncDispose]();
        for (const member of members) await member.kill();
      }
    },
  );

  it("out of quota, writes fail with noSpace and reads go on", { timeout: 60_000 }, async () => {
    const members = await startCluster("q", ["--quota-backend-bytes=4000000"]);
    const store = createRemoteStore({ endpoints: members.map(({ url }) => url), tls, clock: systemClock });
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
      `--cert-file=${files.cert}`,
      `--key-file=${files.key}`,
      `--trusted-ca-file=${files.ca}`,
      "--client-cert-auth",
    ]);
    const identity = [`--cert=${files.clientCert}`, `--key=${files.clientKey}`];
    const etcdctl = async (...args: string[]): Promise<string> => {
      const all = ["--endpoints", `https://${ours.endpoint}`, `--cacert=${files.ca}`, ...args];
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
