import { statfs } from "node:fs/promises";
import { cpus } from "node:os";
import type { ContainerStats, CpuUsage, MemoryUsage } from "@coracle/api/cri";
import type { Clock } from "@coracle/base";
import type { CriClient } from "../cri/cri-client.ts";
import { CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID } from "../cri/labels.ts";
import { availableMemoryBytes, type Machine } from "../host/machine.ts";

interface StatsDeps {
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly nodeName: string;
  readonly machine: Machine;
}

const iso = (nanos: number | undefined, now: number): string =>
  new Date(nanos === undefined ? now : nanos / 1e6).toISOString();

function cpuStats(usage: CpuUsage | undefined, now: number): unknown {
  return {
    time: iso(usage?.timestamp, now),
    usageNanoCores: usage?.usageNanoCores?.value ?? 0,
    usageCoreNanoSeconds: usage?.usageCoreNanoSeconds?.value ?? 0,
  };
}

function memoryStats(usage: MemoryUsage | undefined, now: number): unknown {
  return {
    time: iso(usage?.timestamp, now),
    workingSetBytes: usage?.workingSetBytes?.value ?? 0,
    ...(usage?.usageBytes === undefined ? {} : { usageBytes: usage.usageBytes.value ?? 0 }),
    ...(usage?.rssBytes === undefined ? {} : { rssBytes: usage.rssBytes.value ?? 0 }),
  };
}

/** Processor time that all of the node has used. */
const nodeCpuNanos = (): number =>
  cpus().reduce((sum, { times }) => sum + (times.user + times.nice + times.sys + times.irq) * 1e6, 0);

/** The answer of /stats/summary. */
export async function statsSummary(deps: StatsDeps): Promise<unknown> {
  const { cri, clock, machine, nodeName } = deps;
  const [{ stats = [] }, available, disk] = await Promise.all([
    cri.call("ListContainerStats", {}),
    availableMemoryBytes(),
    statfs("/"),
  ]);
  const now = clock.now();
  const byPod = new Map<string, ContainerStats[]>();
  for (const each of stats) {
    const uid = each.attributes?.labels?.[POD_UID];
    if (uid === undefined) continue;
    const of = byPod.get(uid);
    if (of === undefined) byPod.set(uid, [each]);
    else of.push(each);
  }
  const sum = (all: readonly ContainerStats[], pick: (each: ContainerStats) => number | undefined): number =>
    all.reduce((total, each) => total + (pick(each) ?? 0), 0);
  return {
    node: {
      nodeName,
      startTime: new Date(now - performance.now()).toISOString(),
      cpu: { time: iso(undefined, now), usageCoreNanoSeconds: nodeCpuNanos() },
      memory: {
        time: iso(undefined, now),
        availableBytes: available,
        workingSetBytes: machine.memoryBytes - available,
        usageBytes: machine.memoryBytes - available,
      },
      fs: {
        time: iso(undefined, now),
        availableBytes: disk.bavail * disk.bsize,
        capacityBytes: disk.blocks * disk.bsize,
        usedBytes: (disk.blocks - disk.bfree) * disk.bsize,
        inodesFree: disk.ffree,
        inodes: disk.files,
        inodesUsed: disk.files - disk.ffree,
      },
    },
    pods: [...byPod].map(([uid, containers]) => {
      const labels = containers[0]?.attributes?.labels ?? {};
      return {
        podRef: { name: labels[POD_NAME] ?? "", namespace: labels[POD_NAMESPACE] ?? "", uid },
        startTime: new Date(now).toISOString(),
        containers: containers.map((each) => ({
          name: each.attributes?.labels?.[CONTAINER_NAME] ?? "",
          startTime: new Date(now).toISOString(),
          cpu: cpuStats(each.cpu, now),
          memory: memoryStats(each.memory, now),
          rootfs: {
            time: iso(each.writableLayer?.timestamp, now),
            usedBytes: each.writableLayer?.usedBytes?.value ?? 0,
          },
        })),
        cpu: {
          time: iso(containers[0]?.cpu?.timestamp, now),
          usageNanoCores: sum(containers, (each) => each.cpu?.usageNanoCores?.value),
          usageCoreNanoSeconds: sum(containers, (each) => each.cpu?.usageCoreNanoSeconds?.value),
        },
        memory: {
          time: iso(containers[0]?.memory?.timestamp, now),
          workingSetBytes: sum(containers, (each) => each.memory?.workingSetBytes?.value),
        },
      };
    }),
  };
}

/** The answer of /metrics/resource, which metrics-server reads. */
export async function resourceMetrics(deps: StatsDeps): Promise<string> {
  const [{ stats = [] }, available] = await Promise.all([
    deps.cri.call("ListContainerStats", {}),
    availableMemoryBytes(),
  ]);
  const now = deps.clock.now();
  const lines = {
    cpu: [
      "# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds",
      "# TYPE container_cpu_usage_seconds_total counter",
    ],
    memory: [
      "# HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes",
      "# TYPE container_memory_working_set_bytes gauge",
    ],
  };
  const pods = new Map<string, { cpu: number; memory: number }>();
  for (const { attributes, cpu, memory } of stats) {
    const labels = attributes?.labels ?? {};
    const pod = `namespace="${labels[POD_NAMESPACE] ?? ""}",pod="${labels[POD_NAME] ?? ""}"`;
    const tags = `{container="${labels[CONTAINER_NAME] ?? ""}",${pod}}`;
    const seconds = (cpu?.usageCoreNanoSeconds?.value ?? 0) / 1e9;
    const bytes = memory?.workingSetBytes?.value ?? 0;
    lines.cpu.push(
      `container_cpu_usage_seconds_total${tags} ${seconds} ${Math.floor((cpu?.timestamp ?? now * 1e6) / 1e6)}`,
    );
    lines.memory.push(
      `container_memory_working_set_bytes${tags} ${bytes} ${Math.floor((memory?.timestamp ?? now * 1e6) / 1e6)}`,
    );
    const total = pods.get(pod) ?? { cpu: 0, memory: 0 };
    pods.set(pod, { cpu: total.cpu + seconds, memory: total.memory + bytes });
  }
  return [
    ...lines.cpu,
    ...lines.memory,
    "# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds",
    "# TYPE node_cpu_usage_seconds_total counter",
    `node_cpu_usage_seconds_total ${nodeCpuNanos() / 1e9} ${now}`,
    "# HELP node_memory_working_set_bytes [STABLE] Current working set of the node in bytes",
    "# TYPE node_memory_working_set_bytes gauge",
    `node_memory_working_set_bytes ${deps.machine.memoryBytes - available} ${now}`,
    "# HELP pod_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the pod in core-seconds",
    "# TYPE pod_cpu_usage_seconds_total counter",
    ...[...pods].map(([tags, { cpu }]) => `pod_cpu_usage_seconds_total{${tags}} ${cpu} ${now}`),
    "# HELP pod_memory_working_set_bytes [STABLE] Current working set of the pod in bytes",
    "# TYPE pod_memory_working_set_bytes gauge",
    ...[...pods].map(([tags, { memory }]) => `pod_memory_working_set_bytes{${tags}} ${memory} ${now}`),
    "# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
    "# TYPE resource_scrape_error gauge",
    "resource_scrape_error 0",
    "",
  ].join("\n");
}
