import { sleep, systemClock } from "@coracle/base";
import { startOurs, startPeer, type BenchServer } from "../api/servers.ts";
import type { BenchOptions } from "../options.ts";
import { cpuSeconds, pssMegabytes } from "../process-usage.ts";
import { median, note, report } from "../report.ts";
import { paths, pod, settings } from "./bench-objects.ts";
import { ManagedCluster, type Command } from "./managed-cluster.ts";
import { workloads, type Workload } from "./workloads.ts";

const IDLE_OBJECTS = 10_000;
const IDLE_SETTLE_MS = 30_000;
const IDLE_MS = 30_000;
const SETTLE_MS = 3_000;
const QUIET_CPU_SECONDS = 0.03;
const QUIET_WITHIN_MS = 60_000;

/** Upstream's clients hold themselves back; ours do not. */
const UNLIMITED = ["--kube-api-qps=50000", "--kube-api-burst=50000"];

/** Whose controllers at whose API server. */
interface Side {
  readonly name: string;
  readonly start: () => Promise<BenchServer>;
  readonly manager: Command;
}

type Figures = Partial<Record<keyof typeof UNITS, number>>;

const UNITS = {
  seconds: ["", "s"],
  medianMs: [": from change to slice, median", "ms"],
  p99Ms: [": from change to slice, p99", "ms"],
  managerCpu: [": CPU of the controllers", "CPU s"],
  serverCpu: [": CPU of the API server and its store", "CPU s"],
  cpu: [": CPU together", "CPU s"],
  writes: [": writes, of everybody", "requests"],
} as const;

/**
 * Controllers at work on simulated nodes, and with nothing to do. Upstream's controllers, where they are given, are
 * measured at our API server, and at upstream's where that is given too.
 */
export async function benchControllers(options: BenchOptions): Promise<void> {
  const [ours, ...peers] = sidesOf(options);
  for (const workload of workloads) {
    if (!workload.name.includes(options.only)) continue;
    const found = new Map<Side, Figures[]>();
    for (let run = 0; run < options.runs; run++)
      for (const side of [ours, ...peers]) found.set(side, [...(found.get(side) ?? []), await measure(side, workload)]);
    const own = found.get(ours) ?? [];
    if (peers.length === 0) tell(workload.name, own);
    for (const peer of peers) tell(`${workload.name} (${peer.name})`, own, found.get(peer));
  }
  const idle = `idle beside the scheduler, ${IDLE_OBJECTS} objects`;
  if (idle.includes(options.only)) await measureIdle(options, ours, idle);
}

function sidesOf({ coracle, peer, peerControllerManager }: BenchOptions): readonly [Side, ...Side[]] {
  const startOwn = (): Promise<BenchServer> => startOurs(coracle);
  const command = (name: string): Command => [process.execPath, coracle, name];
  const ours: Side = { name: "ours", start: startOwn, manager: command("kube-controller-manager") };
  if (peerControllerManager === undefined) return [ours];
  const manager: Command = [peerControllerManager, ...UNLIMITED];
  const beside: Side = { name: "beside upstream's controllers at our API server", start: startOwn, manager };
  if (peer === undefined) return [ours, beside];
  return [ours, beside, { name: "beside upstream, whole", start: () => startPeer(peer), manager }];
}

async function measure(side: Side, workload: Workload): Promise<Figures> {
  await using server = await side.start();
  await using cluster = await ManagedCluster.open(server, side.manager);
  await using prepared = await workload.prepare(cluster);
  await sleep(systemClock, SETTLE_MS);
  const serverBefore = cpuSeconds(server.pids);
  const managerBefore = cpuSeconds([cluster.managerPid]);
  const writesBefore = await cluster.countWrites();
  const { seconds, answersMs } = await workload.run(cluster, prepared);
  // What is left to be told (statuses, events) is work, too.
  await untilQuiet(cluster.managerPid);
  const serverCpu = cpuSeconds(server.pids) - serverBefore;
  const managerCpu = cpuSeconds([cluster.managerPid]) - managerBefore;
  const cpu = serverCpu + managerCpu;
  const writes = (await cluster.countWrites()) - writesBefore;
  const times = answersMs === undefined ? { seconds } : { medianMs: answersMs.median, p99Ms: answersMs.p99 };
  const figures = { ...times, managerCpu, serverCpu, cpu, writes };
  note(`${workload.name}, ${side.name}: ${JSON.stringify(figures)}`);
  return figures;
}

/** Returns when the process does as good as nothing for a second. */
async function untilQuiet(pid: number): Promise<void> {
  const end = systemClock.monotonicMs() + QUIET_WITHIN_MS;
  for (let before = cpuSeconds([pid]); systemClock.monotonicMs() < end;) {
    await sleep(systemClock, 1_000);
    const now = cpuSeconds([pid]);
    if (now - before <= QUIET_CPU_SECONDS) return;
    before = now;
  }
}

function tell(metric: string, ours: readonly Figures[], peers: readonly Figures[] = []): void {
  for (const [field, [suffix, unit]] of Object.entries(UNITS) as [keyof Figures, readonly [string, string]][]) {
    const middle = (all: readonly Figures[]): number => median(all.map((each) => each[field] ?? Number.NaN));
    const value = middle(ours);
    if (Number.isNaN(value)) continue;
    const peer = peers.length === 0 ? {} : { peer: middle(peers) };
    report({ bench: "controllers", metric: `${metric}${suffix}`, value, unit, ...peer });
  }
}

/** Half of the objects are pods that run, half config maps. */
async function measureIdle({ coracle }: BenchOptions, side: Side, metric: string): Promise<void> {
  await using server = await side.start();
  await using cluster = await ManagedCluster.open(server, side.manager);
  const scheduler = cluster.startComponent("kube-scheduler", [process.execPath, coracle, "kube-scheduler"]);
  const pids = [cluster.managerPid, scheduler.pid as number];
  await using _nodes = await cluster.startNodes();
  await cluster.createMany(IDLE_OBJECTS / 2, paths.pods, (i) => pod(i, "bench"));
  await cluster.createMany(IDLE_OBJECTS / 2, paths.configMaps, (i) => settings(i, "data"));
  await sleep(systemClock, IDLE_SETTLE_MS);
  const before = cpuSeconds(pids);
  await sleep(systemClock, IDLE_MS);
  const percent = ((cpuSeconds(pids) - before) * 100) / (IDLE_MS / 1000);
  const bench = "controllers";
  report({ bench, metric: `${metric}: CPU`, value: percent, unit: "% of a core" });
  report({ bench, metric: `${metric}: memory`, value: pssMegabytes(pids), unit: "MB PSS" });
  report({
    bench,
    metric: `${metric}: memory of the controllers`,
    value: pssMegabytes(pids.slice(0, 1)),
    unit: "MB PSS",
  });
}
