import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep, systemClock } from "@coracle/base";
import { clusterPaths, unpackClientProgram, type ClusterState } from "@coracle/cluster";
import { run } from "@coracle/linux";
import { busyboxImage, imageArchive } from "@coracle/testing";
import { ApiConnection, type Target } from "../api/connection.ts";
import { atExit } from "../interrupt.ts";

/** The image that the pods of these measurements run. */
export const IMAGE = "bench.example.com/busybox:1";

const NAME = `bench-${process.pid}`;
const DATA_DIR = `/var/lib/coracle/${NAME}`;
const KUBECONFIG = join(DATA_DIR, "kubeconfig/admin");
const PORT = 6443;
const WITHIN_MS = 120_000;

/** Milliseconds since the program started that a figure begins with. */
export type Milliseconds = number;

/** When what was reached, counted from the start of `coracle up`. */
export interface UpTimes {
  readonly apiReadyMs: Milliseconds;
  readonly nodeReadyMs: Milliseconds;
  /** `coracle up --detach` returned. */
  readonly returnedMs: Milliseconds;
}

/** A one-node cluster, driven by the command line and observed through its API. */
export class BenchCluster {
  readonly #coracle: string;
  readonly #takeBack: () => void;
  #connection: ApiConnection | undefined;

  constructor(coracle: string) {
    this.#coracle = coracle;
    this.#takeBack = atExit(() => {
      spawnSync(process.execPath, [coracle, "down", "--name", NAME], { env: environment() });
      rmSync(DATA_DIR, { recursive: true, force: true });
    });
  }

  /** Starts the cluster as people do, and looks on from outside. */
  async up(): Promise<UpTimes> {
    const startedAt = systemClock.monotonicMs();
    const elapsed = (): number => systemClock.monotonicMs() - startedAt;
    const up = this.coracle("up", "--detach").then(elapsed);
    // A failing start is told by the command; observing would only time out.
    const observed = this.#observe(elapsed);
    const first = await Promise.race([up.then(() => observed), observed]);
    return { ...first, returnedMs: await up };
  }

  async #observe(elapsed: () => number): Promise<{ apiReadyMs: number; nodeReadyMs: number }> {
    for (;;) {
      try {
        this.#connection = await ApiConnection.open(targetOf());
        await this.#connection.request({ method: "GET", path: "/readyz" });
        break;
      } catch (error) {
        this.#connection?.close();
        if (elapsed() > WITHIN_MS) throw error;
      }
      await sleep(systemClock, 10);
    }
    const apiReadyMs = elapsed();
    await this.watchUntil("/api/v1/nodes", (nodes) => [...nodes.values()].some(isReady));
    return { apiReadyMs, nodeReadyMs: elapsed() };
  }

  /** The connection of the observer, as admin. */
  get connection(): ApiConnection {
    if (this.#connection === undefined) throw new Error("the cluster is not up");
    return this.#connection;
  }

  /** Follows a collection until what is in it, by name, is as wanted. */
  async watchUntil(path: string, isDone: (objects: ReadonlyMap<string, Watched>) => boolean): Promise<void> {
    const stream = this.connection.start({ method: "GET", path: `${path}?watch=1` });
    const objects = new Map<string, Watched>();
    const timer = systemClock.after(WITHIN_MS, () => stream.destroy(new Error(`${path} did not become as wanted`)));
    try {
      let rest = "";
      stream.setEncoding("utf8");
      for await (const chunk of stream) {
        const lines = (rest + (chunk as string)).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          const { type, object } = JSON.parse(line) as { type: string; object: Watched };
          if (type === "DELETED") objects.delete(object.metadata.name);
          else objects.set(object.metadata.name, object);
        }
        if (isDone(objects)) return;
      }
      throw new Error(`the watch on ${path} ended`);
    } finally {
      timer[Symbol.dispose]();
      stream.destroy();
    }
  }

  async kubectl(input: string, ...args: string[]): Promise<void> {
    await run(kubectlProgram(), args, { env: { ...environment(), KUBECONFIG, HOME: DATA_DIR }, input });
  }

  /** Runs a command of coracle with the cluster's name; what it printed. */
  async coracle(command: string, ...args: string[]): Promise<string> {
    const all = [this.#coracle, command, ...args, "--name", NAME];
    const { stdout } = await run(process.execPath, all, { env: environment() });
    return stdout;
  }

  /** Pids of all processes. */
  async pids(): Promise<number[]> {
    return (JSON.parse(await this.coracle("status", "--json")) as ClusterState).processes.map(({ pid }) => pid);
  }

  /** Gives the node the image of the measurements. */
  async loadImage(): Promise<void> {
    const file = join(DATA_DIR, "bench-image.tar");
    writeFileSync(file, imageArchive({ [IMAGE]: busyboxImage() }));
    await this.coracle("image", "load", file);
    rmSync(file);
  }

  /** Ends the cluster; how long that took. */
  async down(): Promise<Milliseconds> {
    this.#connection?.close();
    this.#connection = undefined;
    const startedAt = systemClock.monotonicMs();
    await this.coracle("down");
    return systemClock.monotonicMs() - startedAt;
  }

  /** Forgets the cluster, but for the images of its node: the next one is new, on a machine that has them. */
  forget(): void {
    if (!existsSync(DATA_DIR)) return;
    for (const entry of readdirSync(DATA_DIR))
      if (entry !== "nodes") rmSync(join(DATA_DIR, entry), { recursive: true, force: true });
    const nodes = join(DATA_DIR, "nodes");
    for (const node of existsSync(nodes) ? readdirSync(nodes) : []) {
      const kept = clusterPaths({ dataDir: DATA_DIR, runDir: "" }).node(node).containers;
      for (const entry of readdirSync(join(nodes, node))) {
        const path = join(nodes, node, entry);
        if (path !== kept) rmSync(path, { recursive: true, force: true });
      }
    }
  }

  /** Ends the cluster if it runs, and removes all it kept. */
  async remove(): Promise<void> {
    this.#takeBack();
    await this.down();
    rmSync(DATA_DIR, { recursive: true, force: true });
  }
}

/** What a watch shows of an object, as far as these measurements look. */
export interface Watched {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** Whether a node or pod has the condition Ready. */
export function isReady({ status }: Watched): boolean {
  return status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false;
}

function environment(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [key, value] of Object.entries(process.env))
    if (value !== undefined && !/^(https?|all)_proxy$/i.test(key)) env[key] = value;
  return env;
}

let kubectlFile: string | undefined;

function kubectlProgram(): string {
  return (kubectlFile ??= unpackClientProgram("kubectl"));
}

/** The admin's kubeconfig is JSON, which is YAML, too. */
function targetOf(): Target {
  const { clusters, users } = JSON.parse(readFileSync(KUBECONFIG, "utf8")) as {
    readonly clusters: readonly [{ readonly cluster: Readonly<Record<string, string>> }];
    readonly users: readonly [{ readonly user: Readonly<Record<string, string>> }];
  };
  const decoded = (text: string | undefined): string => Buffer.from(text ?? "", "base64").toString();
  const { user } = users[0];
  return {
    url: `https://127.0.0.1:${PORT}`,
    ca: decoded(clusters[0].cluster["certificate-authority-data"]),
    client: { cert: decoded(user["client-certificate-data"]), key: decoded(user["client-key-data"]) },
  };
}

/** Starts nothing: makes sure that what is measured is not the unpacking of kubectl. */
export function unpackPrograms(): void {
  kubectlProgram();
}
