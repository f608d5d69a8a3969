import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, systemClock } from "@coracle/base";
import { openClusterPki, type ClusterPki } from "@coracle/pki";
import { atExit } from "../interrupt.ts";
import { ApiConnection, type Target } from "./connection.ts";

/** An API server with an empty store of its own, on loopback. */
export interface BenchServer extends AsyncDisposable {
  /** The processes whose work is measured. */
  readonly pids: readonly number[];
  readonly admin: Target;
  /** From exec to `/readyz` answering 200. */
  readonly readyMs: number;
  /** Ends the processes in order and starts them again with the same data. */
  restart(): Promise<void>;
}

/** Paths of the peer's programs. */
export interface PeerPrograms {
  readonly kubeApiserver: string;
  readonly etcd: string;
}

/** An address that nobody is asked to reach: servers want one that is not loopback (RFC 5737). */
const ADVERTISED = "192.0.2.1";
const READY_WITHIN_MS = 60_000;
const END_WITHIN_MS = 20_000;

/** A port of loopback that was free a moment ago. */
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

type Start = (command: string, args: readonly string[], log: string) => ChildProcess;

/** Our API server with its embedded store, durable as always. */
export function startOurs(coracle: string, more: readonly string[] = []): Promise<BenchServer> {
  return startServer((dir, pki, port, start) => {
    const flags = [...commonFlags(pki, port), `--data-dir=${join(dir, "etcd")}`, ...more];
    return Promise.resolve([start(process.execPath, [coracle, "kube-apiserver", ...flags], "kube-apiserver")]);
  });
}

/** Upstream's API server with etcd. */
export function startPeer(programs: PeerPrograms, more: readonly string[] = []): Promise<BenchServer> {
  return startServer(async (dir, pki, port, start) => {
    const [clients, peers] = [await freePort(), await freePort()];
    const url = (at: number): string => `http://127.0.0.1:${at}`;
    const etcd = start(
      programs.etcd,
      [
        `--data-dir=${join(dir, "etcd")}`,
        `--listen-client-urls=${url(clients)}`,
        `--advertise-client-urls=${url(clients)}`,
        `--listen-peer-urls=${url(peers)}`,
        `--initial-advertise-peer-urls=${url(peers)}`,
        `--initial-cluster=default=${url(peers)}`,
      ],
      "etcd",
    );
    const flags = [...commonFlags(pki, port), `--etcd-servers=${url(clients)}`, ...more];
    return [start(programs.kubeApiserver, flags, "kube-apiserver"), etcd];
  });
}

async function startServer(
  launch: (dir: string, pki: ClusterPki, port: number, start: Start) => Promise<ChildProcess[]>,
): Promise<BenchServer> {
  const dir = mkdtempSync(join(tmpdir(), "coracle-bench-"));
  const pki = openClusterPki({ dir: join(dir, "pki"), apiServerNames: [], now: systemClock.now() });
  const port = await freePort();
  const logOf = (name: string): string => join(dir, `${name}.log`);
  const admin: Target = { url: `https://127.0.0.1:${port}`, ca: pki.ca.cert, client: pki.client("admin") };
  let children: ChildProcess[] = [];
  let readyMs = 0;
  const takeBack = atExit(() => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });
  const end = async (): Promise<void> => {
    for (const child of children) await endProcess(child);
  };
  const begin = async (): Promise<void> => {
    const startedAt = systemClock.monotonicMs();
    children = await launch(dir, pki, port, (command, args, name) => {
      const log = openSync(logOf(name), "w");
      return spawn(command, args, { stdio: ["ignore", log, log], cwd: dir });
    });
    await untilReady(admin, children, startedAt);
    readyMs = systemClock.monotonicMs() - startedAt;
  };
  const remove = async (): Promise<void> => {
    takeBack();
    await end();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await begin();
  } catch (cause) {
    const said = readFileSync(logOf("kube-apiserver"), "utf8").trim().split("\n").slice(-3).join("\n");
    await remove();
    throw new Error(`the API server did not become ready: ${said}`, { cause });
  }
  return {
    admin,
    get pids() {
      return children.map((child) => child.pid as number);
    },
    get readyMs() {
      return readyMs;
    },
    async restart() {
      await end();
      await begin();
    },
    [Symbol.asyncDispose]: remove,
  };
}

/** Asks a program to end, and ends it when it does not. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  child.kill("SIGTERM");
  const kill = systemClock.after(END_WITHIN_MS, () => child.kill("SIGKILL"));
  await gone;
  kill[Symbol.dispose]();
}

/** Returns when `/readyz` says so; throws when a process ended first. */
export async function untilReady(admin: Target, children: readonly ChildProcess[], startedAt: number): Promise<void> {
  for (;;) {
    try {
      const connection = await ApiConnection.open(admin);
      try {
        await connection.request({ method: "GET", path: "/readyz" });
        return;
      } finally {
        connection.close();
      }
    } catch (error) {
      const hasEnded = children.some((child) => child.exitCode !== null);
      if (hasEnded || systemClock.monotonicMs() - startedAt > READY_WITHIN_MS) throw error;
    }
    await sleep(systemClock, 5);
  }
}
