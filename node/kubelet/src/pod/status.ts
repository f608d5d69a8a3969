import type {
  Container,
  ContainerState,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus,
  ResourceRequirements,
} from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { qosClass } from "../resources/qos.ts";
import { isSidecar, shouldRestart } from "./plan.ts";
import { resizeConditions, type ResizeProgress } from "./resize.ts";
import type { ContainerRun, RuntimeState } from "./runtime-state.ts";

/** Why a container is not running, where the runtime cannot know: a failed pull, a missing ConfigMap, a back-off. */
export interface WaitingReason {
  readonly reason: string;
  readonly message?: string | undefined;
}

/** Everything that a pod's status is made of. */
export interface StatusInput {
  readonly pod: Pod;
  readonly state: RuntimeState;
  readonly now: Instant;
  readonly nodeIps: readonly string[];
  /** By container name; counts while the container is neither running nor completed. */
  readonly waiting: ReadonlyMap<string, WaitingReason>;
  /** By run id: what the readiness and startup probes say of running containers. */
  readonly isReady: (container: Container, runId: string) => boolean;
  readonly isStarted: (container: Container, runId: string) => boolean;
  /** The pod is being stopped for good; says why, when it is not its deletion. */
  readonly terminal?: { readonly reason: string; readonly message: string } | undefined;
  /** All its containers have ended and none will run again. */
  readonly isOver: boolean;
  /** Scheme of container ids: `containerd`. */
  readonly runtimeName: string;
  /** What a run has, which may not yet be what it was granted. */
  readonly has?: ((runId: string) => ResourceRequirements | undefined) | undefined;
  readonly resize?: ResizeProgress | undefined;
}

const iso = (at: Instant): string => `${new Date(at).toISOString().slice(0, 19)}Z`;

/** The status that the pod has now. Conditions of others are not part of it. */
export function computePodStatus(input: StatusInput): PodStatus {
  const { pod, state, now } = input;
  const spec = pod.spec;
  const old = pod.status ?? {};
  const sandbox = state.sandboxes[0];
  const init = spec?.initContainers ?? [];
  const initStatuses = init.map((container) => containerStatus(input, container, true));
  const isInitialized = init.every((container, index) => {
    const status = initStatuses[index];
    if (isSidecar(container)) return status?.started === true || hasRunAny(input);
    return status?.state?.terminated?.exitCode === 0 || hasRunAny(input);
  });
  const containers = spec?.containers ?? [];
  const statuses = containers.map((container) =>
    containerStatus(input, container, false, init.length > 0 && !isInitialized),
  );
  const ephemeral = (spec?.ephemeralContainers ?? []).map((container) =>
    containerStatus(input, { ...container, livenessProbe: undefined } as Container, false),
  );
  const phase = terminalPhase(input, statuses) ?? podPhase(pod, initStatuses, statuses, init);
  const ips = spec?.hostNetwork === true ? input.nodeIps : sandbox?.isReady === true ? sandbox.ips : [];
  const keepIps = ips.length > 0 ? ips : isTerminalPhase(phase) ? (old.podIPs ?? []).map(({ ip }) => ip) : [];
  const conditions = podConditions(input, phase, statuses, initStatuses, isInitialized, keepIps.length > 0);
  return {
    observedGeneration: pod.metadata.generation,
    phase,
    conditions: [
      ...conditions,
      ...resizeConditions(isTerminalPhase(phase) ? {} : (input.resize ?? {}), old.conditions ?? [], iso(now)),
    ],
    message: input.terminal?.message ?? old.message,
    reason: input.terminal?.reason ?? old.reason,
    hostIP: input.nodeIps[0],
    hostIPs: input.nodeIps.map((ip) => ({ ip })),
    ...(keepIps.length === 0 ? {} : { podIP: keepIps[0], podIPs: keepIps.map((ip) => ({ ip })) }),
    startTime: old.startTime ?? iso(now),
    ...(init.length === 0 ? {} : { initContainerStatuses: initStatuses }),
    containerStatuses: statuses,
    ...(ephemeral.length === 0 ? {} : { ephemeralContainerStatuses: ephemeral }),
    qosClass: old.qosClass ?? qosClass(pod),
  };
}

const isTerminalPhase = (phase: string | undefined): boolean => phase === "Failed" || phase === "Succeeded";

function hasRunAny(input: StatusInput): boolean {
  const sandbox = input.state.sandboxes[0];
  return (input.pod.spec?.containers ?? []).some((container) =>
    input.state.runs.get(container.name)?.some((run) => run.sandboxId === sandbox?.id && run.state !== "created"),
  );
}

