import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { silentLogger, systemClock } from "@coracle/base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseEtcdFlags, runEtcd } from "../src/index.ts";
import { hasEtcd, startOurs, startReal, type RunningEtcd } from "./running-etcd.ts";

const run = promisify(execFile);
const found = spawnSync("etcdctl", ["version"], { env: { ...process.env, ETCDCTL_API: "3" } }).status === 0;

describe.skipIf(!found)("etcdctl, with our server", () => {
  let dataDir = "";
  let endpoint = "";
  const stop = new AbortController();
  let ended: Promise<void> | undefined;

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "cor-etcd-"));
    const flags = parseEtcdFlags([`--data-dir=${dataDir}`, "--listen-client-urls=http://127.0.0.1:0"]);
    await new Promise<void>((resolve, reject) => {
      ended = runEtcd({
        flags,
        clock: systemClock,
        logger: silentLogger,
        signal: stop.signal,
        onReady(server) {
          endpoint = `127.0.0.1:${server.ports[0]}`;
          resolve();
        },
      });
      ended.catch(reject);
    });
  });
  afterAll(async () => {
    stop.abort();
    await ended;
    await rm(dataDir, { recursive: true, force: true });
  });

  const etcdctl = async (...args: string[]): Promise<string> => {
    const { stdout } = await run("etcdctl", ["--endpoints", endpoint, ...args], {
      env: { ...process.env, ETCDCTL_API: "3" },
    });
    return stdout;
  };

  it("puts, gets by prefix, sorts, counts and deletes", async () => {
    await etcdctl("put", "k/a", "2");
    await etcdctl("put", "k/b", "1");
    expect(await etcdctl("get", "--prefix", "k/")).toBe("k/a\n2\nk/b\n1\n");
    expect(await etcdctl("get", "--prefix", "k/", "--sort-by=VALUE", "--order=ASCEND")).toBe("k/b\n1\nk/a\n2\n");
    expect(await etcdctl("get", "--prefix", "k/", "--keys-only", "--limit=1")).toBe("k/a\n\n");
    expect(await etcdctl("del", "--prefix", "k/", "--prev-kv")).toBe("2\nk/a\n2\nk/b\n1\n");
  });

  it("reads the past, until it is compacted", async () => {
    await etcdctl("put", "past", "1");
    const first = (JSON.parse(await etcdctl("get", "past", "-w", "json")) as { header: { revision: number } }).header;
    await etcdctl("put", "past", "2");
    expect(await etcdctl("get", "past", `--rev=${first.revision}`)).toBe("past\n1\n");
    await etcdctl("compact", String(first.revision + 1));
    await expect(etcdctl("get", "past", `--rev=${first.revision}`)).rejects.toThrow(
      "required revision has been compacted",
    );
  });

  it("grants a lease, whose keys go with it", async () => {
    const id = (await etcdctl("lease", "grant", "60")).split(" ")[1] ?? "";
    await etcdctl("put", `--lease=${id}`, "leased", "1");
    expect(await etcdctl("lease", "timetolive", id, "--keys")).toContain("attached keys([leased])");
    expect(await etcdctl("lease", "list")).toContain(id);
    expect(await etcdctl("lease", "keep-alive", "--once", id)).toContain("TTL(60)");
    await etcdctl("lease", "revoke", id);
    expect(await etcdctl("get", "leased")).toBe("");
  });

  it("tells its health, its status and its one member", async () => {
    await etcdctl("endpoint", "health");
    expect(await etcdctl("endpoint", "status", "-w", "simple")).toContain(", true, false,");
    expect(await etcdctl("member", "list")).toContain("started, default");
    expect(await (await fetch(`http://${endpoint}/health`)).json()).toEqual({ health: "true", reason: "" });
  });
});

/** A command's arguments, what it reads, and for those that go on by themselves, how many lines are enough. */
interface Told {
  readonly args: readonly string[];
  readonly input?: string;
  readonly lines?: number;
}

const tell = (line: string, more: Omit<Told, "args"> = {}): Told => ({ args: line.split(" "), ...more });

