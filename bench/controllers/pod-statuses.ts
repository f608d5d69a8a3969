import type { PodCondition, PodStatus } from "@coracle/api/core/v1";

const STARTED_AT = "2026-01-01T00:00:00Z";

/** Conditions of the `index`th pod, which is ready or not. */
export function conditionsOf(index: number, isReady: boolean): readonly PodCondition[] {
  const lastTransitionTime = new Date(Date.parse(STARTED_AT) + index * 1000).toISOString().replace(".000", "");
  return ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map((type) => ({
    type,
    status: isReady || !type.endsWith("Ready") ? "True" : "False",
    lastTransitionTime,
  }));
}

/** What a kubelet says of the `index`th pod: it runs, and is ready. */
export function runningStatus(index: number): PodStatus {
  const ip = `10.${index >> 16}.${(index >> 8) & 0xff}.${index & 0xff}`;
  const conditions = conditionsOf(index, true);
  return { phase: "Running", startTime: STARTED_AT, podIP: ip, podIPs: [{ ip }], conditions };
}

/** The same of one whose containers have ended well. */
export function endedStatus(index: number): PodStatus {
  const terminated = { exitCode: 0, reason: "Completed", startedAt: STARTED_AT, finishedAt: STARTED_AT };
  const image = "registry.k8s.io/pause:3.10.1";
  const container = { name: "pause", image, imageID: "", ready: false, restartCount: 0, state: { terminated } };
  const conditions = conditionsOf(index, false);
  return { ...runningStatus(index), conditions, phase: "Succeeded", containerStatuses: [container] };
}
