import { readCgroupFile, type CgroupHierarchy } from "./hierarchy.ts";

/** What a cgroup has used. Missing controllers leave their figures out. */
export interface CgroupStatistics {
  readonly cpuUsageNanoseconds?: number;
  readonly memoryUsageBytes?: number;
  /** Usage without the inactive file cache: what cannot be reclaimed at once. */
  readonly memoryWorkingSetBytes?: number;
  readonly memoryRssBytes?: number;
  /** Absent when unlimited. */
  readonly memoryLimitBytes?: number;
  readonly pageFaults?: number;
  readonly majorPageFaults?: number;
  readonly processCount?: number;
}

function keyed(text: string): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space > 0) values.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return values;
}

const UNLIMITED = 2 ** 60;

/** Reads a cgroup's usage. */
export async function readCgroupStatistics(hierarchy: CgroupHierarchy, path: string): Promise<CgroupStatistics> {
  const isV2 = hierarchy.version === 2;
  const read = (controller: string, file: string): Promise<string | undefined> =>
    readCgroupFile(hierarchy, controller, path, file);
  const [cpu, usage, stat, limit, pids] = await Promise.all([
    read("cpuacct", isV2 ? "cpu.stat" : "cpuacct.usage"),
    read("memory", isV2 ? "memory.current" : "memory.usage_in_bytes"),
    read("memory", "memory.stat"),
    read("memory", isV2 ? "memory.max" : "memory.limit_in_bytes"),
    read("pids", "pids.current"),
  ]);
  const out: { -readonly [K in keyof CgroupStatistics]: CgroupStatistics[K] } = {};
  if (cpu !== undefined) {
    out.cpuUsageNanoseconds = isV2 ? (keyed(cpu).get("usage_usec") ?? 0) * 1000 : Number(cpu);
  }
  if (usage !== undefined && stat !== undefined) {
    const memory = keyed(stat);
    const inactiveFile = memory.get(isV2 ? "inactive_file" : "total_inactive_file") ?? 0;
    out.memoryUsageBytes = Number(usage);
    out.memoryWorkingSetBytes = Math.max(0, out.memoryUsageBytes - inactiveFile);
    out.memoryRssBytes = memory.get(isV2 ? "anon" : "total_rss") ?? 0;
    out.pageFaults = memory.get(isV2 ? "pgfault" : "total_pgfault") ?? 0;
    out.majorPageFaults = memory.get(isV2 ? "pgmajfault" : "total_pgmajfault") ?? 0;
  }
  if (limit !== undefined && limit.trim() !== "max" && Number(limit) < UNLIMITED) out.memoryLimitBytes = Number(limit);
  if (pids !== undefined) out.processCount = Number(pids);
  return out;
}

/** How often the kernel killed a process of this cgroup for want of memory. */
export async function readOomKills(hierarchy: CgroupHierarchy, path: string): Promise<number> {
  const file = hierarchy.version === 2 ? "memory.events" : "memory.oom_control";
  const text = await readCgroupFile(hierarchy, "memory", path, file);
  return text === undefined ? 0 : (keyed(text).get("oom_kill") ?? 0);
}
