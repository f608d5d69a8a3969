import type { Pod, PodCondition } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { instantOf } from "../time/timestamp.ts";

export function podCondition(pod: Pod, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === type);
}

/** Succeeded or Failed: its containers have ended for good. */
export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}

/** Neither finished nor being deleted. */
export function isActive(pod: Pod): boolean {
  return !isFinished(pod) && pod.metadata.deletionTimestamp === undefined;
}

/** Being deleted, but its containers may still run. */
export function isTerminating(pod: Pod): boolean {
  return !isFinished(pod) && pod.metadata.deletionTimestamp !== undefined;
}

export function isReady(pod: Pod): boolean {
  return podCondition(pod, "Ready")?.status === "True";
}

/** Milliseconds until the pod has been ready for `minReadySeconds`; 0 when it has, undefined when it is not ready. */
export function msUntilAvailable(pod: Pod, minReadySeconds: number, now: Instant): number | undefined {
  const ready = podCondition(pod, "Ready");
  if (ready?.status !== "True") return undefined;
  if (minReadySeconds === 0) return 0;
  const since = instantOf(ready.lastTransitionTime);
  return since === undefined ? undefined : Math.max(0, since + minReadySeconds * 1000 - now);
}

export function isAvailable(pod: Pod, minReadySeconds: number, now: Instant): boolean {
  return msUntilAvailable(pod, minReadySeconds, now) === 0;
}

/** When the next of `pods` becomes available by the passing of time alone. */
export function nextAvailabilityMs(pods: readonly Pod[], minReadySeconds: number, now: Instant): number | undefined {
  let next: number | undefined;
  for (const pod of pods) {
    const ms = msUntilAvailable(pod, minReadySeconds, now);
    if (ms !== undefined && ms > 0 && (next === undefined || ms < next)) next = ms;
  }
  return next;
}
