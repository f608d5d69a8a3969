import type { Container, Pod } from "@coracle/api/core/v1";
import { quantityMillis, quantityUnits, quantityValue } from "./quantity.ts";

export type QosClass = "Guaranteed" | "Burstable" | "BestEffort";

/** How much a pod is promised: everything it may use, something, or nothing. */
export function qosClass(pod: Pod): QosClass {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  let hasAny = false;
  let isGuaranteed = containers.length > 0;
  for (const { resources } of containers) {
    for (const name of ["cpu", "memory"]) {
      const request = quantityValue(resources?.requests?.[name]);
      const limit = quantityValue(resources?.limits?.[name]);
      if (request > 0 || limit > 0) hasAny = true;
      if (limit === 0 || (resources?.requests?.[name] !== undefined && request !== limit)) isGuaranteed = false;
    }
  }
  if (!hasAny) return "BestEffort";
  return isGuaranteed ? "Guaranteed" : "Burstable";
}

/** Requests and limits of a pod or container in kernel terms' units. */
export interface ResourceAmounts {
  readonly cpuRequestMillis: number;
  readonly cpuLimitMillis: number;
  readonly memoryRequestBytes: number;
  readonly memoryLimitBytes: number;
}

/** A container's own amounts; a limit without a request is a request too. */
export function containerAmounts(container: Container): ResourceAmounts {
  const { requests, limits } = container.resources ?? {};
  return {
    cpuRequestMillis: quantityMillis(requests?.["cpu"] ?? limits?.["cpu"]),
    cpuLimitMillis: quantityMillis(limits?.["cpu"]),
    memoryRequestBytes: quantityUnits(requests?.["memory"] ?? limits?.["memory"]),
    memoryLimitBytes: quantityUnits(limits?.["memory"]),
  };
}

/** What one resource of a pod adds up to for placement: the larger of its init phase and its running phase. */
export function podRequest(pod: Pod, resource: string): number {
  const of = (container: Container): number =>
    quantityValue(container.resources?.requests?.[resource] ?? container.resources?.limits?.[resource]);
  let sidecars = 0;
  let initPeak = 0;
  for (const container of pod.spec?.initContainers ?? []) {
    if (container.restartPolicy === "Always") {
      sidecars += of(container);
      initPeak = Math.max(initPeak, sidecars);
    } else initPeak = Math.max(initPeak, sidecars + of(container));
  }
  const running = (pod.spec?.containers ?? []).reduce((sum, container) => sum + of(container), sidecars);
  return Math.max(running, initPeak) + quantityValue(pod.spec?.overhead?.[resource]);
}

/** A pod's amounts for its cgroup; a limit is 0 when one of its containers has none. */
export function podAmounts(pod: Pod): ResourceAmounts {
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].map(containerAmounts);
  const running = (pod.spec?.containers ?? []).map(containerAmounts);
  const sum = (pick: (amounts: ResourceAmounts) => number): number =>
    running.reduce((total, amounts) => total + pick(amounts), 0);
  const isLimited = (pick: (amounts: ResourceAmounts) => number): boolean => all.every((amounts) => pick(amounts) > 0);
  return {
    cpuRequestMillis: Math.ceil(podRequest(pod, "cpu") * 1000 - 1e-9),
    memoryRequestBytes: Math.ceil(podRequest(pod, "memory")),
    cpuLimitMillis: isLimited((each) => each.cpuLimitMillis) ? sum((each) => each.cpuLimitMillis) : 0,
    memoryLimitBytes: isLimited((each) => each.memoryLimitBytes) ? sum((each) => each.memoryLimitBytes) : 0,
  };
}

/** The kernel's weight for a processor request. */
export const cpuShares = (millis: number): number =>
  millis === 0 ? 2 : Math.min(262_144, Math.max(2, Math.floor((millis * 1024) / 1000)));

/** Microseconds of processor time in each period; 0 for no limit. */
export const cpuQuota = (millis: number, periodMicroseconds: number): number =>
  millis === 0 ? 0 : Math.max(1000, Math.floor((millis * periodMicroseconds) / 1000));

/** Who the kernel kills first when memory runs out. */
export function oomScoreAdj(pod: Pod, container: Container, nodeMemoryBytes: number): number {
  if ((pod.spec?.priority ?? 0) >= 2_000_001_000) return -997;
  const qos = pod.status?.qosClass ?? qosClass(pod);
  if (qos === "Guaranteed") return -997;
  if (qos === "BestEffort") return 1000;
  const { memoryRequestBytes } = containerAmounts(container);
  const score = 1000 - Math.floor((1000 * memoryRequestBytes) / Math.max(1, nodeMemoryBytes));
  return Math.min(999, Math.max(3, score));
}
