import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { silentLogger, sleep, systemClock } from "@coracle/base";
import { parseEtcdFlags, runEtcd } from "../src/index.ts";

const run = promisify(execFile);
const environment = { ...process.env, ETCDCTL_API: "3" };

export const hasEtcdctl = spawnSync("etcdctl", ["version"], { env: environment }).status === 0;
export const hasEtcd = spawnSync("etcd", ["--version"]).status === 0;

/** A server, ours or etcd's. */
export interface RunningEtcd extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly endpoint: string;
  readonly dataDir: string;
  readonly etcdctl: (...args: string[]) => Promise<string>;
}

export async function etcdctl(endpoint: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run("etcdctl", ["--endpoints", endpoint, ...args], { env: environment });
  return stdout;
}

/** Our server in this process. Its directory goes with it, unless it is the caller's. */
export async function startOurs(args: readonly string[] = [], ownDataDir?: string): Promise<RunningEtcd> {
  const dataDir = ownDataDir ?? (await mkdtemp(join(tmpdir(), "cor-etcd-")));
  const flags = parseEtcdFlags([`--data-dir=${dataDir}`, "--listen-client-urls=http://127.0.0.1:0", ...args]);
  const stop = new AbortController();
  let ended: Promise<void> | undefined;
  const port = await new Promise<number>((resolve, reject) => {
    ended = runEtcd({
      flags,
      clock: systemClock,
      logger: silentLogger,
      signal: stop.signal,
      onReady: (server) => resolve(server.ports[0] ?? 0),
    });
    ended.catch(reject);
  });
  const endpoint = `127.0.0.1:${port}`;
  return {
    endpoint,
    dataDir,
    etcdctl: (...rest) => etcdctl(endpoint, rest),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      if (ownDataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A real etcd of one member. */
export async function startReal(args: readonly string[] = [], ownDataDir?: string): Promise<RunningEtcd> {
  const dataDir = ownDataDir ?? (await mkdtemp(join(tmpdir(), "etcd-")));
  const peer = `http://127.0.0.1:${await freePort()}`;
  const endpoint = `127.0.0.1:${await freePort()}`;
  const flags = [
    `--data-dir=${dataDir}`,
    `--listen-client-urls=http://${endpoint}`,
    `--advertise-client-urls=http://${endpoint}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    ...args,
  ];
  const child = spawn(process.env["ETCD_BINARY"] ?? "etcd", flags, { stdio: "ignore" });
  const isReady = (): Promise<boolean> =>
    fetch(`http://${endpoint}/health`).then(
      (response) => response.ok,
      () => false,
    );
  while (!(await isReady())) {
    if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode}`);
    await sleep(systemClock, 50);
  }
  return {
    endpoint,
    dataDir,
    etcdctl: (...rest) => etcdctl(endpoint, rest),
    async [Symbol.asyncDispose]() {
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
      if (ownDataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}
