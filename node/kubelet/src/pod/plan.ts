import type { Container, Pod } from "@coracle/api/core/v1";
import type { ContainerRun, RuntimeState, SandboxState } from "./runtime-state.ts";

/** A container to stop, and why, in the words of its event. */
export interface ContainerKill {
  readonly run: ContainerRun;
  readonly message: string;
  readonly reason: "unhealthy" | "startup" | "spec" | "pod";
}

/** What a pod needs next. Carried out from top to bottom. */
export interface PodPlan {
  /** Stop everything that runs; `isFinal` when the pod will not run again. */
  readonly killPod: boolean;
  readonly kill: readonly ContainerKill[];
  readonly createSandbox: boolean;
  /** Attempt number of a sandbox to create. */
  readonly attempt: number;
  /** The sandbox in use, when none is to be created. */
  readonly sandbox: SandboxState | undefined;
  /** Names, in order. Their back-off is not considered here. */
  readonly start: readonly string[];
}

export type ProbeResult = "success" | "failure" | "unknown";

/** What probes have found of running containers, by run id. */
export interface ProbeResults {
  liveness(runId: string): ProbeResult;
  startup(runId: string): ProbeResult;
  /** The run must start anew for its container to have the resources that it was granted. */
  needsResizeRestart?(runId: string): boolean;
}

/** Restartable init containers keep running beside the others. */
export const isSidecar = (container: Container): boolean => container.restartPolicy === "Always";

/** Whether a container that ended is to run again. */
export function shouldRestart(pod: Pod, container: Container, run: ContainerRun | undefined): boolean {
  if (run === undefined || run.state === "created" || run.state === "unknown") return true;
  if (run.state === "running") return false;
  for (const rule of container.restartPolicyRules ?? []) {
    const codes = rule.exitCodes?.values ?? [];
    const isListed = codes.includes(run.exitCode);
    if (rule.action === "Restart" && (rule.exitCodes?.operator === "NotIn" ? !isListed : isListed)) return true;
  }
  const policy = container.restartPolicy ?? pod.spec?.restartPolicy ?? "Always";
  if (policy === "Never") return false;
  return policy === "Always" || run.exitCode !== 0;
}

/** The newest run of a container within one sandbox. */
function runIn(state: RuntimeState, name: string, sandboxId: string): ContainerRun | undefined {
  return state.runs.get(name)?.find((run) => run.sandboxId === sandboxId);
}

/** Decides, touches nothing. `hashOf` fingerprints what forces a container to be made anew when it changes. */
export function planPod(
  pod: Pod,
  state: RuntimeState,
  probes: ProbeResults,
  hashOf: (container: Container) => string,
): PodPlan {
  const spec = pod.spec;
  const containers = spec?.containers ?? [];
  const init = spec?.initContainers ?? [];
  const newest = state.sandboxes[0];
  const attempt = newest === undefined ? 0 : newest.attempt + 1;
  const isUsable =
    newest?.isReady === true && (newest.isHostNetwork || spec?.hostNetwork === true || newest.ips.length > 0);

  if (newest === undefined || !isUsable) {
    const wasTried = attempt !== 0 && state.runs.size > 0;
    const initFailed = init.some((container) => !isSidecar(container) && hasFailedForGood(pod, container, state));
    const left = containers.filter((container) => shouldRestart(pod, container, latest(state, container.name)));
    const isOver =
      left.length === 0 || initFailed || (wasTried && spec?.restartPolicy === "Never" && !anyToRun(left, state));
    const first = init[0];
    return {
      killPod: newest !== undefined,
      kill: [],
      createSandbox: !isOver,
      attempt,
      sandbox: undefined,
      start: isOver ? [] : first === undefined ? left.map((container) => container.name) : [first.name],
    };
  }

  const kill: ContainerKill[] = [];
  const start: string[] = [];
  const hasInitialized = containers.some((container) => {
    const run = runIn(state, container.name, newest.id);
    return run !== undefined && run.state !== "created";
  });
  const initDone = planInit(pod, init, state, newest.id, probes, hashOf, hasInitialized, kill, start);
  if (initDone === "failed") return finished(newest, attempt);
  if (initDone === "waiting") return { killPod: false, kill, createSandbox: false, attempt, sandbox: newest, start };

  let kept = 0;
  for (const container of containers) {
    const run = runIn(state, container.name, newest.id);
    if (run?.state !== "running") {
      // What ran in an earlier sandbox counts too: a completed container is not run again in a new one.
      if (shouldRestart(pod, container, run ?? latest(state, container.name))) start.push(container.name);
      continue;
    }
    const doomed = killReason(container, run, probes, hashOf);
    if (doomed === undefined) kept += 1;
    else {
      kill.push(doomed);
      const isNever = (container.restartPolicy ?? spec?.restartPolicy) === "Never";
      if (doomed.reason === "spec" || !isNever) start.push(container.name);
    }
  }
  if (kept === 0 && start.length === 0 && kill.length === 0) return finished(newest, attempt);
  planEphemeral(pod, state, newest.id, start);
  return { killPod: false, kill, createSandbox: false, attempt, sandbox: newest, start };
}

