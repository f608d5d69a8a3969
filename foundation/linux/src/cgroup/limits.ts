import { createCgroup, writeCgroupFile, type CgroupHierarchy } from "./hierarchy.ts";

/** Limits of a cgroup; what is absent stays as it is. */
export interface CgroupLimits {
  /** Version 1 scale, 2 … 262144; translated on version 2. */
  readonly cpuShares?: number | undefined;
  /** -1 is no limit. */
  readonly cpuQuotaMicroseconds?: number | undefined;
  readonly cpuPeriodMicroseconds?: number | undefined;
  /** -1 is no limit. */
  readonly memoryLimitBytes?: number | undefined;
  /** -1 is no limit. */
  readonly pidsLimit?: number | undefined;
}

/** The weight (1 … 10000) that stands for version 1 shares (2 … 262144) on version 2. */
export function cpuWeightOfShares(shares: number): number {
  const clamped = Math.min(262_144, Math.max(2, shares));
  return 1 + Math.floor(((clamped - 2) * 9999) / 262_142);
}

/** Creates the cgroup if need be and sets its limits. */
export async function setCgroupLimits(hierarchy: CgroupHierarchy, path: string, limits: CgroupLimits): Promise<void> {
  await createCgroup(hierarchy, path);
  const isV2 = hierarchy.version === 2;
  const set = (controller: string, file: string, value: string): Promise<void> =>
    writeCgroupFile(hierarchy, controller, path, file, value);
  const { cpuShares, cpuQuotaMicroseconds, cpuPeriodMicroseconds, memoryLimitBytes, pidsLimit } = limits;
  if (cpuShares !== undefined) {
    if (isV2) await set("cpu", "cpu.weight", String(cpuWeightOfShares(cpuShares)));
    else await set("cpu", "cpu.shares", String(Math.max(2, cpuShares)));
  }
  if (cpuQuotaMicroseconds !== undefined) {
    const period = cpuPeriodMicroseconds ?? 100_000;
    const quota = cpuQuotaMicroseconds <= 0 ? -1 : cpuQuotaMicroseconds;
    if (isV2) await set("cpu", "cpu.max", `${quota === -1 ? "max" : quota} ${period}`);
    else {
      await set("cpu", "cpu.cfs_period_us", String(period));
      await set("cpu", "cpu.cfs_quota_us", String(quota));
    }
  }
  if (memoryLimitBytes !== undefined) {
    if (isV2) await set("memory", "memory.max", memoryLimitBytes < 0 ? "max" : String(memoryLimitBytes));
    else await set("memory", "memory.limit_in_bytes", String(memoryLimitBytes));
  }
  if (pidsLimit !== undefined) await set("pids", "pids.max", pidsLimit < 0 ? "max" : String(pidsLimit));
}
