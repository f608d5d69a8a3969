import { sleep, systemClock, TaskScope } from "@coracle/base";
import { startOurs, startPeer, type BenchServer } from "../api/servers.ts";
import type { BenchOptions } from "../options.ts";
import { cpuSeconds } from "../process-usage.ts";
import { median, note, report } from "../report.ts";
import { benchNode, benchPod, PLAIN_ADMISSION } from "./bench-objects.ts";
import { ServedCluster, type Command } from "./served-cluster.ts";
import { workloads, type Workload } from "./workloads.ts";

const IDLE_NODES = 5_000;
/** What is left of the start is collected ten seconds after it, at most twice. */
const IDLE_SETTLE_MS = 30_000;
const IDLE_MS = 20_000;
/** Upstream is given fewer pods: it takes long. */
const PEER_PODS = 1_000;
const INTRUDER_EVERY_MS = 200;

/** Measured through an API server, too. */
const SERVED: ReadonlySet<string> = new Set([
  "SchedulingBasic 5000Nodes_10000Pods",
  "SchedulingNodeAffinity 5000Nodes_10000Pods",
  "TopologySpreading 5000Nodes_5000Pods",
  "SchedulingPodAffinity 5000Nodes_5000Pods",
  "SchedulingPodAntiAffinity 5000Nodes_2000Pods",
  "PreemptionBasic 1000Nodes",
  "PreemptionAsync 5000Nodes",
  "Unschedulable 5kNodes/100Init/10kPods",
]);

interface Served {
  readonly perSecond: number;
  /** API server, store and scheduler together. */
  readonly cpuMsPerPod: number;
}

/** Schedulers with an API server: the rate from the first create to the last binding, CPU until the last event is written. */
export async function benchServedScheduler(options: BenchOptions): Promise<void> {
  for (const workload of workloads()) {
    const metric = `through the API server: ${workload.name}`;
    if (!SERVED.has(workload.name) || !metric.includes(options.only)) continue;
    const [ours, peers]: [Served[], Served[]] = [[], []];
    for (let i = 0; i < options.runs; i++) {
      ours.push(await measure(() => startOurs(options.coracle, [PLAIN_ADMISSION]), oursAt(options), workload, metric));
      const { peer, peerScheduler } = options;
      if (peer === undefined || peerScheduler === undefined) continue;
      const fewer = fewerPods(workload);
      peers.push(await measure(() => startPeer(peer, [PLAIN_ADMISSION]), [peerScheduler], fewer, `${metric}, peer`));
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
  const idle = `through the API server: idle scheduler, ${IDLE_NODES} nodes`;
  if (!idle.includes(options.only)) return;
  const value = await measureIdle(options);
  report({ bench: "scheduler", metric: idle, value, unit: "% of a core" });
}

/** Where pods must leave or cannot fit, those that are there before are what counts. */
function fewerPods(workload: Workload): Workload {
  const isFull = workload.byForce || workload.intruder !== undefined;
  const initPods = isFull ? workload.initPods : Math.min(workload.initPods, PEER_PODS);
  return { ...workload, initPods, measured: PEER_PODS };
}

const oursAt = ({ coracle }: BenchOptions): Command => [process.execPath, coracle, "kube-scheduler"];

async function measureIdle(options: BenchOptions): Promise<number> {
  await using server = await startOurs(options.coracle);
  await using cluster = ServedCluster.open(server, oursAt(options));
  await cluster.addNodes(IDLE_NODES, (i) => benchNode(i));
  await sleep(systemClock, IDLE_SETTLE_MS);
  const before = cpuSeconds([cluster.schedulerPid]);
  await sleep(systemClock, IDLE_MS);
  return ((cpuSeconds([cluster.schedulerPid]) - before) * 100) / (IDLE_MS / 1000);
}

async function measure(
  start: () => Promise<BenchServer>,
  command: Command,
  workload: Workload,
  metric: string,
): Promise<Served> {
  await using server = await start();
  await using cluster = ServedCluster.open(server, command);
  await setUp(cluster, workload);
  await using intruders = new TaskScope();
  const { intruder, measured } = workload;
  if (intruder !== undefined) {
    intruders.run(async (signal) => {
      for (;;) {
        await sleep(systemClock, INTRUDER_EVERY_MS, signal);
        await cluster.addPods(1, intruder);
      }
    });
  }
  const pods = Array.from({ length: measured }, (_, i) => workload.pod(i));
  note(`${metric}: ${measured} pods`);
  const cpuMs = (pids: readonly number[]): number => (cpuSeconds(pids) * 1000) / measured;
  const parts = [server.pids, [cluster.schedulerPid], [process.pid]];
  const before = parts.map(cpuMs);
  const startedAt = systemClock.monotonicMs();
  const secondsNow = (): number => (systemClock.monotonicMs() - startedAt) / 1000;
  await cluster.addPods(measured, (i) => pods[i] ?? workload.pod(i));
  const madeIn = secondsNow();
  await cluster.placed(pods);
  const seconds = secondsNow();
  const [serverBound, schedulerBound] = parts.map((pids, i) => cpuMs(pids) - before[i]!);
  await intruders[Symbol.asyncDispose]();
  // Schedulers tell of it beside or after their work: that is work, too.
  const namespaces = new Set(pods.map(({ metadata: { namespace = "" } }) => namespace));
  const events = await cluster.events(namespaces);
  await cluster.told(namespaces);
  const [serverMs, schedulerMs, loadMs] = parts.map((pids, i) => cpuMs(pids) - before[i]!) as [number, number, number];
  const served = { perSecond: measured / seconds, cpuMsPerPod: serverMs + schedulerMs };
  note(
    `${metric}: ${served.perSecond.toFixed(0)} pods/s, made in ${madeIn.toFixed(1)} of ${seconds.toFixed(1)} s, told of by ` +
      `${secondsNow().toFixed(1)} s (${events} events before); CPU ms/pod: API server ${serverMs.toFixed(2)}, scheduler ` +
      `${schedulerMs.toFixed(2)} (${serverBound!.toFixed(2)} and ${schedulerBound!.toFixed(2)} before; the load ${loadMs.toFixed(2)})`,
  );
  return served;
}

/** Nodes, and the pods that are there before, all placed. */
async function setUp(cluster: ServedCluster, workload: Workload): Promise<void> {
  await cluster.addNodes(workload.nodes, (i) => workload.node(i));
  const init = Array.from({ length: workload.initPods }, (_, i) => workload.initPod(i));
  // One that shows that the scheduler has seen the nodes and works.
  const all = [benchPod({}, undefined, "warm"), ...init];
  const names = new Set([...all, workload.pod(0)].map(({ metadata: { namespace = "" } }) => namespace));
  for (const name of names) await cluster.addNamespace(name, workload.namespaces[name] ?? {});
  await cluster.addPods(all.length, (i) => all[i] ?? workload.initPod(i));
  await cluster.placed(all);
}
