import { spawnSync } from "node:child_process";
import type { BenchOptions } from "../options.ts";
import { median, report } from "../report.ts";
import { benchNode, benchPod } from "./bench-objects.ts";
import { CoreCluster } from "./core-cluster.ts";
import { workloads, type Workload } from "./workloads.ts";

const TURNS = 8;

/** Pods by the clock, and for CPU time of the whole process. */
interface Rate {
  readonly perSecond: number;
  readonly perCpuSecond: number;
}

/**
 * The core by itself, in this process: no API server, no queue. Rates of upstream's workloads, how they grow, what an
 * unschedulable pod costs the others, and what a large cluster takes of memory.
 */
export function benchSchedulerCore(options: BenchOptions): void {
  const isWanted = (metric: string): boolean => metric.includes(options.only);
  for (const workload of workloads()) {
    const metric = `core: ${workload.name}`;
    if (workload.intruder === undefined && isWanted(metric))
      reportRate(
        metric,
        times(options.runs, () => run(workload)),
      );
  }
  for (const nodes of [5_000, 50_000]) {
    const metric = `core: basic, ${nodes.toLocaleString("en")} nodes`;
    if (isWanted(metric))
      reportRate(
        metric,
        times(options.runs, () => growth(nodes)),
      );
  }
  if (isWanted("core: unschedulable pods among 10,000")) reportUnschedulable(options.runs);
  const memory = "core: memory, 100,000 nodes with 1,000,000 pods";
  if (isWanted(memory)) reportMemory(memory);
}

const times = (runs: number, measure: () => Rate): Rate[] => Array.from({ length: runs }, measure);

function reportRate(metric: string, rates: readonly Rate[]): void {
  report({ bench: "scheduler", metric, value: median(rates.map(({ perSecond }) => perSecond)), unit: "pods/s" });
  const value = median(rates.map(({ perCpuSecond }) => perCpuSecond));
  report({ bench: "scheduler", metric, value, unit: "pods/CPU s" });
}

function rateOf(count: number, work: () => void): Rate {
  const start = process.hrtime.bigint();
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  return { perSecond: count / seconds, perCpuSecond: count / ((user + system) / 1e6) };
}

function run(workload: Workload): Rate {
  const cluster = new CoreCluster();
  cluster.setUp(workload);
  const pods = Array.from({ length: workload.measured }, (_, i) => workload.pod(i));
  let failed = 0;
  const rate = rateOf(pods.length, () => {
    for (const pod of pods) if (!(workload.byForce ? cluster.placeByForce(pod) : cluster.place(pod))) failed++;
  });
  if (failed > 0) throw new Error(`${workload.name}: ${failed} pods found no place`);
  return rate;
}

function growth(nodes: number): Rate {
  const cluster = new CoreCluster();
  for (let i = 0; i < nodes; i++) cluster.state.setNode(benchNode(i));
  for (let i = 0; i < 1_000; i++) cluster.place(benchPod());
  const pods = Array.from({ length: 10_000 }, () => benchPod());
  return rateOf(pods.length, () => {
    for (const pod of pods) cluster.place(pod);
  });
}

/** What 10,000 pods took, and what the attempts of the one among them that fits nowhere. */
interface Mixed {
  readonly cpuSeconds: number;
  readonly attemptSeconds: number;
}

/** Places 10,000 pods, if asked with one that fits nowhere tried again after every hundredth. */
function placeMixed(isMixed: boolean): Mixed {
  const cluster = new CoreCluster();
  for (let i = 0; i < 5_000; i++) cluster.state.setNode(benchNode(i));
  for (let i = 0; i < 1_000; i++) cluster.place(benchPod());
  const pods = Array.from({ length: 10_000 }, () => benchPod());
  const large = benchPod({ containers: [{ name: "c", resources: { requests: { cpu: "1000" } } }] });
  cluster.place(large);
  const attempts: number[] = [];
  const { perCpuSecond } = rateOf(pods.length, () => {
    for (const [i, pod] of pods.entries()) {
      cluster.place(pod);
      if (!isMixed || i % 100 !== 0) continue;
      const start = process.hrtime.bigint();
      cluster.place(large);
      attempts.push(Number(process.hrtime.bigint() - start) / 1e9);
    }
  });
  // In the slowest tenth other programs had the core: those count as the others do.
  const counted = attempts.toSorted((a, b) => a - b).slice(0, Math.ceil(attempts.length * 0.9));
  const mean = counted.reduce((sum, each) => sum + each, 0) / Math.max(1, counted.length);
  return { cpuSeconds: pods.length / perCpuSecond, attemptSeconds: mean * attempts.length };
}

/**
 * What one pod that fits nowhere, tried again after every hundredth of the others, costs those: by the clock around its
 * attempts, and by CPU time with and without it. The second drowns on a busy machine: both are told.
 */
function reportUnschedulable(runs: number): void {
  const turns = Array.from({ length: runs * TURNS }, () => ({ plain: placeMixed(false), mixed: placeMixed(true) }));
  const middle = (what: (turn: (typeof turns)[number]) => number): number => median(turns.map((turn) => what(turn)));
  const plain = middle((turn) => turn.plain.cpuSeconds);
  const tell = (how: string, seconds: number): void =>
    report({
      bench: "scheduler",
      metric: `core: unschedulable pods among 10,000, ${how}`,
      value: (100 * seconds) / plain,
      unit: "%",
    });
  tell(
    "by the clock",
    middle((turn) => turn.mixed.attemptSeconds),
  );
  tell("by CPU time", middle((turn) => turn.mixed.cpuSeconds) - plain);
}

/** In a process of its own, with room for it. */
function reportMemory(metric: string): void {
  const result = spawnSync(
    process.execPath,
    ["--max-old-space-size=6144", process.argv[1] ?? "", "scheduler-memory", "--runs", "1"],
    { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" },
  );
  report({ bench: "scheduler", metric, value: Number(result.stdout.trim()), unit: "MB" });
}

/** Fills a cluster of 100,000 nodes with 1,000,000 pods and prints what the process takes, in MB. */
export function measureSchedulerMemory(): void {
  const cluster = new CoreCluster();
  for (let i = 0; i < 100_000; i++) cluster.state.setNode(benchNode(i));
  for (let i = 0; i < 1_000_000; i++) cluster.place(benchPod({}, { app: `a${i % 5_000}` }));
  process.stdout.write(`${Math.round(process.memoryUsage().rss / 1024 / 1024)}\n`);
}
