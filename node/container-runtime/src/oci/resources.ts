import type { LinuxContainerResources } from "@coracle/api/cri";
import type { OciDeviceRule, OciResources } from "./runtime-spec.ts";

/** What the host lets us set. */
export interface ResourceSupport {
  /** Swap accounting is there: limits on swap can be set. */
  readonly swap: boolean;
}

/** CRI's limits in the OCI runtime's words; zero means "not set" in CRI. */
export function planResources(
  wanted: LinuxContainerResources | undefined,
  support: ResourceSupport,
  devices: readonly OciDeviceRule[] = [],
): OciResources {
  const set = (value: number | undefined): number | undefined =>
    value === undefined || value === 0 ? undefined : value;
  const limit = set(wanted?.memoryLimitInBytes);
  const swap = support.swap ? set(wanted?.memorySwapLimitInBytes) : undefined;
  const shares = set(wanted?.cpuShares);
  const quota = set(wanted?.cpuQuota);
  const period = set(wanted?.cpuPeriod);
  const cpus = wanted?.cpusetCpus ?? "";
  const mems = wanted?.cpusetMems ?? "";
  const huge = (wanted?.hugepageLimits ?? []).filter((page) => (page.pageSize ?? "") !== "");
  return {
    ...(devices.length === 0 ? {} : { devices }),
    ...(limit === undefined && swap === undefined
      ? {}
      : { memory: { ...(limit === undefined ? {} : { limit }), ...(swap === undefined ? {} : { swap }) } }),
    cpu: {
      ...(shares === undefined ? {} : { shares }),
      ...(quota === undefined ? {} : { quota }),
      ...(period === undefined ? {} : { period }),
      ...(cpus === "" ? {} : { cpus }),
      ...(mems === "" ? {} : { mems }),
    },
    ...(huge.length === 0
      ? {}
      : { hugepageLimits: huge.map((p) => ({ pageSize: p.pageSize ?? "", limit: p.limit ?? 0 })) }),
    ...(Object.keys(wanted?.unified ?? {}).length === 0 ? {} : { unified: wanted?.unified ?? {} }),
  };
}