const STORY: readonly Told[] = [
  tell("put a 1"),
  tell("put a 2 --prev-kv"),
  tell("put b 1 -w json"),
  tell("put b 2 --prev-kv -w json"),
  tell("put fresh --ignore-value"),
  tell("put b --ignore-value"),
  tell("put b 3 --lease=1234"),
  tell("put"),
  { args: ["put", "c"], input: "from standard input" },
  { args: ["put", "with space", "ü\n"] },
  { args: ["put", "", "x"] },
  tell("get a"),
  tell("get a --print-value-only"),
  tell("get a -w fields"),
  tell("get a -w json"),
  tell("get a -w json --hex"),
  tell("get a c"),
  tell("get --from-key b"),
  tell("get --prefix"),
  { args: ["get", "--prefix", "", "--keys-only"] },
  { args: ["get", "--prefix", "", "--count-only", "-w", "fields"] },
  { args: ["get", "--prefix", "", "--limit=2", "--sort-by=MODIFY", "--order=DESCEND"] },
  { args: ["get", "--prefix", "", "--sort-by=VERSION", "--order=ASCEND", "--keys-only"] },
  { args: ["get", "--prefix", "", "--sort-by=CREATE", "--order=DESCEND", "--keys-only"] },
  { args: ["get", "--prefix", "", "--sort-by=VALUE", "--keys-only"] },
  tell("get a --rev=2"),
  tell("get a --rev=99"),
  tell("get a --consistency=s"),
  tell("get nothing"),
  tell("del nothing"),
  tell("del a --prev-kv"),
  tell("del b z --prev-kv"),
  { args: ["txn"], input: 'value("c") = "no"\n\nput yes 1\n\nput no 1\nget no\n\n' },
  { args: ["txn"], input: 'mod("no") > "0"\nver("no") = "1"\n\nget no\ndel no\n\nget x\n\n' },
  { args: ["txn", "-w", "json"], input: "\nput t 1\nput u 1\n\n\n" },
  { args: ["txn"], input: "\nput t 1\nput t 2\n\n\n" },
  tell("watch t --rev=2", { lines: 3 }),
  { args: ["watch", "--prefix", "", "--rev=2", "--prev-kv"], lines: 20 },
  tell("watch t --rev=2 -w json", { lines: 1 }),
  tell("endpoint hashkv"),
  tell("compact 5"),
  tell("compact 5"),
  tell("compact 999"),
  tell("get a --rev=3"),
  tell("watch t --rev=2", { lines: 1 }),
  tell("lease grant 100 -w fields"),
  tell("lease revoke 1234"),
  tell("lease timetolive 1234"),
  tell("lease keep-alive --once 1234"),
  tell("lease list"),
  { args: ["lock", "l", "echo", "held"] },
  { args: ["lock", "l", "--ttl=5", "false"] },
  tell("elect e first", { lines: 2 }),
  tell("elect -l e", { lines: 0 }),
  tell("member list"),
  tell("member list -w json"),
  tell("member remove 1234"),
  tell("member update 1234 --peer-urls=http://127.0.0.1:1"),
  tell("member promote 1234"),
  tell("endpoint health"),
  tell("endpoint status"),
  tell("alarm list"),
  tell("alarm disarm"),
  tell("defrag"),
  tell("move-leader 1234"),
  tell("snapshot save DIR/snapshot"),
  tell("snapshot status DIR/snapshot"),
  tell("snapshot restore DIR/snapshot --data-dir=DIR/restored"),
  tell("snapshot status DIR/none"),
  tell("make-mirror"),
  tell("role list"),
  tell("user list"),
  tell("version"),
];

/** What differs between any two servers: ids, terms, sizes, times. */
function evenOut(text: string, server: RunningEtcd): string {
  return (
    text
      .replaceAll(server.dataDir, "DIR")
      .replace(/^.*"(?:level|ts)":.*$/gm, "")
      .replace(/^\d{4}-\d\d-\d\d.*$/gm, "")
      .replace(/http:\/\/(?:127\.0\.0\.1|localhost):\d+/g, "URL")
      .replaceAll(server.endpoint, "ENDPOINT")
      .replace(/"ID" : \d+|\b\d{17,20}\b/g, "ID")
      .replace(/^(e|l)\/[0-9a-f]+/gm, "$1/ID")
      .replace(/\b[0-9a-f]{14,16}\b/g, "ID")
      // Of `endpoint status`: version, and how far the log of changes is. Of `snapshot status`: its sum, and how many entries etcd keeps for itself.
      .replace(/^(ENDPOINT, ID), [^,]+, (.*), \d+, \d+, \d+,? ?$/gm, "$1, $2")
      .replace(/^[0-9a-f]{6,8}, (\d+), \d+, /gm, "SUM, $1, ")
      .replace(/took [^ \n]+|took = .*|\d+(?:\.\d+)?[mµ]?s\b/g, "TOOK")
      .replace(/"?(?:raft_term|RaftTerm|raftTerm)"? ?: ?\d+/gi, "TERM")
      .replace(/\d+(?:\.\d+)? [kM]B/g, "SIZE")
      .trim()
  );
}

async function said(server: RunningEtcd, { args, input, lines }: Told): Promise<string> {
  const words = args.map((word) => word.replaceAll("DIR", server.dataDir));
  const child = spawn(
    "etcdctl",
    ["--endpoints", server.endpoint, "--command-timeout=30s", "--dial-timeout=10s", ...words],
    {
      env: { ...process.env, ETCDCTL_API: "3" },
    },
  );
  let [out, complaint] = ["", ""];
  const count = (): void => {
    if (lines !== undefined && out.split("\n").length > lines) child.kill("SIGKILL");
  };
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
    if (lines !== 0) count();
  });
  child.stderr.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
  // Most do not read.
  child.stdin.on("error", () => {});
  child.stdin.end(input ?? "");
  if (lines === 0) child.kill("SIGKILL");
  await once(child, "close");
  const enough = lines === undefined ? out : out.split("\n").slice(0, lines).join("\n");
  return evenOut(`${enough}\n${complaint}`, server);
}

describe.skipIf(!found || !hasEtcd)("each command of etcdctl", () => {
  it("says of our server what it says of etcd", { timeout: 90_000 }, async () => {
    await using ours = await startOurs();
    await using real = await startReal();
    const story = async (server: RunningEtcd): Promise<string[]> => {
      const told: string[] = [];
      for (const each of STORY) told.push(`${each.args.join(" ")}\n${await said(server, each)}`);
      return told;
    };
    const [here, there] = await Promise.all([story(ours), story(real)]);
    expect(here).toEqual(there);
  });
});
