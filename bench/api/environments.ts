import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, systemClock } from "@coracle/base";
import { atExit } from "../interrupt.ts";
import { pssMegabytes } from "../process-usage.ts";
import { median } from "../report.ts";
import type { Findings } from "./api-measurement.ts";
import { ApiConnection, type Target } from "./connection.ts";
import { endProcess, freePort, untilReady, type PeerPrograms } from "./servers.ts";

const SIDE_BY_SIDE = 20;
const WATCHES = 20;
const TOKEN = "a-token-of-the-benchmark";
const SETTLE_MS = 2_000;
const HEALTHY_WITHIN_MS = 30_000;

/** Test environments as controller-runtime starts and stops them, with its flags. */
export async function measureEnvironments(
  find: Findings,
  programs: string | PeerPrograms | undefined,
  runs: number,
): Promise<void> {
  const [startMetric, stopMetric] = ["test environment, start", "test environment, stop with 20 watches open"];
  const memory = "20 test environments side by side";
  if (programs === undefined || ![startMetric, stopMetric, memory].some((metric) => find.wants(metric))) return;
  const assets = typeof programs === "string" ? assetsOf(programs) : programs;
  const [starts, stops]: number[][] = [[], []];
  for (let run = 0; run < runs; run++) {
    const environment = await TestEnvironment.start(assets);
    starts?.push(environment.readyMs);
    await environment.openWatches();
    stops?.push(await environment.stop());
  }
  find.set(startMetric, median(starts ?? []), "ms");
  find.set(stopMetric, median(stops ?? []), "ms");
  if (!find.wants(memory)) return;
  const environments: TestEnvironment[] = [];
  try {
    while (environments.length < SIDE_BY_SIDE) environments.push(await TestEnvironment.start(assets));
    await sleep(systemClock, SETTLE_MS);
    find.set(memory, pssMegabytes(environments.flatMap(({ pids }) => pids)), "MB PSS");
  } finally {
    for (const environment of environments) await environment.stop();
  }
}

/** The programs of the folder that `coracle envtest` prints. */
function assetsOf(coracle: string): PeerPrograms {
  const folder = execFileSync(process.execPath, [coracle, "envtest"], { encoding: "utf8" }).trim();
  return { kubeApiserver: join(folder, "kube-apiserver"), etcd: join(folder, "etcd") };
}

/** An etcd and an API server of their own. */
class TestEnvironment {
  readonly #children: ChildProcess[] = [];
  readonly #dir = mkdtempSync(join(tmpdir(), "coracle-bench-env-"));
  readonly #takeBack: () => void;
  #target: Target = { url: "", ca: "" };
  #connection: ApiConnection | undefined;
  readyMs = 0;

  private constructor() {
    this.#takeBack = atExit(() => {
      for (const child of this.#children) child.kill("SIGKILL");
      rmSync(this.#dir, { recursive: true, force: true });
    });
  }

  static async start(programs: PeerPrograms): Promise<TestEnvironment> {
    const environment = new TestEnvironment();
    try {
      await environment.#start(programs);
      return environment;
    } catch (error) {
      await environment.stop();
      throw error;
    }
  }

  get pids(): number[] {
    return this.#children.map(({ pid }) => pid as number);
  }

  async #start({ kubeApiserver, etcd }: PeerPrograms): Promise<void> {
    const [clients, port] = [await freePort(), await freePort()];
    const file = (name: string): string => join(this.#dir, name);
    const { privateKey, publicKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      privateKeyEncoding: { type: "pkcs1", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    });
    writeFileSync(file("sa.key"), privateKey);
    writeFileSync(file("sa.pub"), publicKey);
    writeFileSync(file("tokens.csv"), `${TOKEN},admin,1,"system:masters"\n`);
    mkdirSync(file("certs"));
    const begun = systemClock.monotonicMs();
    const url = `http://127.0.0.1:${clients}`;
    this.#run(etcd, [
      `--data-dir=${file("etcd")}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      "--listen-peer-urls=http://localhost:0",
      "--unsafe-no-fsync=true",
    ]);
    await untilHealthy(`${url}/health`);
    this.#run(kubeApiserver, [
      `--etcd-servers=${url}`,
      `--cert-dir=${file("certs")}`,
      `--secure-port=${port}`,
      "--bind-address=127.0.0.1",
      `--service-account-issuer=https://127.0.0.1:${port}/`,
      `--service-account-signing-key-file=${file("sa.key")}`,
      `--service-account-key-file=${file("sa.pub")}`,
      "--authorization-mode=RBAC",
      `--token-auth-file=${file("tokens.csv")}`,
      "--service-cluster-ip-range=10.0.0.0/24",
      "--allow-privileged=true",
    ]);
    // Whoever starts a server with a certificate of its own making has nothing to check it by.
    this.#target = { url: `https://127.0.0.1:${port}`, ca: "", token: TOKEN };
    await untilReady(this.#target, this.#children, begun);
    this.readyMs = systemClock.monotonicMs() - begun;
  }

  #run(command: string, args: readonly string[]): void {
    this.#children.push(spawn(command, args, { stdio: "ignore", cwd: this.#dir }));
  }

  async openWatches(): Promise<void> {
    this.#connection = await ApiConnection.open(this.#target);
    const path = "/api/v1/namespaces?watch=1";
    for (let i = 0; i < WATCHES; i++) {
      const stream = this.#connection.start({ method: "GET", path });
      stream.on("error", () => {});
      await new Promise((resolve) => stream.once("data", resolve));
    }
  }

  /** Ends the API server, then the store, as controller-runtime does; how long that took. */
  async stop(): Promise<number> {
    this.#takeBack();
    const begun = systemClock.monotonicMs();
    for (const child of this.#children.toReversed()) await endProcess(child);
    const took = systemClock.monotonicMs() - begun;
    this.#connection?.close();
    rmSync(this.#dir, { recursive: true, force: true });
    return took;
  }
}

async function untilHealthy(url: string): Promise<void> {
  const end = systemClock.monotonicMs() + HEALTHY_WITHIN_MS;
  const isHealthy = (): Promise<boolean> =>
    new Promise((resolve) => {
      get(url, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      }).on("error", () => resolve(false));
    });
  while (!(await isHealthy())) {
    if (systemClock.monotonicMs() > end) throw new Error("the store did not become healthy");
    await sleep(systemClock, 5);
  }
}
