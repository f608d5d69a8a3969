import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { silentLogger, systemClock } from "@coracle/base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseEtcdFlags, runEtcd } from "../src/index.ts";

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
