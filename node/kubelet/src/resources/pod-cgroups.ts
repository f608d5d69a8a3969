import type { Pod } from "@coracle/api/core/v1";
import { createCgroup, detectCgroups, removeCgroup, setCgroupLimits, type CgroupHierarchy } from "@coracle/linux";
import { cpuQuota, cpuShares, podAmounts, qosClass, type ResourceAmounts } from "./qos.ts";

const PERIOD_MICROSECONDS = 100_000;

/** The cgroups above pods: one for each class of promise, below it one for each pod. */
export interface PodCgroups {
  /** The folder that the pod's containers go below, as the runtime is told. */
  pathOf(pod: Pod): string;
  ensure(pod: Pod): Promise<void>;
  /** Sets what the pod may use to these amounts, whatever it asks for. */
  set(pod: Pod, amounts: ResourceAmounts): Promise<void>;
  remove(pod: Pod): Promise<void>;
}

/** The cgroup of a pod, below `root`. */
export function podCgroupPath(root: string, pod: Pod): string {
  const qos = (pod.status?.qosClass ?? qosClass(pod)).toLowerCase();
  const base = `${root.replace(/\/+$/, "")}/kubepods`;
  const name = `pod${pod.metadata.uid ?? ""}`;
  return qos === "guaranteed" ? `${base}/${name}` : `${base}/${qos}/${name}`;
}

/** Finds the host's hierarchy and makes the cgroups above pods. */
export async function openPodCgroups(root: string): Promise<PodCgroups> {
  const hierarchy: CgroupHierarchy = await detectCgroups();
  const base = `${root.replace(/\/+$/, "")}/kubepods`;
  await createCgroup(hierarchy, base);
  await createCgroup(hierarchy, `${base}/burstable`);
  await setCgroupLimits(hierarchy, `${base}/besteffort`, { cpuShares: 2 });
  const set = async (pod: Pod, amounts: ResourceAmounts): Promise<void> => {
    await setCgroupLimits(hierarchy, podCgroupPath(root, pod), {
      cpuShares: cpuShares(amounts.cpuRequestMillis),
      ...(amounts.cpuLimitMillis === 0
        ? {}
        : {
            cpuQuotaMicroseconds: cpuQuota(amounts.cpuLimitMillis, PERIOD_MICROSECONDS),
            cpuPeriodMicroseconds: PERIOD_MICROSECONDS,
          }),
      ...(amounts.memoryLimitBytes === 0 ? {} : { memoryLimitBytes: amounts.memoryLimitBytes }),
    });
  };
  return {
    pathOf: (pod) => podCgroupPath(root, pod),
    set,
    ensure: (pod) => set(pod, podAmounts(pod)),
    async remove(pod) {
      await removeCgroup(hierarchy, podCgroupPath(root, pod));
    },
  };
}
