import type { ContainerStatus, Pod } from "@coracle/api/core/v1";
import type { Json } from "@coracle/apimachinery";
import type { ApiObject } from "../../registry/resource-definition.ts";
import { age, humanDuration } from "./duration.ts";

const NONE = "<none>";

interface Progress {
  reason: string;
  ready: number;
  restarts: number;
  lastRestart: number;
}

function countRestarts(progress: Progress, status: ContainerStatus): void {
  progress.restarts += status.restartCount;
  const finished = status.lastState?.terminated?.finishedAt;
  if (finished !== undefined) progress.lastRestart = Math.max(progress.lastRestart, Date.parse(finished));
}

const isRestartable = (pod: Pod, name: string): boolean =>
  (pod.spec?.initContainers ?? []).some((container) => container.name === name && container.restartPolicy === "Always");

/** What a container that ended is called: its reason, signal or exit code. */
function endOf(state: {
  readonly reason?: string | undefined;
  readonly signal?: number | undefined;
  readonly exitCode: number;
}): string {
  if (state.reason) return state.reason;
  return state.signal ? `Signal:${state.signal}` : `ExitCode:${state.exitCode}`;
}

/** Walks the init containers; true while one of them is not done. */
function initProgress(pod: Pod, progress: Progress, all: Progress): boolean {
  const statuses = pod.status?.initContainerStatuses ?? [];
  const total = (pod.spec?.initContainers ?? []).length;
  for (const [i, status] of statuses.entries()) {
    const restartable = isRestartable(pod, status.name);
    countRestarts(all, status);
    if (restartable) countRestarts(progress, status);
    const { terminated, waiting } = status.state ?? {};
    if (terminated !== undefined && terminated.exitCode === 0) continue;
    if (restartable && status.started === true) {
      if (status.ready) progress.ready += 1;
      continue;
    }
    if (terminated !== undefined) progress.reason = `Init:${endOf(terminated)}`;
    else if (waiting?.reason && waiting.reason !== "PodInitializing") progress.reason = `Init:${waiting.reason}`;
    else progress.reason = `Init:${i}/${total}`;
    return true;
  }
  return false;
}

function mainProgress(pod: Pod, progress: Progress): void {
  let isRunning = false;
  let failure = "";
  for (const status of (pod.status?.containerStatuses ?? []).toReversed()) {
    countRestarts(progress, status);
    const { waiting, terminated, running } = status.state ?? {};
    if (waiting?.reason) progress.reason = waiting.reason;
    else if (terminated !== undefined) {
      progress.reason = endOf(terminated);
      if (terminated.exitCode !== 0) failure = progress.reason;
    } else if (status.ready && running !== undefined) {
      isRunning = true;
      progress.ready += 1;
    }
  }
  if (progress.reason !== "Completed") return;
  const isReady = (pod.status?.conditions ?? []).some((one) => one.type === "Ready" && one.status === "True");
  if (isRunning && isReady) progress.reason = "Running";
  else if (failure !== "") progress.reason = failure;
  else if (isRunning) progress.reason = "NotReady";
}

/** The cells of a pod: how far it is, in the words that kubectl prints. */
export function podCells(object: ApiObject, now: number): readonly Json[] {
  const pod = object as unknown as Pod;
  const conditions = pod.status?.conditions ?? [];
  const progress: Progress = {
    reason: pod.status?.reason ? pod.status.reason : (pod.status?.phase ?? ""),
    ready: 0,
    restarts: 0,
    lastRestart: 0,
  };
  if (conditions.some((one) => one.type === "PodScheduled" && one.reason === "SchedulingGated")) {
    progress.reason = "SchedulingGated";
  }
  const all: Progress = { reason: "", ready: 0, restarts: 0, lastRestart: 0 };
  const isInitialising = initProgress(pod, progress, all);
  const isInitialised = conditions.some((one) => one.type === "Initialized" && one.status === "True");
  if (isInitialising && !isInitialised) {
    progress.restarts = all.restarts;
    progress.lastRestart = all.lastRestart;
  } else mainProgress(pod, progress);
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (pod.status?.reason === "NodeLost") progress.reason = "Unknown";
    else if (pod.status?.phase !== "Succeeded" && pod.status?.phase !== "Failed") progress.reason = "Terminating";
  }
  const restartable = (pod.spec?.initContainers ?? []).filter((one) => one.restartPolicy === "Always").length;
  const total = (pod.spec?.containers ?? []).length + restartable;
  const ago =
    progress.restarts > 0 && progress.lastRestart > 0 ? ` (${humanDuration(now - progress.lastRestart)} ago)` : "";
  const gates = pod.spec?.readinessGates ?? [];
  const open = gates.filter((gate) =>
    conditions.some((one) => one.type === gate.conditionType && one.status === "True"),
  );
  return [
    pod.metadata.name ?? "",
    `${progress.ready}/${total}`,
    progress.reason,
    `${progress.restarts}${ago}`,
    age(pod.metadata.creationTimestamp, now),
    pod.status?.podIPs?.[0]?.ip || pod.status?.podIP || NONE,
    pod.spec?.nodeName || NONE,
    pod.status?.nominatedNodeName || NONE,
    gates.length === 0 ? NONE : `${open.length}/${gates.length}`,
  ];
}
