/** The only door to the host: processes, mounts, cgroups, namespaces, network tools. */
export { CommandError, run, type RunOptions, type RunResult } from "./process/run.ts";
export { exitCodeOf, spawnChild, spawnDetached, type Child, type SpawnChildOptions } from "./process/spawn-child.ts";
export { ensureMountPoint, mount, mountsBelow, unmount, unmountTree, type MountRequest } from "./mount/mount.ts";
export { listMounts, parseMountInfo, type MountInfo } from "./mount/mountinfo.ts";
export {
  cgroupFolder,
  cgroupFolders,
  cgroupHierarchyOf,
  cgroupProcesses,
  createCgroup,
  detectCgroups,
  freeUnifiedControllers,
  killCgroup,
  readCgroupFile,
  removeCgroup,
  restoreUnifiedControllers,
  writeCgroupFile,
  type CgroupHierarchy,
} from "./cgroup/hierarchy.ts";
export { cpuWeightOfShares, setCgroupLimits, type CgroupLimits } from "./cgroup/limits.ts";
export { readCgroupStatistics, readOomKills, type CgroupStatistics } from "./cgroup/statistics.ts";
export { pinNamespaces, sysctlPath, unpinNamespaces, type PinnedNamespace, type PinOptions } from "./namespace/pin.ts";
export { inNetworkNamespace, ipBatch, ipJson } from "./network/ip.ts";
export {
  deleteConntrack,
  iptables,
  iptablesRestore,
  iptablesSave,
  nft,
  nftJson,
  type IpFamily,
  type IptablesBackend,
  type IptablesOptions,
} from "./network/netfilter.ts";
export {
  bootId,
  boundingCapabilities,
  capabilitiesOfMask,
  hardLimits,
  ownOomScore,
  processStartTime,
  readSysctl,
  writeSysctl,
} from "./host/host.ts";
