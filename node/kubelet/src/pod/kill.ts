import type { Pod } from "@coracle/api/core/v1";
import { sleep, type Clock } from "@coracle/base";
import { findContainer } from "../container/environment.ts";
import { isCriNotFound, type CriClient } from "../cri/cri-client.ts";
import { runHook } from "../probe/probe.ts";
import { isSidecar } from "./plan.ts";
import type { ContainerRun, RuntimeState } from "./runtime-state.ts";

const MIN_GRACE_SECONDS = 2;

/** Runs the preStop hook and stops the container, both within its grace period. */
export async function killContainer(
  deps: {
    readonly cri: CriClient;
    readonly clock: Clock;
    readonly tell: (type: "Normal" | "Warning", reason: string, message: string, container: string) => void;
  },
  pod: Pod,
  run: ContainerRun,
  options: {
    readonly graceSeconds: number;
    readonly message: string;
    readonly podIp: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { cri, clock, tell } = deps;
  const container = findContainer(pod, run.name);
  let grace = options.graceSeconds;
  tell("Normal", "Killing", options.message, run.name);
  const hook = container?.lifecycle?.preStop;
  if (hook !== undefined && container !== undefined && grace > 0) {
    const started = clock.monotonicMs();
    const target = { cri, container, containerId: run.id, podIp: options.podIp };
    const pause = async (ms: number): Promise<void> => sleep(clock, ms, options.signal);
    const done = runHook(hook, target, { timeoutMs: grace * 1000, pause }).catch((error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      tell("Warning", "FailedPreStopHook", `PreStopHook failed: ${message}`, run.name);
    });
    await Promise.race([done, pause(grace * 1000)]);
    const spent = Math.floor((clock.monotonicMs() - started) / 1000);
    grace = Math.max(MIN_GRACE_SECONDS, grace - spent);
  }
  try {
    await cri.call("StopContainer", { containerId: run.id, timeout: grace }, { timeoutMs: 0 });
  } catch (error) {
    if (!isCriNotFound(error)) throw error;
  }
}

/** Ends everything of a pod: its containers together, then its sidecars in reverse order, then its sandboxes. */
export async function stopPod(
  cri: CriClient,
  clock: Clock,
  pod: Pod,
  state: RuntimeState,
  graceSeconds: number,
  kill: (run: ContainerRun, graceSeconds: number) => Promise<void>,
): Promise<void> {
  const deadline = clock.monotonicMs() + graceSeconds * 1000;
  const running = [...state.runs.values()].flat().filter((run) => run.state === "running" || run.state === "unknown");
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
  await Promise.all(running.filter((run) => !sidecars.includes(run.name)).map(async (run) => kill(run, graceSeconds)));
  for (const name of sidecars.toReversed()) {
    const left = Math.max(0, Math.ceil((deadline - clock.monotonicMs()) / 1000));
    await Promise.all(running.filter((run) => run.name === name).map(async (run) => kill(run, left)));
  }
  await Promise.all(
    state.sandboxes.map(async (sandbox) => {
      if (sandbox.isReady) await cri.call("StopPodSandbox", { podSandboxId: sandbox.id });
    }),
  );
}
