import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Pod, type Container, type Service } from "@coracle/api/core/v1";
import { isNotFound, isConflict } from "@coracle/apimachinery";
import { sleep, type Clock, type Logger, type Random, type Timer } from "@coracle/base";
import { referenceTo, type ApiClient, type EventRecorder } from "@coracle/client";
import {
  containerConfig,
  containerHash,
  podLogFolder,
  sandboxConfig,
  type NodeContext,
} from "../container/container-config.ts";
import { containerEnvironment, ContainerConfigError, findContainer } from "../container/environment.ts";
import { nonRootProblem } from "../container/security-context.ts";
import type { NodeAmounts } from "../container/downward.ts";
import { criMessage, type CriClient } from "../cri/cri-client.ts";
import { ImageError, type ImageManager } from "../image/image-manager.ts";
import { runHook } from "../probe/probe.ts";
import { Prober } from "../probe/prober.ts";
import type { PodCgroups } from "../resources/pod-cgroups.ts";
import type { ReferencedObjects } from "../volume/referenced-objects.ts";
import type { VolumeManager, VolumePaths } from "../volume/volume-manager.ts";
import { Backoff, spellDuration } from "./backoff.ts";
import { makeSubPaths, removeOldRuns, writeOwnFiles } from "./container-files.ts";
import { killContainer, stopPod } from "./kill.ts";
import { planPod, type PodPlan } from "./plan.ts";
import { isSameRequest, knownRestarts, pullSecrets } from "./pod-request.ts";
import { PodResizer } from "./pod-resizer.ts";
import type { ResizeRefusal } from "./resize.ts";
import { readRuntimeState, type ContainerRun, type RuntimeCache, type RuntimeState } from "./runtime-state.ts";
import { computePodStatus, type WaitingReason } from "./status.ts";
import type { StatusManager } from "./status-manager.ts";

/** What pod workers share. */
export interface PodWorkerDeps {
  readonly client: ApiClient;
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly statuses: StatusManager;
  readonly images: ImageManager;
  readonly objects: ReferencedObjects;
  readonly volumes: VolumeManager;
  readonly cgroups: PodCgroups;
  readonly context: NodeContext;
  readonly amounts: () => NodeAmounts;
  readonly services: () => readonly Service[];
  readonly nodeIps: readonly string[];
  readonly podsFolder: string;
  readonly runtimeName: () => string;
  /** Resolves when pods may be started: the runtime and its network are ready. */
  readonly ready: Promise<void>;
  readonly maxContainerBackoffMs: number;
  /** Whether the node can give a pod other resources than it has. Absent: always. */
  readonly admitResize?: ((pod: Pod) => ResizeRefusal | undefined) | undefined;
  /** Something of the node may have come free for other pods. */
  readonly freed?: (() => void) | undefined;
  /** The pod has no traces left on the node. */
  readonly gone: (uid: string) => void;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 10_000;
const FIRST_BACKOFF_MS = 10_000;

/**
 * Brings one pod to what its specification asks for, step by step, each from the state that the runtime has at that
 * moment. Steps of one pod never overlap.
 */
export class PodWorker {
  /** As it is to be run: with the resources that it was granted. */
  #pod: Pod;
  /** As the API has it. */
  #wanted: Pod;
  readonly #resizer: PodResizer;
  readonly #deps: PodWorkerDeps;
  readonly #backoff: Backoff;
  readonly #prober: Prober;
  readonly #cache: RuntimeCache = { runs: new Map(), sandboxes: new Map() };
  readonly #waiting = new Map<string, WaitingReason>();
  readonly #stop = new AbortController();
  /** Aborts what a deletion makes pointless: pulls and waits of the start. */
  #start = new AbortController();
  #terminal: { readonly reason: string; readonly message: string } | undefined;
  #isRemoved = false;
  #isDirty = true;
  #isAcquired = false;
  #areVolumesStale = true;
  #failures = 0;
  #wake: Timer | undefined;
  #running: Promise<void> | undefined;
  #state: RuntimeState = { sandboxes: [], runs: new Map() };