function finished(sandbox: SandboxState, attempt: number): PodPlan {
  return { killPod: true, kill: [], createSandbox: false, attempt, sandbox, start: [] };
}

const latest = (state: RuntimeState, name: string): ContainerRun | undefined => state.runs.get(name)?.[0];

const anyToRun = (containers: readonly Container[], state: RuntimeState): boolean =>
  containers.some((container) => latest(state, container.name) === undefined);

function hasFailedForGood(pod: Pod, container: Container, state: RuntimeState): boolean {
  const run = latest(state, container.name);
  return run?.state === "exited" && run.exitCode !== 0 && !shouldRestart(pod, container, run);
}

function killReason(
  container: Container,
  run: ContainerRun,
  probes: ProbeResults,
  hashOf: (container: Container) => string,
): ContainerKill | undefined {
  if (run.hash !== "" && run.hash !== hashOf(container)) {
    return { run, reason: "spec", message: `Container ${container.name} definition changed` };
  }
  if (probes.needsResizeRestart?.(run.id) === true) {
    return { run, reason: "spec", message: `Container ${container.name} resize requires restart` };
  }
  if (probes.liveness(run.id) === "failure") {
    return { run, reason: "unhealthy", message: `Container ${container.name} failed liveness probe` };
  }
  if (probes.startup(run.id) === "failure") {
    return { run, reason: "startup", message: `Container ${container.name} failed startup probe` };
  }
  return undefined;
}

/** Init containers run one after another; a sidecar lets the next one go as soon as it has started. */
function planInit(
  pod: Pod,
  init: readonly Container[],
  state: RuntimeState,
  sandboxId: string,
  probes: ProbeResults,
  hashOf: (container: Container) => string,
  hasInitialized: boolean,
  kill: ContainerKill[],
  start: string[],
): "done" | "waiting" | "failed" {
  for (const container of init) {
    const run = runIn(state, container.name, sandboxId);
    if (!isSidecar(container)) {
      if (hasInitialized) continue;
      if (run?.state === "exited") {
        if (run.exitCode === 0) continue;
        // An init container is tried again unless the pod never restarts.
        const policy = container.restartPolicy ?? pod.spec?.restartPolicy ?? "Always";
        if (policy === "Never" && !shouldRestart(pod, container, run)) return "failed";
        start.push(container.name);
      } else if (run?.state !== "running") start.push(container.name);
      return "waiting";
    }
    if (run?.state !== "running") {
      start.push(container.name);
      if (!hasInitialized) return "waiting";
      continue;
    }
    const doomed = killReason(container, run, probes, hashOf);
    if (doomed !== undefined) {
      kill.push(doomed);
      start.push(container.name);
    } else if (!hasInitialized && container.startupProbe !== undefined && probes.startup(run.id) !== "success") {
      return "waiting";
    }
  }
  return "done";
}

function planEphemeral(pod: Pod, state: RuntimeState, sandboxId: string, start: string[]): void {
  for (const container of pod.spec?.ephemeralContainers ?? []) {
    if (runIn(state, container.name, sandboxId) === undefined && latest(state, container.name) === undefined) {
      start.push(container.name);
    }
  }
}