function terminalPhase(input: StatusInput, statuses: readonly ContainerStatus[]): string | undefined {
  const old = input.pod.status?.phase;
  if (isTerminalPhase(old)) return old;
  if (input.terminal !== undefined) return "Failed";
  if (!input.isOver || input.pod.metadata.deletionTimestamp === undefined) return undefined;
  const allGood = statuses.every((status) => status.state?.terminated?.exitCode === 0);
  return allGood && statuses.length > 0 ? "Succeeded" : "Failed";
}

function terminated(run: ContainerRun, runtimeName: string): ContainerState {
  return {
    terminated: {
      exitCode: run.exitCode,
      reason: run.reason !== "" ? run.reason : run.exitCode === 0 ? "Completed" : "Error",
      ...(run.message === "" ? {} : { message: run.message }),
      startedAt: run.startedAt > 0 ? iso(run.startedAt) : iso(run.createdAt),
      finishedAt: iso(run.finishedAt),
      containerID: `${runtimeName}://${run.id}`,
    },
  };
}

function containerStatus(
  input: StatusInput,
  container: Container,
  isInit: boolean,
  isHeldByInit = false,
): ContainerStatus {
  const runs = input.state.runs.get(container.name) ?? [];
  const [run, previous] = runs;
  const name = container.name;
  const old = [
    ...(input.pod.status?.containerStatuses ?? []),
    ...(input.pod.status?.initContainerStatuses ?? []),
    ...(input.pod.status?.ephemeralContainerStatuses ?? []),
  ].find((status) => status.name === name);
  const waiting = input.waiting.get(name);
  let state: ContainerState;
  let lastState: ContainerState = previous?.state === "exited" ? terminated(previous, input.runtimeName) : {};
  if (previous === undefined && run?.restartCount !== undefined && run.restartCount > 0)
    lastState = old?.lastState ?? {};
  if (run?.state === "running") state = { running: { startedAt: iso(run.startedAt) } };
  else if (run?.state === "exited") {
    if (
      waiting !== undefined &&
      !input.isOver &&
      (isInit ? run.exitCode !== 0 || isSidecar(container) : shouldRestart(input.pod, container, run))
    ) {
      state = { waiting };
      lastState = terminated(run, input.runtimeName);
    } else state = terminated(run, input.runtimeName);
  } else if (run === undefined && input.isOver && old?.state?.terminated !== undefined) {
    state = old.state;
    lastState = old.lastState ?? {};
  } else if (run === undefined && input.isOver && old?.state?.running !== undefined) {
    state = {
      terminated: {
        exitCode: 137,
        reason: "ContainerStatusUnknown",
        message: "The container could not be located when the pod was terminated",
      },
    };
  } else {
    const created = waiting ?? {
      reason: isHeldByInit || (isInit && hasInit(input)) ? "PodInitializing" : "ContainerCreating",
    };
    state = { waiting: created };
    if (run === undefined && old?.lastState !== undefined) lastState = old.lastState;
  }
  const isRunning = run?.state === "running";
  const started = isRunning && input.isStarted(container, run.id);
  const isDoneInit = isInit && !isSidecar(container) && run?.state === "exited" && run.exitCode === 0;
  return {
    name,
    state,
    lastState,
    ready: isInit && !isSidecar(container) ? isDoneInit : isRunning && started && input.isReady(container, run.id),
    restartCount: run?.restartCount ?? old?.restartCount ?? 0,
    image: run === undefined || run.image === "" ? (container.image ?? "") : run.image,
    imageID: run?.imageId ?? old?.imageID ?? "",
    ...(run === undefined ? {} : { containerID: `${input.runtimeName}://${run.id}` }),
    ...(run === undefined && old?.containerID !== undefined ? { containerID: old.containerID } : {}),
    started,
    ...(run?.user === undefined ? {} : { user: { linux: run.user } }),
    ...(isRunning && container.resources !== undefined
      ? {
          resources: input.has?.(run.id) ?? container.resources,
          ...(container.resources.requests === undefined ? {} : { allocatedResources: container.resources.requests }),
        }
      : {}),
    ...(container.volumeMounts === undefined || run === undefined
      ? {}
      : {
          volumeMounts: container.volumeMounts.map((volumeMount) => ({
            name: volumeMount.name,
            mountPath: volumeMount.mountPath,
            ...(volumeMount.readOnly === true
              ? { readOnly: true, recursiveReadOnly: volumeMount.recursiveReadOnly ?? "Disabled" }
              : {}),
          })),
        }),
  };
}

/** The first init container is being created; the later ones wait for it. */
function hasInit(input: StatusInput): boolean {
  return (input.pod.spec?.initContainers ?? []).length > 0;
}

