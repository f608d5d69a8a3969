import type { Pod, ResourceRequirements } from "@coracle/api/core/v1";
import { containerResources, type NodeContext } from "../container/container-config.ts";
import { criMessage, type CriClient } from "../cri/cri-client.ts";
import type { PodCgroups } from "../resources/pod-cgroups.ts";
import { podAmounts } from "../resources/qos.ts";
import {
  allocationOf,
  largerAmounts,
  planResizes,
  resizeMessage,
  wantsOther,
  wishOf,
  withAllocation,
  type ContainerResize,
  type ResizeProgress,
  type ResizeRefusal,
} from "./resize.ts";
import type { ContainerRun, RuntimeState } from "./runtime-state.ts";

/** What a change of a pod's resources needs. */
export interface PodResizerDeps {
  readonly cri: CriClient;
  readonly cgroups: PodCgroups;
  readonly context: NodeContext;
  /** Whether the node can give the pod what it asks for, with the other pods there. */
  readonly admitResize: (pod: Pod) => ResizeRefusal | undefined;
  /** Something may have come free for other pods. */
  readonly freed?: (() => void) | undefined;
  readonly tell: (type: "Normal" | "Warning", reason: string, message: string) => void;
}

/** Grants a pod what it asks for when the node has it, and brings its running containers to what was granted. */
export class PodResizer {
  readonly #deps: PodResizerDeps;
  #allocation: Map<string, ResourceRequirements>;
  /** What the runtime was told last, by run id. */
  readonly #given = new Map<string, ResourceRequirements>();
  #progress: ResizeProgress = {};

  constructor(deps: PodResizerDeps, pod: Pod) {
    this.#deps = deps;
    this.#allocation = allocationOf(pod);
    for (const { containerID, resources } of [
      ...(pod.status?.containerStatuses ?? []),
      ...(pod.status?.initContainerStatuses ?? []),
    ])
      if (containerID !== undefined && resources !== undefined) this.#given.set(idOf(containerID), resources);
    const isOn = pod.status?.conditions?.some(({ type }) => type === "PodResizeInProgress") === true;
    if (isOn) this.#progress = { inProgress: { generation: pod.metadata.generation ?? 0 } };
  }

  /** The pod with the resources that it was granted. */
  granted(pod: Pod): Pod {
    return withAllocation(pod, this.#allocation);
  }

  get progress(): ResizeProgress {
    return this.#progress;
  }

  get isDeferred(): boolean {
    return this.#progress.pending?.reason === "Deferred";
  }

  /** What a run has, as far as is known. */
  has(runId: string): ResourceRequirements | undefined {
    return this.#given.get(runId);
  }

  /** A container was made with these. */
  made(runId: string, resources: ResourceRequirements | undefined): void {
    this.#given.set(runId, resources ?? {});
  }

  /** Grants what the pod asks for, if the node has it. True: it was granted something new. */
  decide(wanted: Pod): boolean {
    const generation = wanted.metadata.generation ?? 0;
    if (!wantsOther(wanted, this.#allocation)) {
      this.#progress = { ...this.#progress, pending: undefined };
      return false;
    }
    const refusal = this.#deps.admitResize(wanted);
    if (refusal === undefined) {
      this.#allocation = wishOf(wanted);
      this.#progress = { inProgress: { generation } };
      this.#deps.freed?.();
      this.#deps.tell("Normal", "ResizeStarted", resizeMessage("Pod resize started", wanted, generation));
      return true;
    }
    const { pending } = this.#progress;
    const isNew = pending?.reason !== refusal.reason || pending.message !== refusal.message;
    if (isNew || pending.generation !== generation) {
      const message = resizeMessage(`Pod resize ${refusal.reason}`, wanted, generation, refusal.message);
      this.#deps.tell("Warning", `Resize${refusal.reason}`, message);
    }
    this.#progress = { ...this.#progress, pending: { ...refusal, generation } };
    return false;
  }

  /** The running containers that must start anew to have what they were granted. */
  restarts(pod: Pod, state: RuntimeState): ReadonlySet<string> {
    return new Set(
      this.#plan(pod, state)
        .filter(({ needsRestart }) => needsRestart)
        .map(({ run }) => run.id),
    );
  }

  #plan(pod: Pod, state: RuntimeState): ContainerResize[] {
    return planResizes(pod, state, (run: ContainerRun) => this.#given.get(run.id));
  }

  /** Gives running containers what the pod was granted. Throws when the runtime refuses; it is tried again then. */
  async carryOut(pod: Pod, state: RuntimeState): Promise<void> {
    const { cri, cgroups, context, tell } = this.#deps;
    this.#forgetRuns(state);
    const all = this.#plan(pod, state);
    const generation = pod.metadata.generation ?? 0;
    if (all.length > 0) {
      this.#progress = { ...this.#progress, inProgress: this.#progress.inProgress ?? { generation } };
      try {
        const before = podAmounts(withAllocation(pod, this.#present(pod, state)));
        await cgroups.set(pod, largerAmounts(before, podAmounts(pod)));
        for (const { container, run, needsRestart } of all) {
          if (needsRestart) continue;
          const linux = containerResources(pod, container, context);
          await cri.call("UpdateContainerResources", { containerId: run.id, linux });
          this.#given.set(run.id, container.resources ?? {});
        }
        if (all.every(({ needsRestart }) => !needsRestart)) await cgroups.set(pod, podAmounts(pod));
      } catch (error) {
        const message = criMessage(error);
        if (this.#progress.inProgress?.error !== message)
          tell("Warning", "ResizeError", resizeMessage("Pod resize error", pod, generation, message));
        this.#progress = { ...this.#progress, inProgress: { error: message, generation } };
        throw error;
      }
    }
    if (this.#progress.inProgress === undefined || this.#plan(pod, state).length > 0) return;
    await cgroups.set(pod, podAmounts(pod));
    const { generation: started } = this.#progress.inProgress;
    this.#progress = { ...this.#progress, inProgress: undefined };
    tell("Normal", "ResizeCompleted", resizeMessage("Pod resize completed", pod, started));
  }

  #forgetRuns(state: RuntimeState): void {
    if (this.#given.size === 0) return;
    const present = new Set([...state.runs.values()].flat().map(({ id }) => id));
    for (const id of this.#given.keys()) if (!present.has(id)) this.#given.delete(id);
  }

  /** What the pod's containers have now. */
  #present(pod: Pod, state: RuntimeState): Map<string, ResourceRequirements> {
    const out = new Map(this.#allocation);
    for (const { container, run } of this.#plan(pod, state)) out.set(container.name, this.#given.get(run.id) ?? {});
    return out;
  }
}

const idOf = (containerId: string): string => containerId.replace(/^[a-z0-9+.-]+:\/\//i, "");
