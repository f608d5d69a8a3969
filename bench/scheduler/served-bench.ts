import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Pod } from "@coracle/api/core/v1";
import { sleep, systemClock } from "@coracle/base";
import { ApiConnection } from "../api/connection.ts";
import { kubeconfigOf } from "../api/kubeconfig.ts";
import { endProcess, startOurs, startPeer, type BenchServer } from "../api/servers.ts";
import { atExit } from "../interrupt.ts";
import type { BenchOptions } from "../options.ts";
import { cpuSeconds } from "../process-usage.ts";
import { median, note, report } from "../report.ts";
import { benchNode, benchPod } from "./core-cluster.ts";

const NODES = 5_000;
const PODS = 5_000;
const ZONES = 10;
const CREATING = 32;
const POLL_MS = 200;
const IDLE_MS = 20_000;
const NAMESPACE = "bench";
const PODS_PATH = `/api/v1/namespaces/${NAMESPACE}/pods`;

/** What pods ask for, named as upstream's workloads are. */
const WORKLOADS: readonly { readonly name: string; readonly spec: () => Partial<Pod["spec"]> }[] = [
  { name: "SchedulingBasic", spec: () => ({}) },
  {
    name: "SchedulingNodeAffinity",
    spec: () => ({
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [
              {
                matchExpressions: [{ key: "topology.kubernetes.io/zone", operator: "In", values: ["zone1", "zone2"] }],
              },
            ],
          },
        },
      },
    }),
  },
  {
    name: "SchedulingPodAntiAffinity",
    spec: () => ({
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "bench" } } },
          ],
        },
      },
    }),
  },
  {
    name: "TopologySpreading",
    spec: () => ({
      topologySpreadConstraints: [
        {
          maxSkew: 5,
          topologyKey: "topology.kubernetes.io/zone",
          whenUnsatisfiable: "DoNotSchedule",
          labelSelector: { matchLabels: { app: "bench" } },
        },
      ],
    }),
  },
];

interface Served {
  readonly perSecond: number;
  /** API server, store and scheduler together. */
  readonly cpuMsPerPod: number;
}

/** Schedulers with an API server and 5,000 nodes: from the first create to the last binding. */
export async function benchServedScheduler(options: BenchOptions): Promise<void> {
  for (const { name, spec } of WORKLOADS) {
    const metric = `through the API server: ${name} ${NODES}Nodes_${PODS}Pods`;
    if (!metric.includes(options.only)) continue;
    const [ours, peers]: [Served[], Served[]] = [[], []];
    for (let i = 0; i < options.runs; i++) {
      ours.push(await measure(() => startOurs(options.coracle), oursAt(options), spec, metric));
      const peer = peerAt(options);
      if (peer === undefined) continue;
      peers.push(await measure(() => startPeer(peer.programs), peer.command, spec, `${metric}, peer`));
    }
    for (const [field, unit] of [
      ["perSecond", "pods/s"],
      ["cpuMsPerPod", "CPU ms/pod"],
    ] as const) {
      const value = median(ours.map((each) => each[field]));
      const peer = peers.length === 0 ? {} : { peer: median(peers.map((each) => each[field])) };
      report({ bench: "scheduler", metric, value, unit, ...peer });
    }
  }
  const idle = `through the API server: idle scheduler, ${NODES} nodes`;
  if (!idle.includes(options.only)) return;
  const value = await measureIdle(options);
  report({ bench: "scheduler", metric: idle, value, unit: "% of a core" });
}

type Command = readonly [command: string, ...args: string[]];

const oursAt = ({ coracle }: BenchOptions): Command => [process.execPath, coracle, "kube-scheduler"];

function peerAt({ peer, peerScheduler }: BenchOptions) {
  return peer === undefined || peerScheduler === undefined
    ? undefined
    : { programs: peer, command: [peerScheduler] as const };
}

async function measureIdle(options: BenchOptions): Promise<number> {
  await using server = await startOurs(options.coracle);
  await using cluster = await BenchCluster.open(server, oursAt(options));
  await cluster.addNodes();
  await sleep(systemClock, IDLE_MS / 4);
  const before = cpuSeconds([cluster.schedulerPid]);
  await sleep(systemClock, IDLE_MS);
  return ((cpuSeconds([cluster.schedulerPid]) - before) * 100) / (IDLE_MS / 1000);
}

