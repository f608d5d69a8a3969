import type { Container, Pod, Probe } from "@coracle/api/core/v1";
import type { Clock, Random, Timer } from "@coracle/base";
import type { CriClient } from "../cri/cri-client.ts";
import type { ProbeResult } from "../pod/plan.ts";
import type { ContainerRun, RuntimeState } from "../pod/runtime-state.ts";
import { runProbe, type ProbeOutcome } from "./probe.ts";

type ProbeKind = "startup" | "readiness" | "liveness";

export interface ProberDeps {
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly ask?: typeof runProbe | undefined;
}

/** What a prober tells. */
export interface ProberEvents {
  /** A result changed: the pod has to be looked at again. */
  changed(): void;
  failed(container: Container, kind: ProbeKind, outcome: ProbeOutcome): void;
}

interface Worker {
  readonly run: ContainerRun;
  result: ProbeResult;
  streak: number;
  lastOk: boolean | undefined;
  timer: Timer | undefined;
  isStopped: boolean;
}

/** Runs the probes of one pod's running containers. */
export class Prober implements Disposable {
  readonly #deps: ProberDeps;
  readonly #events: ProberEvents;
  readonly #workers = new Map<string, Worker>();
  #podIp = "";
  #isStopped = false;

  constructor(deps: ProberDeps, events: ProberEvents) {
    this.#deps = deps;
    this.#events = events;
  }

  result(runId: string, kind: ProbeKind): ProbeResult {
    return this.#workers.get(`${runId}/${kind}`)?.result ?? "unknown";
  }

  isStarted(container: Container, runId: string): boolean {
    return container.startupProbe === undefined || this.result(runId, "startup") === "success";
  }

  isReady(container: Container, runId: string): boolean {
    return container.readinessProbe === undefined || this.result(runId, "readiness") === "success";
  }

  /** Starts probes of new runs, ends those of runs that are gone. `earlier` tells what was known before a restart of the node agent. */
  sync(pod: Pod, state: RuntimeState, isTerminating: boolean): void {
    if (this.#isStopped) return;
    this.#podIp =
      pod.spec?.hostNetwork === true ? (pod.status?.hostIP ?? "127.0.0.1") : (state.sandboxes[0]?.ips[0] ?? "");
    const wanted = new Set<string>();
    const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
    for (const container of containers) {
      const run = state.runs.get(container.name)?.find((each) => each.state === "running");
      if (run === undefined) continue;
      for (const kind of ["startup", "readiness", "liveness"] as const) {
        const probe = probeOf(container, kind);
        // A pod that ends is still probed for readiness, but not killed for its health.
        if (probe === undefined || (isTerminating && kind !== "readiness")) continue;
        const key = `${run.id}/${kind}`;
        wanted.add(key);
        if (!this.#workers.has(key)) this.#start(key, pod, container, run, kind, probe);
      }
    }
    for (const [key, worker] of this.#workers) {
      if (wanted.has(key)) continue;
      worker.timer?.[Symbol.dispose]();
      this.#workers.delete(key);
    }
  }

  /** The run is being stopped for its health: it is not asked again. */
  stop(runId: string): void {
    for (const worker of this.#workers.values()) {
      if (worker.run.id !== runId) continue;
      worker.isStopped = true;
      worker.timer?.[Symbol.dispose]();
    }
  }

  #start(key: string, pod: Pod, container: Container, run: ContainerRun, kind: ProbeKind, probe: Probe): void {
    const now = this.#deps.clock.now();
    const worker: Worker = {
      run,
      result: kind === "liveness" ? "success" : "unknown",
      streak: 0,
      lastOk: undefined,
      timer: undefined,
      isStopped: false,
    };
    const known = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(
      (status) => status.containerID?.endsWith(run.id) === true,
    );
    // A run that was found healthy before the node agent restarted stays so until a probe says otherwise.
    if (kind === "readiness" && known?.ready === true) worker.result = "success";
    if (kind === "startup" && known?.started === true) worker.result = "success";
    this.#workers.set(key, worker);
    const initialMs = (probe.initialDelaySeconds ?? 0) * 1000;
    const wait = Math.max(0, run.startedAt + initialMs - now);
    this.#schedule(key, worker, container, kind, probe, wait);
  }

  #schedule(key: string, worker: Worker, container: Container, kind: ProbeKind, probe: Probe, delayMs: number): void {
    worker.timer = this.#deps.clock.after(delayMs, () => void this.#ask(key, worker, container, kind, probe));
  }

  async #ask(key: string, worker: Worker, container: Container, kind: ProbeKind, probe: Probe): Promise<void> {
    const periodMs = (probe.periodSeconds ?? 10) * 1000;
    const isHeldBack = kind !== "startup" && !this.isStarted(container, worker.run.id);
    if (kind === "startup" && worker.result === "success") return;
    if (!isHeldBack) {
      const ask = this.#deps.ask ?? runProbe;
      const outcome = await ask(probe, {
        cri: this.#deps.cri,
        container,
        containerId: worker.run.id,
        podIp: this.#podIp,
      });
      if (this.#workers.get(key) !== worker || worker.isStopped || this.#isStopped) return;
      this.#note(worker, container, kind, probe, outcome);
    }
    // Until a container is started or ready, look again soon after the startup probe is through.
    this.#schedule(key, worker, container, kind, probe, isHeldBack ? Math.min(periodMs, 1000) : periodMs);
  }

  #note(worker: Worker, container: Container, kind: ProbeKind, probe: Probe, outcome: ProbeOutcome): void {
    worker.streak = worker.lastOk === outcome.ok ? worker.streak + 1 : 1;
    worker.lastOk = outcome.ok;
    if (!outcome.ok) this.#events.failed(container, kind, outcome);
    const needed = outcome.ok ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3);
    // Not ready is where readiness starts from: one failure keeps it there.
    if (worker.streak < needed) return;
    const result = outcome.ok ? "success" : "failure";
    if (worker.result === result) return;
    worker.result = result;
    this.#events.changed();
  }

  [Symbol.dispose](): void {
    this.#isStopped = true;
    for (const worker of this.#workers.values()) worker.timer?.[Symbol.dispose]();
    this.#workers.clear();
  }
}

function probeOf(container: Container, kind: ProbeKind): Probe | undefined {
  if (kind === "startup") return container.startupProbe;
  return kind === "readiness" ? container.readinessProbe : container.livenessProbe;
}