  constructor(deps: PodWorkerDeps, pod: Pod) {
    this.#deps = deps;
    this.#wanted = pod;
    this.#resizer = new PodResizer(
      {
        ...deps,
        admitResize: (wanted) => deps.admitResize?.(wanted),
        tell: (type, reason, message) => this.#tell(type, reason, message),
      },
      pod,
    );
    this.#pod = this.#resizer.granted(pod);
    this.#backoff = new Backoff({
      initialMs: Math.min(FIRST_BACKOFF_MS, deps.maxContainerBackoffMs),
      maxMs: deps.maxContainerBackoffMs,
    });
    this.#prober = new Prober(deps, {
      changed: () => this.poke(),
      failed: (container, kind, { output }) => {
        const name = `${kind[0]?.toUpperCase()}${kind.slice(1)}`;
        this.#tell("Warning", "Unhealthy", `${name} probe failed: ${output}`, container.name);
      },
    });
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** It asks for resources that the other pods of the node have. */
  get waitsForResources(): boolean {
    return this.#resizer.isDeferred;
  }

  /** The runtime's state at the last look. */
  get state(): RuntimeState {
    return this.#state;
  }

  /** The pod changed. */
  update(pod: Pod): void {
    const wasDeleted = this.#pod.metadata.deletionTimestamp !== undefined;
    const oldGrace = this.#pod.metadata.deletionGracePeriodSeconds;
    const old = this.#wanted;
    this.#wanted = pod;
    this.#pod = this.#resizer.granted(pod);
    // Our own status comes back through the watch: nothing to do for it.
    if (isSameRequest(old, pod)) return;
    this.#areVolumesStale = true;
    if (pod.metadata.deletionTimestamp !== undefined) {
      this.#start.abort(new DOMException("the pod is deleted", "AbortError"));
      const grace = pod.metadata.deletionGracePeriodSeconds ?? 30;
      if (wasDeleted && grace < (oldGrace ?? 30)) this.#hurry(grace);
    }
    this.poke();
  }

  /** The pod is no more in the API: whatever runs of it must end. */
  remove(): void {
    this.#isRemoved = true;
    this.#start.abort(new DOMException("the pod is deleted", "AbortError"));
    this.#hurry(1);
    this.poke();
  }

  /** What the pod's volumes are made of changed. */
  refreshVolumes(): void {
    this.#areVolumesStale = true;
    this.poke();
  }

  /** Something about the pod may have changed. */
  poke(): void {
    this.#isDirty = true;
    this.#running ??= this.#loop().finally(() => {
      this.#running = undefined;
      if (this.#isDirty && !this.#stop.signal.aborted) this.poke();
    });
  }

  /** Ends the worker and leaves the pod as it is. */
  async close(): Promise<void> {
    const reason = new DOMException("the node agent stops", "AbortError");
    this.#stop.abort(reason);
    this.#start.abort(reason);
    this.#wake?.[Symbol.dispose]();
    this.#prober[Symbol.dispose]();
    await this.#running;
  }

  async #loop(): Promise<void> {
    while (this.#isDirty && !this.#stop.signal.aborted) {
      this.#isDirty = false;
      this.#wake?.[Symbol.dispose]();
      this.#wake = undefined;
      try {
        await this.#sync();
        this.#failures = 0;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#failures += 1;
        this.#deps.logger.debug("pod sync failed", { pod: this.#name, error });
        this.#wakeIn(Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** (this.#failures - 1)));
      }
    }
  }

  get #name(): string {
    return `${this.#pod.metadata.namespace ?? ""}/${this.#pod.metadata.name ?? ""}`;
  }

  #wakeIn(delayMs: number): void {
    const { clock } = this.#deps;
    this.#wake?.[Symbol.dispose]();
    this.#wake = clock.after(Math.max(1, delayMs), () => this.poke());
  }

  #tell(type: "Normal" | "Warning", reason: string, message: string, container?: string): void {
    const isInit = this.#pod.spec?.initContainers?.some(({ name }) => name === container) === true;
    const path = container === undefined ? undefined : `spec.${isInit ? "initContainers" : "containers"}{${container}}`;
    this.#deps.recorder.event(referenceTo(Pod, this.#pod, path), type, reason, message);
  }

  async #read(): Promise<RuntimeState> {
    this.#state = await readRuntimeState(this.#deps.cri, this.#pod.metadata.uid ?? "", this.#cache);
    return this.#state;
  }

  async #sync(): Promise<void> {
    const { statuses } = this.#deps;
    let state = await this.#read();
    const phase = statuses.current(this.#pod).phase;
    const isDeleted = this.#isRemoved || this.#pod.metadata.deletionTimestamp !== undefined;
    if (isDeleted) return this.#terminate(state);
    this.#checkDeadline();
    if (this.#terminal !== undefined || phase === "Failed" || phase === "Succeeded") return this.#finish(state);
    await this.#deps.ready;
    if (this.#resizer.decide(this.#wanted)) {
      this.#pod = this.#resizer.granted(this.#wanted);
      this.#report(state, false);
    }
    this.#prober.sync(this.#pod, state, false);
    for (;;) {
      try {
        await this.#resizer.carryOut(this.#pod, state);
      } catch (error) {
        this.#report(state, false);
        throw error;
      }
      const plan = this.#plan(state);
      if (plan.killPod && !plan.createSandbox) return this.#finish(state);
      const didAct = await this.#carryOut(plan, state);
      if (!didAct) break;
      state = await this.#read();
      this.#prober.sync(this.#pod, state, false);
      if (this.#start.signal.aborted) break;
    }
    this.#report(state, false);
  }

  #plan(state: RuntimeState): PodPlan {
    const restarts = this.#resizer.restarts(this.#pod, state);
    const probes = {
      liveness: (id: string) => this.#prober.result(id, "liveness"),
      startup: (id: string) => this.#prober.result(id, "startup"),
      needsResizeRestart: (id: string) => restarts.has(id),
    };
    return planPod(this.#pod, state, probes, containerHash);
  }

  #checkDeadline(): void {
    const seconds = this.#pod.spec?.activeDeadlineSeconds;
    const started = this.#deps.statuses.current(this.#pod).startTime;
    if (seconds === undefined || started === undefined || this.#terminal !== undefined) return;
    const remaining = Date.parse(started) + seconds * 1000 - this.#deps.clock.now();
    if (remaining > 0) this.#wakeIn(remaining);
    else {
      this.#terminal = {
        reason: "DeadlineExceeded",
        message: "Pod was active on the node longer than the specified deadline",
      };
      this.#tell("Normal", "DeadlineExceeded", "Pod was active on the node longer than the specified deadline");
    }
  }

  /** One round of the plan; tells whether something was done that may let the next step follow. */
  async #carryOut(plan: PodPlan, state: RuntimeState): Promise<boolean> {
    if (plan.killPod) await this.#killAll(state, this.#grace());
    await Promise.all(
      plan.kill.map(async ({ run, message, reason }) => {
        const container = findContainer(this.#pod, run.name);
        const willRestart = plan.start.includes(run.name);
        const seconds = this.#probeGrace(container, reason) ?? this.#grace();
        this.#prober.stop(run.id);
        await this.#killOne(run, seconds, willRestart ? `${message}, will be restarted` : message);
      }),
    );
    if (!this.#isAcquired) {
      await this.#deps.objects.acquire(this.#pod, this.#stop.signal);
      this.#isAcquired = true;
    }
    const startable = plan.createSandbox ? plan.start : plan.start.filter((name) => !this.#isHeldBack(name, state));
    const renewAt = this.#deps.volumes.renewAt(this.#pod.metadata.uid ?? "");
    if (renewAt !== undefined && renewAt <= this.#deps.clock.now()) this.#areVolumesStale = true;
    else if (renewAt !== undefined && this.#wake === undefined) this.#wakeIn(renewAt - this.#deps.clock.now());
    if (!plan.createSandbox && startable.length === 0 && !this.#areVolumesStale) return plan.kill.length > 0;
    // Volumes follow their sources also while nothing has to be started.
    const volumes = this.#prepareVolumes(state);
    volumes.catch(() => undefined);
    if (plan.createSandbox) {
      await Promise.all([volumes, this.#createSandbox(plan.attempt)]);
      return true;
    }
    const paths = await volumes;
    if (startable.length === 0 || plan.sandbox === undefined) return plan.kill.length > 0;
    const { id, ips, attempt } = plan.sandbox;
    const results = await Promise.allSettled(
      startable.map(async (name) => this.#startContainer(name, id, ips, attempt, paths, state)),
    );
    const failure = results.find((result) => result.status === "rejected");
    if (failure !== undefined) {
      this.#report(await this.#read(), false);
      throw failure.reason;
    }
    return results.some((result) => result.status === "fulfilled" && result.value);
  }

  async #prepareVolumes(state: RuntimeState): Promise<VolumePaths> {
    try {
      this.#areVolumesStale = false;
      const paths = await this.#deps.volumes.prepare(this.#pod, state.sandboxes[0]?.ips ?? []);
      const renewAt = this.#deps.volumes.renewAt(this.#pod.metadata.uid ?? "");
      if (renewAt !== undefined && this.#wake === undefined) this.#wakeIn(renewAt - this.#deps.clock.now());
      return paths;
    } catch (error) {
      this.#areVolumesStale = true;
      this.#tell("Warning", "FailedMount", error instanceof Error ? error.message : String(error));
      this.#report(state, false);
      throw error;
    }
  }

  #grace(): number {
    return this.#pod.metadata.deletionGracePeriodSeconds ?? this.#pod.spec?.terminationGracePeriodSeconds ?? 30;
  }

  #probeGrace(container: Container | undefined, reason: string): number | undefined {
    if (reason === "unhealthy") return container?.livenessProbe?.terminationGracePeriodSeconds;
    return reason === "startup" ? container?.startupProbe?.terminationGracePeriodSeconds : undefined;
  }

  async #createSandbox(attempt: number): Promise<void> {
    const { cri, cgroups, context } = this.#deps;
    await Promise.all([
      cgroups.ensure(this.#pod),
      mkdir(podLogFolder(context.podLogsFolder, this.#pod), { recursive: true, mode: 0o755 }),
    ]);
    try {
      const runtimeHandler = "";
      await cri.call("RunPodSandbox", { config: sandboxConfig(this.#pod, attempt, context), runtimeHandler });
    } catch (error) {
      this.#tell("Warning", "FailedCreatePodSandBox", `Failed to create pod sandbox: ${criMessage(error)}`);
      this.#report(await this.#read(), false);
      throw error;
    }
    if (attempt > 0) this.#tell("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
    await this.#removeOldSandboxes();
  }

  async #removeOldSandboxes(): Promise<void> {
    const state = await this.#read();
    await Promise.all(
      state.sandboxes.slice(1).map(async (sandbox) => {
        const isUsed = [...state.runs.values()].flat().some((run) => run.sandboxId === sandbox.id);
        await this.#deps.cri.call("StopPodSandbox", { podSandboxId: sandbox.id });
        if (!isUsed) await this.#deps.cri.call("RemovePodSandbox", { podSandboxId: sandbox.id });
      }),
    );
  }

  /** Whether a container that keeps failing has to wait before its next start. */
  #isHeldBack(name: string, state: RuntimeState): boolean {
    const run = state.runs.get(name)?.find((each) => each.state === "exited");
    if (run === undefined) return false;
    const { clock } = this.#deps;
    const container = findContainer(this.#pod, name);
    const key = `${name}/${container === undefined ? "" : containerHash(container)}`;
    const remaining = this.#backoff.remainingMs(key, run.finishedAt, clock.now());
    if (remaining === 0) {
      this.#backoff.next(key, run.finishedAt, clock.now());
      return false;
    }
    const { name: podName = "", namespace = "", uid = "" } = this.#pod.metadata;
    const wait = `back-off ${spellDuration(this.#backoff.delayMs(key))} restarting failed container=${name}`;
    if (this.#waiting.get(name)?.reason !== "CrashLoopBackOff") {
      this.#tell(
        "Warning",
        "BackOff",
        `Back-off restarting failed container ${name} in pod ${podName}_${namespace}(${uid})`,
        name,
      );
    }
    this.#waiting.set(name, { reason: "CrashLoopBackOff", message: `${wait} pod=${podName}_${namespace}(${uid})` });
    this.#wakeIn(remaining);
    return true;
  }

  async #startContainer(
    name: string,
    sandboxId: string,
    ips: readonly string[],
    attempt: number,
    volumes: VolumePaths,
    state: RuntimeState,
  ): Promise<boolean> {
    const { cri, context } = this.#deps;
    const pod = this.#pod;
    const container = findContainer(pod, name);
    if (container === undefined) return false;
    const fail = (reason: string, message: string, retryAt?: number): false => {
      this.#waiting.set(name, { reason, message });
      const now = this.#deps.clock.now();
      this.#wakeIn(Math.max(1, (retryAt ?? now + RETRY_MAX_MS) - now));
      return false;
    };
    try {
      const image = await this.#abortable(
        this.#deps.images.ensure(pod, container, pullSecrets(pod, this.#deps.objects), (type, reason, message) =>
          this.#tell(type, reason, message, name),
        ),
      );
      const nonRoot = nonRootProblem(pod, container, image);
      if (nonRoot !== undefined) throw new ContainerConfigError(nonRoot);
      const runs = state.runs.get(name) ?? [];
      const restartCount =
        runs.length === 0
          ? knownRestarts(this.#deps.statuses.current(pod), name)
          : Math.max(...runs.map((run) => run.restartCount)) + 1;
      const podIps = pod.spec?.hostNetwork === true ? this.#deps.nodeIps : ips;
      const environment = containerEnvironment(pod, container, {
        configMap: (key) => this.#deps.objects.configMap(pod.metadata.namespace ?? "", key),
        secret: (key) => this.#deps.objects.secret(pod.metadata.namespace ?? "", key),
        services: this.#deps.services(),
        podIps,
        nodeIps: this.#deps.nodeIps,
        node: this.#deps.amounts(),
      });
      const files = await writeOwnFiles(this.#deps, pod, container, podIps, restartCount);
      const targetName = pod.spec?.ephemeralContainers?.find((each) => each.name === name)?.targetContainerName;
      const targetId = targetName === undefined ? undefined : state.runs.get(targetName)?.[0]?.id;
      const config = containerConfig(
        { pod, container, image, restartCount, environment, volumes, files, targetId },
        context,
      );
      await makeSubPaths(container, config);
      await mkdir(join(podLogFolder(context.podLogsFolder, pod), name), { recursive: true, mode: 0o755 });
      let containerId: string;
      try {
        const answer = await cri.call("CreateContainer", {
          podSandboxId: sandboxId,
          config,
          sandboxConfig: sandboxConfig(pod, attempt, context),
        });
        containerId = answer.containerId ?? "";
        this.#resizer.made(containerId, container.resources);
      } catch (error) {
        this.#tell("Warning", "Failed", `Error: ${criMessage(error)}`, name);
        return fail("CreateContainerError", criMessage(error));
      }
      this.#tell("Normal", "Created", `Container created`, name);
      try {
        await cri.call("StartContainer", { containerId });
      } catch (error) {
        this.#tell("Warning", "Failed", `Error: ${criMessage(error)}`, name);
        this.#waiting.set(name, { reason: "RunContainerError", message: criMessage(error) });
        return true;
      }
      this.#tell("Normal", "Started", `Container started`, name);
      this.#waiting.delete(name);
      await this.#postStart(container, containerId, podIps[0] ?? "");
      await removeOldRuns(cri, runs);
      return true;
    } catch (error) {
      if (this.#start.signal.aborted) return false;
      if (error instanceof ImageError) {
        this.#tell("Warning", "Failed", `Error: ${error.reason}`, name);
        return fail(error.reason, error.message, error.retryAt);
      }
      if (error instanceof ContainerConfigError) {
        this.#tell("Warning", "Failed", `Error: ${error.message}`, name);
        return fail("CreateContainerConfigError", error.message);
      }
      throw error;
    }
  }

  #abortable<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#start;
    work.catch(() => undefined);
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error);
      signal.addEventListener("abort", onAbort, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    });
  }

  async #postStart(container: Container, containerId: string, podIp: string): Promise<void> {
    const hook = container.lifecycle?.postStart;
    if (hook === undefined) return;
    const { cri, clock } = this.#deps;
    const pause = async (ms: number): Promise<void> => sleep(clock, ms, this.#stop.signal);
    try {
      await this.#abortable(runHook(hook, { cri, container, containerId, podIp }, { timeoutMs: 0, pause }));
    } catch (error) {
      if (this.#start.signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      this.#tell("Warning", "FailedPostStartHook", `PostStartHook failed: ${message}`, container.name);
      this.#tell("Normal", "Killing", "FailedPostStartHook", container.name);
      await cri.call("StopContainer", { containerId, timeout: this.#grace() }, { timeoutMs: 0 });
    }
  }

  async #killOne(run: ContainerRun, graceSeconds: number, message: string): Promise<void> {
    await killContainer(
      { ...this.#deps, tell: (type, reason, text, container) => this.#tell(type, reason, text, container) },
      this.#pod,
      run,
      { graceSeconds, message, podIp: this.#state.sandboxes[0]?.ips[0] ?? "", signal: this.#stop.signal },
    );
  }

  /** Ends the pod's containers, sidecars last and in reverse order, then its sandboxes. */
  async #killAll(state: RuntimeState, graceSeconds: number): Promise<void> {
    await stopPod(this.#deps.cri, this.#deps.clock, this.#pod, state, graceSeconds, async (run, seconds) =>
      this.#killOne(run, seconds, `Stopping container ${run.name}`),
    );
  }

  /** A shorter grace than what is already being waited for. */
  #hurry(graceSeconds: number): void {
    for (const run of [...this.#state.runs.values()].flat()) {
      if (run.state !== "running") continue;
      this.#deps.cri
        .call("StopContainer", { containerId: run.id, timeout: graceSeconds }, { timeoutMs: 0 })
        .catch(() => undefined);
    }
  }

  #report(state: RuntimeState, isOver: boolean): void {
    const { statuses, clock, nodeIps } = this.#deps;
    const pod = { ...this.#pod, status: statuses.current(this.#pod) };
    const status = computePodStatus({
      pod,
      state,
      now: clock.now(),
      nodeIps,
      waiting: this.#waiting,
      isReady: (container, id) => this.#prober.isReady(container, id),
      isStarted: (container, id) => this.#prober.isStarted(container, id),
      terminal: this.#terminal,
      isOver,
      runtimeName: this.#deps.runtimeName(),
      has: (runId) => this.#resizer.has(runId),
      resize: this.#resizer.progress,
    });
    if (!this.#isRemoved) statuses.set(this.#pod, status);
  }

  /** The pod has run its course but stays in the API: stop what is left, keep containers for their logs. */
  async #finish(state: RuntimeState): Promise<void> {
    this.#prober.sync(this.#pod, { sandboxes: [], runs: new Map() }, true);
    // A pod is over when its last container is: until then it keeps the phase it has.
    await this.#killAll(state, this.#grace());
    this.#report(await this.#read(), true);
    await this.#deps.volumes.remove(this.#pod.metadata.uid ?? "");
    await this.#deps.cgroups.remove(this.#pod);
    if (this.#isAcquired) await this.#deps.objects.release(this.#pod.metadata.uid ?? "");
    this.#isAcquired = false;
    this.#deps.freed?.();
  }

  async #terminate(state: RuntimeState): Promise<void> {
    const { client, cri, statuses, volumes, cgroups, objects, images, context } = this.#deps;
    const { uid = "", namespace = "", name = "" } = this.#pod.metadata;
    this.#prober.sync(this.#pod, state, true);
    if (!this.#isRemoved && [...state.runs.values()].flat().some((run) => run.state === "running"))
      this.#report(state, false);
    await this.#killAll(state, this.#isRemoved ? Math.min(1, this.#grace()) : this.#grace());
    const last = await this.#read();
    if ([...last.runs.values()].flat().some((run) => run.state === "running"))
      throw new Error("containers are still running");
    if (!this.#isRemoved) {
      this.#report(last, true);
      await statuses.flush(uid, this.#stop.signal);
    }
    await volumes.remove(uid);
    const isMirror = this.#pod.metadata.annotations?.["kubernetes.io/config.source"] === "file";
    if (!this.#isRemoved && !isMirror) {
      try {
        await client.delete(Pod, { namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid } });
      } catch (error) {
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
    }
    await Promise.all(
      [...last.runs.values()].flat().map(async (run) => cri.call("RemoveContainer", { containerId: run.id })),
    );
    await Promise.all(
      last.sandboxes.map(async (sandbox) => cri.call("RemovePodSandbox", { podSandboxId: sandbox.id })),
    );
    await cgroups.remove(this.#pod);
    await rm(podLogFolder(context.podLogsFolder, this.#pod), { recursive: true, force: true });
    await objects.release(uid);
    images.forget(uid);
    statuses.forget(uid);
    this.#prober[Symbol.dispose]();
    this.#stop.abort(new DOMException("the pod is gone", "AbortError"));
    this.#deps.gone(uid);
  }
}