async function measure(
  start: () => Promise<BenchServer>,
  command: Command,
  spec: () => Partial<Pod["spec"]>,
  metric: string,
): Promise<Served> {
  await using server = await start();
  await using cluster = await BenchCluster.open(server, command);
  await cluster.addNodes();
  // One that shows that the scheduler has seen the nodes and works.
  await cluster.addPods(1, () => ({ ...podOf({}), metadata: { name: "warm" } }));
  await cluster.allPlaced();
  const pids = [...server.pids, cluster.schedulerPid];
  const cpuBefore = cpuSeconds(pids);
  const startedAt = systemClock.monotonicMs();
  const pod = podOf(spec());
  await cluster.addPods(PODS, (i) => ({ ...pod, metadata: { name: `p${i}`, labels: { app: "bench" } } }));
  await cluster.allPlaced();
  const seconds = (systemClock.monotonicMs() - startedAt) / 1000;
  const served = {
    perSecond: PODS / seconds,
    cpuMsPerPod: ((cpuSeconds(pids) - cpuBefore) * 1000) / PODS,
  };
  note(`${metric}: ${served.perSecond.toFixed(0)} pods/s, ${served.cpuMsPerPod.toFixed(2)} CPU ms/pod`);
  return served;
}

/** Nobody says of these nodes that they are ready. */
const podOf = (spec: Partial<Pod["spec"]>): Pod =>
  benchPod({ ...spec, automountServiceAccountToken: false, tolerations: [{ operator: "Exists" }] });

/** A scheduler at a server, and what is put before it. */
class BenchCluster implements AsyncDisposable {
  readonly #connection: ApiConnection;
  readonly #scheduler: ChildProcess;
  readonly #dir: string;
  readonly #takeBack: () => void;

  private constructor(connection: ApiConnection, scheduler: ChildProcess, dir: string) {
    this.#connection = connection;
    this.#scheduler = scheduler;
    this.#dir = dir;
    this.#takeBack = atExit(() => {
      scheduler.kill("SIGKILL");
      rmSync(dir, { recursive: true, force: true });
    });
  }

  static async open({ admin }: BenchServer, [command, ...args]: Command): Promise<BenchCluster> {
    const connection = await ApiConnection.open(admin);
    const create = (path: string, body: object): Promise<string> =>
      connection.request({ method: "POST", path, body: JSON.stringify(body) });
    await create("/api/v1/namespaces", { metadata: { name: NAMESPACE } });
    await create(`/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, { metadata: { name: "default" } });
    const dir = mkdtempSync(join(tmpdir(), "coracle-bench-"));
    const kubeconfig = join(dir, "kubeconfig");
    writeFileSync(kubeconfig, JSON.stringify(kubeconfigOf(admin)));
    const flags = [`--kubeconfig=${kubeconfig}`, "--leader-elect=false", "--secure-port=0", "--kube-api-qps=50000"];
    const log = openSync(join(dir, "scheduler.log"), "w");
    const limits = ["--kube-api-burst=50000"];
    const scheduler = spawn(command, [...args, ...flags, ...limits], { stdio: ["ignore", log, log], cwd: dir });
    return new BenchCluster(connection, scheduler, dir);
  }

  get schedulerPid(): number {
    return this.#scheduler.pid as number;
  }

  async addNodes(): Promise<void> {
    await this.#create(NODES, "/api/v1/nodes", (i) =>
      benchNode(i, { labels: { "topology.kubernetes.io/zone": `zone${i % ZONES}` } }),
    );
  }

  async addPods(count: number, podAt: (i: number) => Pod): Promise<void> {
    await this.#create(count, PODS_PATH, podAt);
  }

  async #create(count: number, path: string, objectAt: (i: number) => object): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < count)
        await this.#connection.request({ method: "POST", path, body: JSON.stringify(objectAt(next++)) });
    };
    await Promise.all(Array.from({ length: CREATING }, work));
  }

  async allPlaced(): Promise<void> {
    for (;;) {
      const path = `${PODS_PATH}?fieldSelector=spec.nodeName%3D&limit=1`;
      const { items } = JSON.parse(await this.#connection.request({ method: "GET", path })) as { items: unknown[] };
      if (items.length === 0) return;
      if (this.#scheduler.exitCode !== null) throw new Error("the scheduler ended");
      await sleep(systemClock, POLL_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#takeBack();
    this.#connection.close();
    await endProcess(this.#scheduler);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