function podPhase(
  pod: Pod,
  initStatuses: readonly ContainerStatus[],
  statuses: readonly ContainerStatus[],
  init: readonly Container[],
): string {
  const policy = pod.spec?.restartPolicy ?? "Always";
  let isInitPending = false;
  for (const [index, container] of init.entries()) {
    const status = initStatuses[index];
    if (isSidecar(container)) continue;
    const ended = status?.state?.terminated ?? status?.lastState?.terminated;
    if (status?.state?.terminated?.exitCode === 0) continue;
    if (ended !== undefined && ended.exitCode !== 0 && policy === "Never" && status?.state?.terminated !== undefined) {
      return "Failed";
    }
    isInitPending = true;
  }
  const count = { waiting: 0, running: 0, stopped: 0, succeeded: 0 };
  for (const status of statuses) {
    if (status.state?.running !== undefined) count.running += 1;
    else if (status.state?.terminated !== undefined) {
      count.stopped += 1;
      if (status.state.terminated.exitCode === 0) count.succeeded += 1;
    } else if (status.lastState?.terminated !== undefined) count.stopped += 1;
    else count.waiting += 1;
  }
  if (isInitPending && count.running === 0 && count.stopped === 0) return "Pending";
  if (count.waiting > 0) return "Pending";
  if (count.running > 0) return "Running";
  if (count.stopped === 0) return "Pending";
  const mayRestart = statuses.some((status) => status.state?.terminated === undefined);
  if (policy === "Always" || mayRestart) return "Running";
  if (count.succeeded === count.stopped) return "Succeeded";
  return policy === "Never" ? "Failed" : "Running";
}

function podConditions(
  input: StatusInput,
  phase: string,
  statuses: readonly ContainerStatus[],
  initStatuses: readonly ContainerStatus[],
  isInitialized: boolean,
  hasNetwork: boolean,
): PodCondition[] {
  const { pod } = input;
  const sandbox = input.state.sandboxes[0];
  const unready = statuses.filter((status) => !status.ready).map((status) => status.name);
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
  const unreadySidecars = initStatuses.filter((s) => sidecars.includes(s.name) && !s.ready).map((s) => s.name);
  const listed = [...unreadySidecars, ...unready];
  const isOver = phase === "Succeeded" || phase === "Failed";
  const ended = phase === "Succeeded" ? "PodCompleted" : "PodFailed";
  const containersReady: Verdict = isOver
    ? { status: "False", reason: ended }
    : listed.length > 0
      ? {
          status: "False",
          reason: "ContainersNotReady",
          message: `containers with unready status: [${listed.join(" ")}]`,
        }
      : { status: "True" };
  const incomplete = initStatuses
    .filter((status) =>
      sidecars.includes(status.name) ? status.started !== true : status.state?.terminated?.exitCode !== 0,
    )
    .map((status) => status.name);
  const initialized: Verdict =
    phase === "Succeeded"
      ? { status: "True", reason: "PodCompleted" }
      : isInitialized
        ? { status: "True" }
        : {
            status: "False",
            reason: "ContainersNotInitialized",
            message: `containers with incomplete status: [${incomplete.join(" ")}]`,
          };
  const isNetworkReady = sandbox?.isReady === true && (sandbox.isHostNetwork || hasNetwork);
  return [
    ["PodReadyToStartContainers", { status: isNetworkReady && !isOver ? "True" : "False" }],
    ["Initialized", initialized],
    ["Ready", readyVerdict(pod, containersReady)],
    ["ContainersReady", containersReady],
    ["PodScheduled", { status: "True" }],
  ].map(([type, verdict]) => condition(input, type as string, verdict as Verdict));
}

interface Verdict {
  readonly status: "True" | "False";
  readonly reason?: string;
  readonly message?: string;
}

function readyVerdict(pod: Pod, containersReady: Verdict): Verdict {
  if (containersReady.status !== "True") return containersReady;
  const problems = (pod.spec?.readinessGates ?? []).flatMap(({ conditionType }) => {
    const found = pod.status?.conditions?.find((each) => each.type === conditionType);
    if (found === undefined)
      return [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`];
    return found.status === "True"
      ? []
      : [`the status of pod readiness gate "${conditionType}" is not "True", but ${found.status}`];
  });
  return problems.length === 0
    ? { status: "True" }
    : { status: "False", reason: "ReadinessGatesNotReady", message: problems.join(", ") };
}

function condition(input: StatusInput, type: string, verdict: Verdict): PodCondition {
  const old = input.pod.status?.conditions?.find((each) => each.type === type);
  return {
    type,
    status: verdict.status,
    observedGeneration: input.pod.metadata.generation,
    lastProbeTime: undefined,
    lastTransitionTime:
      old?.status === verdict.status && old.lastTransitionTime !== undefined ? old.lastTransitionTime : iso(input.now),
    ...(verdict.reason === undefined ? {} : { reason: verdict.reason }),
    ...(verdict.message === undefined ? {} : { message: verdict.message }),
  };
}
