import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pod } from "@coracle/api/core/v1";
import { sleep, systemClock } from "@coracle/base";
import { createHttpTransport, type Transport } from "@coracle/client";
import { kubeconfigOf } from "../api/kubeconfig.ts";
import { endProcess, type BenchServer } from "../api/servers.ts";
import { atExit } from "../interrupt.ts";
import { CREATING } from "./bench-objects.ts";

/** A program with its arguments. */
export type Command = readonly [command: string, ...args: string[]];

const POLL_MS = 50;
/** Nothing came for so long: nothing comes any more. */
const SETTLED_MS = 500;
const UNPLACED = "/api/v1/pods?fieldSelector=spec.nodeName%3D";

/** A scheduler at a server, and what is put before it. */
export class ServedCluster implements AsyncDisposable {
  readonly #transport: Transport;
  readonly #scheduler: ChildProcess;
  readonly #dir: string;
  readonly #takeBack: () => void;

  private constructor(transport: Transport, scheduler: ChildProcess, dir: string) {
    this.#transport = transport;
    this.#scheduler = scheduler;
    this.#dir = dir;
    this.#takeBack = atExit(() => {
      scheduler.kill("SIGKILL");
      rmSync(dir, { recursive: true, force: true });
    });
  }

  static open({ admin }: BenchServer, [command, ...args]: Command): ServedCluster {
    const transport = createHttpTransport({ server: admin.url, ca: admin.ca, ...admin.client });
    const dir = mkdtempSync(join(tmpdir(), "coracle-bench-"));
    const kubeconfig = join(dir, "kubeconfig");
    writeFileSync(kubeconfig, JSON.stringify(kubeconfigOf(admin)));
    const flags = [`--kubeconfig=${kubeconfig}`, "--leader-elect=false", "--secure-port=0", "--kube-api-qps=50000"];
    const log = openSync(join(dir, "scheduler.log"), "w");
    const limits = ["--kube-api-burst=50000"];
    const scheduler = spawn(command, [...args, ...flags, ...limits], { stdio: ["ignore", log, log], cwd: dir });
    return new ServedCluster(transport, scheduler, dir);
  }

  get schedulerPid(): number {
    return this.#scheduler.pid as number;
  }

  async addNamespace(name: string, labels: Readonly<Record<string, string>>): Promise<void> {
    await this.#request("POST", "/api/v1/namespaces", { metadata: { name, labels } });
  }

  async addNodes(count: number, nodeAt: (i: number) => object): Promise<void> {
    await this.#create(count, () => "/api/v1/nodes", nodeAt);
  }

  /** Makes pods, as many at once as upstream's benchmark does. */
  async addPods(count: number, podAt: (i: number) => Pod): Promise<void> {
    const pods = Array.from({ length: count }, (_, i) => podAt(i));
    await this.#create(
      count,
      (i) => `/api/v1/namespaces/${pods[i]?.metadata.namespace}/pods`,
      (i) => asWritten(pods[i] as Pod),
    );
  }

  async #create(count: number, pathOf: (i: number) => string, objectAt: (i: number) => object): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      for (let i = next++; i < count; i = next++) await this.#request("POST", pathOf(i), objectAt(i));
    };
    await Promise.all(Array.from({ length: CREATING }, work));
  }

  /** Returns when all these pods have nodes. The last one made tells when to look at all: a list costs the server a lot. */
  async placed(pods: readonly Pod[]): Promise<void> {
    let left = pods.toReversed();
    while (left.length > 0) {
      const [last] = left;
      if (last !== undefined) await this.#until(async () => this.#isPlaced(last));
      const unplaced = await this.#unplaced();
      left = left.filter(({ metadata: { namespace, name } }) => unplaced.has(`${namespace}/${name}`));
    }
  }

  /** Returns when no more events of these namespaces come. */
  async told(namespaces: ReadonlySet<string>): Promise<void> {
    for (let [count, before] = [await this.events(namespaces), -1]; count !== before;) {
      before = count;
      await sleep(systemClock, SETTLED_MS);
      count = await this.events(namespaces);
    }
  }

  /** How many events of these namespaces there are. */
  async events(namespaces: ReadonlySet<string>): Promise<number> {
    let count = 0;
    for (const name of namespaces) {
      const text = await this.#request("GET", `/api/v1/namespaces/${name}/events?limit=1`);
      const { metadata, items } = JSON.parse(text) as { metadata: { remainingItemCount?: number }; items: object[] };
      count += items.length + (metadata.remainingItemCount ?? 0);
    }
    return count;
  }

  async #isPlaced({ metadata: { namespace, name } }: Pod): Promise<boolean> {
    const pod = JSON.parse(await this.#request("GET", `/api/v1/namespaces/${namespace}/pods/${name}`)) as Pod;
    return (pod.spec.nodeName ?? "") !== "";
  }

  /** Keys of the pods without a node. */
  async #unplaced(): Promise<ReadonlySet<string>> {
    const { items } = JSON.parse(await this.#request("GET", UNPLACED)) as { items: Pod[] };
    return new Set(items.map(({ metadata: { namespace, name } }) => `${namespace}/${name}`));
  }

  async #until(isTrue: () => Promise<boolean>): Promise<void> {
    while (!(await isTrue())) {
      if (this.#scheduler.exitCode !== null) throw new Error("the scheduler ended");
      await sleep(systemClock, POLL_MS);
    }
  }

  async #request(method: string, path: string, object?: object): Promise<string> {
    const body = object === undefined ? undefined : Buffer.from(JSON.stringify(object));
    const headers: Record<string, string> = { accept: "application/json" };
    if (body !== undefined) {
      headers["content-type"] = "application/json";
      headers["content-length"] = String(body.length);
    }
    const response = await this.#transport.request({ method, path, headers, body });
    const chunks: Buffer[] = [];
    for await (const chunk of response.body) chunks.push(chunk);
    if (response.status < 300) return Buffer.concat(chunks).toString();
    throw new Error(`${method} ${path}: ${response.status} ${Buffer.concat(chunks).toString().slice(0, 300)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#takeBack();
    await this.#transport[Symbol.asyncDispose]();
    await endProcess(this.#scheduler);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Without what the API server completes. */
function asWritten({ metadata: { uid: _, ...metadata }, spec }: Pod): object {
  const { schedulerName: _name, tolerations: _tolerations, priority, ...rest } = spec;
  return { metadata, spec: priority === 0 ? rest : { ...rest, priority } };
}
