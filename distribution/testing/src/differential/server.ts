import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { sleep, systemClock } from "@coracle/base";
import { openClusterPki, type ClusterPki } from "@coracle/pki";
import { Connection, type Target } from "./connection.ts";

/** An API server with an empty store of its own, on loopback; all of it is gone when disposed of. */
export interface ServerUnderTest extends AsyncDisposable {
  /** As cluster administrator. */
  readonly target: Target;
  /** Its processes, the API server first. */
  readonly pids: readonly number[];
  /** Where its files are: the keys of the cluster below `pki`, what it wrote in `kube-apiserver.log`. */
  readonly dir: string;
  /** The end of what the API server wrote. */
  log(): string;
  readonly hasEnded: boolean;
  /** Sends a signal to the API server; resolves, with the code it ended with, when it has. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  /** Starts all that has ended again, with the same data; resolves when it is ready. */
  startAgain(): Promise<void>;
}

/** An address that nobody is asked to reach (RFC 5737): upstream's wants one that is not loopback. */
const ADVERTISED = "192.0.2.1";
const READY_WITHIN_MS = 120_000;
const END_WITHIN_MS = 5_000;
const LOG_BYTES = 4_000;

type Start = (name: string, command: string, args: readonly string[]) => ChildProcess;

/** A port of loopback that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

function commonFlags(pki: ClusterPki, port: number): string[] {
  return [
    `--advertise-address=${ADVERTISED}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    "--service-cluster-ip-range=10.96.0.0/16",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-signing-key-file=${pki.path("sa.key")}`,
    `--service-account-key-file=${pki.path("sa.pub")}`,
    `--client-ca-file=${pki.path("ca.crt")}`,
    `--tls-cert-file=${pki.path("apiserver.crt")}`,
    `--tls-private-key-file=${pki.path("apiserver.key")}`,
    "--authorization-mode=Node,RBAC",
  ];
}

/**
 * Ours: `coracle` is the command's file. `more`: flags beside the usual ones, or in their place, which may name files made in
 * the folder.
 */
export function startOurServer(
  coracle: string,
  more: (dir: string) => readonly string[] = () => [],
): Promise<ServerUnderTest> {
  return startServer((dir, pki, port, start) => {
    const given = more(dir);
    // A chain in a file and modes exclude each other.
    const taken = new Set(given.map(nameOf).map((name) => (name === "--authorization-config" ? MODES : name)));
    const usual = commonFlags(pki, port).filter((flag) => !taken.has(nameOf(flag)));
    const flags = [...usual, `--data-dir=${join(dir, "etcd")}`, ...given];
    return Promise.resolve([start("kube-apiserver", process.execPath, [resolve(coracle), "kube-apiserver", ...flags])]);
  });
}

const MODES = "--authorization-mode";
const nameOf = (flag: string): string => flag.replace(/=.*/s, "");

/** Upstream's programs; `etcd` may also be one that runs already. */
export function startPeerServer(programs: {
  readonly kubeApiserver: string;
  readonly etcd: string | { readonly url: string };
}): Promise<ServerUnderTest> {
  return startServer(async (dir, pki, port, start) => {
    if (typeof programs.etcd !== "string") {
      const onIt = [...commonFlags(pki, port), `--etcd-servers=${programs.etcd.url}`];
      return [start("kube-apiserver", programs.kubeApiserver, onIt)];
    }
    const [clients, peers] = [await freePort(), await freePort()];
    const url = (at: number): string => `http://127.0.0.1:${at}`;
    const etcd = start("etcd", programs.etcd, [
      `--data-dir=${join(dir, "etcd")}`,
      `--listen-client-urls=${url(clients)}`,
      `--advertise-client-urls=${url(clients)}`,
      `--listen-peer-urls=${url(peers)}`,
      `--initial-advertise-peer-urls=${url(peers)}`,
      `--initial-cluster=default=${url(peers)}`,
      "--unsafe-no-fsync",
    ]);
    const flags = [...commonFlags(pki, port), `--etcd-servers=${url(clients)}`];
    return [start("kube-apiserver", programs.kubeApiserver, flags), etcd];
  });
}

async function startServer(
  launch: (dir: string, pki: ClusterPki, port: number, start: Start) => Promise<ChildProcess[]>,
): Promise<ServerUnderTest> {
  const dir = mkdtempSync(join(tmpdir(), "coracle-differential-"));
  const pki = openClusterPki({ dir: join(dir, "pki"), apiServerNames: [], now: systemClock.now() });
  const port = await freePort();
  const begin = (): Promise<ChildProcess[]> =>
    launch(dir, pki, port, (name, command, args) => {
      const log = openSync(join(dir, `${name}.log`), "a");
      const child = spawn(command, args, { stdio: ["ignore", log, log], cwd: dir });
      closeSync(log);
      return child;
    });
  let children = await begin();
  const target: Target = { url: `https://127.0.0.1:${port}`, ca: pki.ca.cert, client: pki.client("admin") };
  const killAll = (): void => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  };
  process.once("exit", killAll);
  const server: ServerUnderTest = {
    target,
    dir,
    get pids() {
      return children.map((child) => child.pid ?? 0);
    },
    log: () => readFileSync(join(dir, "kube-apiserver.log"), "utf8").slice(-LOG_BYTES),
    get hasEnded() {
      return children.some((child) => child.exitCode !== null || child.signalCode !== null);
    },
    async end(signal) {
      const child = children[0] as ChildProcess;
      const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
      child.kill(signal);
      await gone;
      return child.exitCode;
    },
    async startAgain() {
      await Promise.all(children.map(endProcess));
      children = await begin();
      await untilReady(server);
    },
    async [Symbol.asyncDispose]() {
      process.off("exit", killAll);
      await Promise.all(children.map(endProcess));
      rmSync(dir, { recursive: true, force: true });
    },
  };
  try {
    await untilReady(server);
  } catch (cause) {
    const said = server.log();
    await server[Symbol.asyncDispose]();
    throw new Error(`the API server did not become ready: ${said}`, { cause });
  }
  return server;
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  child.kill("SIGTERM");
  const kill = systemClock.after(END_WITHIN_MS, () => child.kill("SIGKILL"));
  await gone;
  kill[Symbol.dispose]();
}

async function untilReady(server: ServerUnderTest): Promise<void> {
  const startedAt = systemClock.monotonicMs();
  for (;;) {
    if (server.hasEnded) throw new Error("it ended");
    try {
      const connection = await Connection.open(server.target);
      try {
        const { code } = await connection.send({ method: "GET", path: "/readyz" });
        if (code === 200) return;
      } finally {
        connection.close();
      }
    } catch (error) {
      if (systemClock.monotonicMs() - startedAt > READY_WITHIN_MS) throw error;
    }
    await sleep(systemClock, 50);
  }
}
