import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, systemClock } from "@coracle/base";
import { ApiConnection, type ApiCall } from "../api/connection.ts";
import { kubeconfigOf } from "../api/kubeconfig.ts";
import { endProcess, type BenchServer } from "../api/servers.ts";
import { atExit } from "../interrupt.ts";
import { NAMESPACE, paths, settings } from "./bench-objects.ts";
import { Nodes } from "./nodes.ts";

/** A program and its first arguments. */
export type Command = readonly [command: string, ...args: string[]];

/** Requests under way when many objects are made; a server may allow a hundred on one connection. */
const CREATING = 64;
const NODES = 100;
const POLL_MS = 50;
const WITHIN_MS = 600_000;
const SETTLE_MS = 2_000;

/** An API server with controllers, and what the workloads ask of it. */
export class ManagedCluster implements AsyncDisposable {
  readonly server: BenchServer;
  readonly #connection: ApiConnection;
  readonly #dir: string;
  readonly #children: ChildProcess[] = [];
  readonly #takeBack: () => void;
  #nodes: Nodes | undefined;

  private constructor(server: BenchServer, connection: ApiConnection) {
    this.server = server;
    this.#connection = connection;
    this.#dir = mkdtempSync(join(tmpdir(), "coracle-bench-"));
    this.#takeBack = atExit(() => {
      for (const child of this.#children) child.kill("SIGKILL");
      rmSync(this.#dir, { recursive: true, force: true });
    });
    writeFileSync(join(this.#dir, "kubeconfig"), JSON.stringify(kubeconfigOf(server.admin)));
    const { privateKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      privateKeyEncoding: { type: "pkcs1", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    });
    writeFileSync(join(this.#dir, "sa.key"), privateKey);
    writeFileSync(join(this.#dir, "ca.crt"), server.admin.ca);
  }

  /** With its controllers at work: accounts are made, and what has lost its owner is collected. */
  static async open(server: BenchServer, manager: Command): Promise<ManagedCluster> {
    const cluster = new ManagedCluster(server, await ApiConnection.open(server.admin));
    try {
      await cluster.#startManager(manager);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  async #startManager(manager: Command): Promise<void> {
    // Nobody renews the leases of simulated nodes.
    const nodes = ["--node-monitor-grace-period=2h", "--node-startup-grace-period=2h"];
    const keys = ["--service-account-private-key-file=sa.key", "--root-ca-file=ca.crt"];
    this.startComponent("kube-controller-manager", manager, [...nodes, ...keys]);
    await this.create("/api/v1/namespaces", { metadata: { name: NAMESPACE } });
    await this.until("a service account", async () => {
      return (
        (await this.#status({ method: "GET", path: `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default` })) === 200
      );
    });
    await this.untilCollecting();
    await sleep(systemClock, SETTLE_MS);
  }

  /** Starts a component as administrator. */
  startComponent(name: string, [command, ...args]: Command, flags: readonly string[] = []): ChildProcess {
    const log = openSync(join(this.#dir, `${name}.log`), "w");
    const common = ["--kubeconfig=kubeconfig", "--leader-elect=false", "--secure-port=0"];
    const child = spawn(command, [...args, ...common, ...flags], {
      stdio: ["ignore", log, log],
      cwd: this.#dir,
    });
    this.#children.push(child);
    return child;
  }

  get managerPid(): number {
    return this.#children[0]?.pid as number;
  }

  async request(call: ApiCall): Promise<string> {
    return await this.#connection.request(call);
  }

  async create(path: string, body: object): Promise<{ readonly metadata: { readonly uid: string } }> {
    return JSON.parse(await this.request({ method: "POST", path, body: JSON.stringify(body) })) as {
      metadata: { uid: string };
    };
  }

  /** Makes `count` objects, many at a time. */
  async createMany(count: number, path: string, objectAt: (i: number) => object): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < count) await this.create(path, objectAt(next++));
    };
    await Promise.all(Array.from({ length: CREATING }, work));
  }

  /** How many objects there are. */
  async count(path: string): Promise<number> {
    const text = await this.request({ method: "GET", path: `${path}?limit=1` });
    const { items, metadata } = JSON.parse(text) as {
      items: unknown[] | null;
      metadata: { remainingItemCount?: number };
    };
    return (items?.length ?? 0) + (metadata.remainingItemCount ?? 0);
  }

  /** How many writes the API server was asked for so far. */
  async countWrites(): Promise<number> {
    // The usual connection may have been closed: nobody asks for anything while watches tell.
    const connection = await this.connect();
    const metrics = await connection.request({ method: "GET", path: "/metrics" });
    connection.close();
    let writes = 0;
    for (const [, verb, count] of metrics.matchAll(/^apiserver_request_total\{.*verb="([A-Z]+)".*\} (\S+)$/gm))
      if (verb !== "GET" && verb !== "LIST" && verb !== "WATCH") writes += Number(count);
    return writes;
  }

  async isGone(path: string): Promise<boolean> {
    return (await this.#status({ method: "GET", path })) === 404;
  }

  async #status(call: ApiCall): Promise<number> {
    return await this.#connection.send(call);
  }

  /** Asks again and again; throws when it never comes true or the controllers ended. */
  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    const end = systemClock.monotonicMs() + WITHIN_MS;
    while (!(await isSo())) {
      if (this.#nodes?.failure !== undefined) throw new Error(`the simulated nodes: ${this.#nodes.failure}`);
      const ended = this.#children.some((child) => child.exitCode !== null);
      if (ended || systemClock.monotonicMs() > end) {
        const said = readFileSync(join(this.#dir, "kube-controller-manager.log"), "utf8").trim().split("\n").slice(-5);
        throw new Error(`${ended ? "the controllers ended" : `never seen: ${what}`}: ${said.join("\n")}`);
      }
      await sleep(systemClock, POLL_MS);
    }
  }

  /** Returns when what has lost its owner is collected: then the controllers have seen all kinds of objects. */
  async untilCollecting(): Promise<void> {
    const { uid } = (await this.create(paths.configMaps, settings(0, "data"))).metadata;
    const owner = { apiVersion: "v1", kind: "ConfigMap", name: "settings-0", uid };
    await this.create(paths.secrets, settings(0, "stringData", [owner]));
    await this.request({ method: "DELETE", path: `${paths.configMaps}/settings-0` });
    await this.until("a collected secret", () => this.isGone(`${paths.secrets}/settings-0`));
  }

  /** Nodes that run whatever pods there are. */
  async startNodes(): Promise<Nodes> {
    const nodes = new Nodes();
    this.#nodes = nodes;
    await nodes.run({ type: "start", target: this.server.admin, nodes: NODES });
    return nodes;
  }

  /** A connection of its own, for what is watched. */
  async connect(): Promise<ApiConnection> {
    return await ApiConnection.open(this.server.admin);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#takeBack();
    this.#connection.close();
    for (const child of this.#children) await endProcess(child);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
