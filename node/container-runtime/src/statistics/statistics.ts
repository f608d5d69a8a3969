import { readdir, lstat, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readCgroupStatistics, type CgroupStatistics } from "@coracle/linux";
import type {
  ContainerStats,
  CpuUsage,
  FilesystemUsage,
  MemoryUsage,
  NetworkInterfaceUsage,
  PodSandboxStats,
} from "@coracle/api/cri";
import type { ContainerManager } from "../container/container-manager.ts";
import { containerStateOf, type ContainerRecord } from "../container/container-record.ts";
import { shortId } from "../host/paths.ts";
import type { RuntimeContext } from "../runtime-context.ts";
import type { SandboxRecord } from "../sandbox/sandbox-record.ts";

const DISK_AGE_MS = 60_000;

interface DiskUsage {
  readonly at: number;
  readonly bytes: number;
  readonly inodes: number;
}

/** Reads what containers and pods use. Nothing is measured until someone asks; disk usage at most once a minute. */
export class StatisticsReader {
  readonly #context: RuntimeContext;
  readonly #disk = new Map<string, DiskUsage>();
  /** Previous processor time, for the rate between two questions. */
  readonly #cpu = new Map<string, { readonly at: number; readonly nanoseconds: number; readonly rate: number }>();

  constructor(context: RuntimeContext) {
    this.#context = context;
  }

  forget(id: string): void {
    this.#disk.delete(id);
    this.#cpu.delete(id);
  }

  #cpuUsage(id: string, usage: CgroupStatistics): CpuUsage | undefined {
    if (usage.cpuUsageNanoseconds === undefined) return undefined;
    const at = this.#context.clock.now();
    const before = this.#cpu.get(id);
    const elapsedMs = before === undefined ? 0 : at - before.at;
    const rate =
      before === undefined || elapsedMs < 100
        ? (before?.rate ?? 0)
        : Math.max(0, Math.round(((usage.cpuUsageNanoseconds - before.nanoseconds) * 1000) / elapsedMs));
    if (before === undefined || elapsedMs >= 100)
      this.#cpu.set(id, { at, nanoseconds: usage.cpuUsageNanoseconds, rate });
    return {
      timestamp: at * 1e6,
      usageCoreNanoSeconds: { value: usage.cpuUsageNanoseconds },
      usageNanoCores: { value: rate },
    };
  }

  #memoryUsage(usage: CgroupStatistics): MemoryUsage | undefined {
    if (usage.memoryUsageBytes === undefined) return undefined;
    const workingSet = usage.memoryWorkingSetBytes ?? 0;
    return {
      timestamp: this.#context.clock.now() * 1e6,
      workingSetBytes: { value: workingSet },
      usageBytes: { value: usage.memoryUsageBytes },
      rssBytes: { value: usage.memoryRssBytes ?? 0 },
      pageFaults: { value: usage.pageFaults ?? 0 },
      majorPageFaults: { value: usage.majorPageFaults ?? 0 },
      ...(usage.memoryLimitBytes === undefined
        ? {}
        : { availableBytes: { value: Math.max(0, usage.memoryLimitBytes - workingSet) } }),
    };
  }

  async #writableLayer(record: ContainerRecord): Promise<FilesystemUsage> {
    const folder = join(this.#context.paths.containers, shortId(record.id), "upper");
    const now = this.#context.clock.now();
    let usage = this.#disk.get(record.id);
    if (usage === undefined || now - usage.at > DISK_AGE_MS) {
      usage = { at: now, ...(await measure(folder)) };
      this.#disk.set(record.id, usage);
    }
    return {
      timestamp: usage.at * 1e6,
      fsId: { mountpoint: this.#context.paths.root },
      usedBytes: { value: usage.bytes },
      inodesUsed: { value: usage.inodes },
    };
  }

  /** One container's usage. */
  async container(record: ContainerRecord): Promise<ContainerStats> {
    const { hierarchy } = this.#context;
    const isRunning = containerStateOf(record) === "CONTAINER_RUNNING";
    const usage = isRunning ? await readCgroupStatistics(hierarchy, record.cgroupsPath) : {};
    return {
      attributes: {
        id: record.id,
        metadata: record.config.metadata,
        labels: record.config.labels,
        annotations: record.config.annotations,
      },
      cpu: this.#cpuUsage(record.id, usage),
      memory: this.#memoryUsage(usage),
      writableLayer: await this.#writableLayer(record),
    };
  }

  /** One pod's usage: its own cgroup, its network and its containers. */
  async sandbox(record: SandboxRecord, containers: ContainerManager): Promise<PodSandboxStats> {
    const own = [...containers.list()].filter(
      (c) => c.sandboxId === record.id && containerStateOf(c) === "CONTAINER_RUNNING",
    );
    const [first] = own;
    const parent = record.config.linux?.cgroupParent ?? (first === undefined ? "" : dirname(first.cgroupsPath));
    const usage = parent === "" || parent === "/" ? {} : await readCgroupStatistics(this.#context.hierarchy, parent);
    const timestamp = this.#context.clock.now() * 1e6;
    const interfaces = first?.pid === undefined ? [] : await readInterfaces(first.pid);
    const main = interfaces.find((i) => i.name === "eth0");
    return {
      attributes: {
        id: record.id,
        metadata: record.config.metadata,
        labels: record.config.labels,
        annotations: record.config.annotations,
      },
      linux: {
        cpu: this.#cpuUsage(record.id, usage),
        memory: this.#memoryUsage(usage),
        network:
          main === undefined
            ? undefined
            : { timestamp, defaultInterface: main, interfaces: interfaces.filter((i) => i !== main) },
        process:
          usage.processCount === undefined ? undefined : { timestamp, processCount: { value: usage.processCount } },
        containers: await Promise.all(own.map((c) => this.container(c))),
      },
    };
  }
}

async function measure(folder: string): Promise<{ readonly bytes: number; readonly inodes: number }> {
  let bytes = 0;
  let inodes = 0;
  const visit = async (path: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true }).catch(() => [])) {
      const child = join(path, entry.name);
      const info = await lstat(child).catch(() => undefined);
      bytes += (info?.blocks ?? 0) * 512;
      inodes++;
      if (entry.isDirectory()) await visit(child);
    }
  };
  await visit(folder);
  return { bytes, inodes };
}

/** Reads /proc/PID/net/dev: the interfaces of that process' network namespace, loopback left out. */
export function parseNetworkDevices(text: string): NetworkInterfaceUsage[] {
  const interfaces: NetworkInterfaceUsage[] = [];
  for (const line of text.split("\n").slice(2)) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).trim();
    if (colon === -1 || name === "lo") continue;
    const fields = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    interfaces.push({
      name,
      rxBytes: { value: fields[0] ?? 0 },
      rxErrors: { value: fields[2] ?? 0 },
      txBytes: { value: fields[8] ?? 0 },
      txErrors: { value: fields[10] ?? 0 },
    });
  }
  return interfaces;
}

async function readInterfaces(pid: number): Promise<NetworkInterfaceUsage[]> {
  return parseNetworkDevices(await readFile(`/proc/${pid}/net/dev`, "utf8").catch(() => ""));
}
