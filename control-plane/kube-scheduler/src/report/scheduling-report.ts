import { Pod, type PodCondition } from "@coracle/api/core/v1";
import type { Clock } from "@coracle/base";
import { referenceTo, type ApiClient, type EventRecorder } from "@coracle/client";
import type { EventStream } from "./event-stream.ts";

export interface ReportDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  /** One a profile: events carry the scheduler's name. */
  readonly recorderOf: (schedulerName: string) => EventRecorder;
  readonly stream: EventStream;
  readonly signal: AbortSignal;
}

/** Why a pod has no node, as its condition says it. */
export type FailureReason = "Unschedulable" | "SchedulerError" | "SchedulingGated";

/** Tells users where a pod went, or why nowhere, in upstream's words. */
export class SchedulingReport {
  readonly #deps: ReportDeps;

  constructor(deps: ReportDeps) {
    this.#deps = deps;
  }

  placed(schedulerName: string, pod: Pod, nodeName: string): void {
    const message = `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${nodeName}`;
    this.#deps.stream.event(schedulerName, referenceTo(Pod, pod), "Scheduled", message);
  }

  failed(schedulerName: string, pod: Pod, message: string): void {
    this.#deps.recorderOf(schedulerName).event(referenceTo(Pod, pod), "Warning", "FailedScheduling", message);
  }

  /** Its devices are made ready on the node; then it is bound. */
  waitsForDevices(pod: Pod, nodeName: string): void {
    const message = `waiting for binding conditions for device on node ${nodeName}`;
    const recorder = this.#deps.recorderOf(pod.spec.schedulerName ?? "");
    recorder.event(referenceTo(Pod, pod), "Normal", "BindingConditionsPending", message);
  }

  /** Says where a pod will go that must wait before it can be bound. Answers the pod as it is then. */
  async expected(pod: Pod, nodeName: string): Promise<Pod> {
    const { client, signal } = this.#deps;
    if (pod.status?.nominatedNodeName === nodeName) return pod;
    const { namespace, name = "" } = pod.metadata;
    const patch = { status: { nominatedNodeName: nodeName } };
    return await client.patch(Pod, { namespace, name }, "strategic", patch, { subresource: "status", signal });
  }

  /** Writes the condition and the nomination where they differ from what the pod says already. */
  async writeFailure(pod: Pod, reason: FailureReason, message: string, nominated: string | undefined): Promise<void> {
    const { client, clock, signal } = this.#deps;
    const old = pod.status?.conditions?.find((condition) => condition.type === "PodScheduled");
    const isNominationKnown = (pod.status?.nominatedNodeName ?? "") === (nominated ?? "");
    const isKnown = old?.status === "False" && old.reason === reason && old.message === message;
    if (isKnown && isNominationKnown) return;
    const now = `${new Date(clock.now()).toISOString().slice(0, 19)}Z`;
    const condition: PodCondition = {
      type: "PodScheduled",
      status: "False",
      reason,
      message,
      observedGeneration: pod.metadata.generation,
      lastTransitionTime: old?.status === "False" ? old.lastTransitionTime : now,
    };
    const { namespace, name = "" } = pod.metadata;
    const status = { conditions: [condition], ...(isNominationKnown ? {} : { nominatedNodeName: nominated ?? null }) };
    const options = { subresource: "status", metadataOnly: true, signal };
    await client.patch(Pod, { namespace, name }, "strategic", { status }, options);
  }
}
