import type { Pod } from "@coracle/api/core/v1";
import { isConflict, isNotFound, StatusError } from "@coracle/apimachinery";
import { isAbort, type Clock, type Logger, type Random } from "@coracle/base";
import type { ApiClient, EventRecorder, Lister } from "@coracle/client";
import {
  bind,
  permit,
  prepare,
  preparers,
  reserve,
  unreserve,
  type BindingDeps,
  type Placement,
} from "../binding/binding-cycle.ts";
import type { PermitRefusal, WaitingPods } from "../binding/waiting-pods.ts";
import type { Decision } from "../cycle/schedule-pod.ts";
import type { PostFilterResult, QueuedPod } from "../framework/plugin.ts";
import type { Profile } from "../framework/profile.ts";
import type { SchedulerMetrics } from "../metrics/scheduler-metrics.ts";
import type { Departures } from "../preemption/departures.ts";
import { evictVictims } from "../preemption/evict-victims.ts";
import type { SchedulingQueue } from "../queue/scheduling-queue.ts";
import type { FailureReason, SchedulingReport } from "../report/scheduling-report.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import { TaskSlots } from "./task-slots.ts";

/** How long pods wait where. */
export interface SchedulerTimes {
  readonly initialBackoffMs?: number;
  readonly maxBackoffMs?: number;
  readonly maxUnschedulableMs?: number;
}

export interface SchedulerDeps {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly state: ClusterState;
  readonly queue: SchedulingQueue;
  readonly waiting: WaitingPods;
  readonly metrics: SchedulerMetrics;
  readonly report: SchedulingReport;
  readonly recorderOf: (schedulerName: string) => EventRecorder;
  readonly departures: Departures;
  /** Placements under way (binding is a request each), those that plugins hold back not counted. */
  readonly binding: TaskSlots;
  /** Pods as the API server has them. */
  readonly pods: Lister<Pod>;
  /** Whether the pod, as it is now, is to be placed. */
  readonly isMine: (pod: Pod) => boolean;
  /** Looks for a node. */
  readonly search: (pod: Pod, profile: Profile) => Decision | Promise<Decision>;
  /** What becomes of room that can be made once others had their say. */
  readonly settleRoom: (pod: Pod, room: Room) => Promise<PostFilterResult>;
}

type Unschedulable = Extract<Decision, { type: "unfit" }>;
type Room = Extract<PostFilterResult, { type: "nominated" }>;

/** One attempt to place a pod. */
interface Attempt {
  readonly entry: QueuedPod;
  readonly pod: Pod;
  readonly profile: Profile;
  readonly startMs: number;
}

/** Placements under way at once. */
export const MAX_BINDING = 128;
const MAX_REPORTING = 64;
/** More reports than these, and the next decision waits. */
const MAX_UNREPORTED = 256;
/** Decisions may keep others from their turn for so long. */
const TURN_MS = 8;

/** Tries one waiting pod after the other until the signal aborts; bindings and reports go on beside it. */
export async function runSchedulingLoop(deps: SchedulerDeps): Promise<void> {
  const { client, clock, logger, signal, profiles, state, queue, metrics, report, binding } = deps;
  const reporting = new TaskSlots(MAX_REPORTING);
  const held = new Set<Promise<void>>();
  const bindingDeps = new Map<string, BindingDeps>();
  for (const [name, profile] of profiles)
    bindingDeps.set(name, { profile, waiting: deps.waiting, metrics, logger, signal });
  let turnEndsAt = clock.monotonicMs() + TURN_MS;
  try {
    while (!signal.aborted) {
      const entry = queue.pop();
      if (entry === undefined) {
        await queue.wait(signal);
        turnEndsAt = clock.monotonicMs() + TURN_MS;
        continue;
      }
      const attempt = attemptOf(entry);
      if (attempt === undefined) queue.done(entry.pod);
      else await place(attempt);
      while (binding.isFull && !signal.aborted) await binding.freed();
      while (reporting.size > MAX_UNREPORTED && !signal.aborted) await reporting.freed();
      if (clock.monotonicMs() < turnEndsAt) continue;
      await new Promise((resolve) => setImmediate(resolve));
      turnEndsAt = clock.monotonicMs() + TURN_MS;
    }
  } finally {
    queue.close();
    await Promise.all([binding.ended(), reporting.ended(), ...held]);
  }

  /** The pod as it is now; undefined: it needs no node, or not from us. */
  function attemptOf(entry: QueuedPod): Attempt | undefined {
    const { namespace, name = "", uid } = entry.pod.metadata;
    const pod = deps.pods.get(namespace, name);
    if (pod === undefined || pod.metadata.uid !== uid || !deps.isMine(pod) || state.isAssumed(pod)) return undefined;
    const profile = profiles.get(pod.spec.schedulerName ?? "");
    return profile === undefined ? undefined : { entry, pod, profile, startMs: clock.monotonicMs() };
  }

  async function place(attempt: Attempt): Promise<void> {
    const { pod, profile, startMs } = attempt;
    let decision: Decision;
    try {
      const found = deps.search(pod, profile);
      decision = found instanceof Promise ? await found : found;
    } catch (error) {
      if (!isAbort(error, signal)) fail(attempt, error);
      return;
    }
    metrics.decided(decision.type === "fits", profile.schedulerName, startMs);
    if (decision.type === "unfit") {
      await refuse(attempt, decision);
      return;
    }
    // Others may have come while an extender was asked.
    if (state.isAssumed(pod)) return queue.done(pod);
    const placement: Placement = { pod, nodeName: decision.nodeName, state: decision.state };
    const around = bindingDeps.get(profile.schedulerName) as BindingDeps;
    state.assume(pod, decision.nodeName);
    state.denominate(pod);
    try {
      // Before the next decision: that one must see what was set aside.
      const refusal = await reserve(around, placement);
      if (refusal !== undefined) return undo(attempt, around, placement, refusal);
    } catch (error) {
      return undo(attempt, around, placement, error);
    }
    const isHeld = profile.at.permit.length > 0 || preparers(around, placement).length > 0;
    if (!isHeld) binding.run(async () => carryOut(attempt, around, placement));
    else {
      const work = waitAndBind(attempt, around, placement);
      held.add(work);
      void work.finally(() => held.delete(work));
    }
  }

  async function waitAndBind(given: Attempt, around: BindingDeps, placement: Placement): Promise<void> {
    const startMs = clock.monotonicMs();
    let attempt = given;
    /** Who grows the cluster, for one, should know where the pod will go. */
    const announce = async (): Promise<void> => {
      try {
        attempt = { ...attempt, pod: await report.expected(attempt.pod, placement.nodeName) };
      } catch (error) {
        if (!signal.aborted) logger.warn("it could not be said where a pod will go", { error });
      }
    };
    try {
      const waitFor = preparers(around, placement);
      if (waitFor.length > 0) await announce();
      if (around.profile.at.permit.length > 0) {
        const refusal = await permit(around, placement, announce);
        metrics.permitted(refusal === undefined ? "Success" : "Unschedulable", startMs);
        if (refusal !== undefined) return undo(attempt, around, placement, refusal);
      }
      // Volumes may take minutes. Whatever fails from here on is an error: what happens meanwhile is no matter.
      queue.done(attempt.pod);
      await prepare(around, placement, waitFor);
    } catch (error) {
      return undo(attempt, around, placement, error);
    }
    await new Promise<void>((resolve) => {
      binding.run(async () => {
        await carryOut(attempt, around, placement);
        resolve();
      });
    });
  }

  async function carryOut(attempt: Attempt, around: BindingDeps, placement: Placement): Promise<void> {
    const { entry, pod, profile, startMs } = attempt;
    try {
      await bind(around, placement);
    } catch (error) {
      return undo(attempt, around, placement, error);
    }
    queue.done(pod);
    metrics.attempted("scheduled", profile.schedulerName, startMs);
    metrics.placed(entry.attempts + 1, clock.now() - (entry.admittedAt ?? entry.since));
    report.placed(profile.schedulerName, pod, placement.nodeName);
  }

  /** The placement came to nothing: what was set aside for it is free again, and the pod waits for another try. */
  function undo(attempt: Attempt, around: BindingDeps, placement: Placement, cause: unknown): void {
    const { entry, pod, profile, startMs } = attempt;
    unreserve(around, placement);
    state.forget(pod);
    queue.notify({ event: "assigned-pod-deleted", old: pod });
    if (isNotFound(cause) && deps.pods.get(pod.metadata.namespace, pod.metadata.name ?? "") === undefined)
      return queue.done(pod);
    if (signal.aborted) return queue.done(pod);
    if (isRefusal(cause)) {
      metrics.attempted("unschedulable", profile.schedulerName, startMs);
      queue.failed(entry, new Set([cause.plugin]), pod);
      report.failed(profile.schedulerName, pod, cause.reason);
      tell(pod, "Unschedulable", cause.reason);
      return;
    }
    // Somebody else was faster, or it was us and the answer got lost: the informer will tell.
    if (isConflict(cause)) {
      metrics.attempted("error", profile.schedulerName, startMs);
      return queue.failed(entry, new Set(), pod);
    }
    fail(attempt, cause, "binding rejected: ");
  }

  /** Something went wrong that is no "no": the pod is tried again after its back-off. */
  function fail({ entry, pod, profile, startMs }: Attempt, error: unknown, prefix = ""): void {
    const message = `${prefix}${error instanceof Error ? error.message : StatusError.from(error).message}`;
    logger.error("pod could not be placed", { pod: `${pod.metadata.namespace}/${pod.metadata.name}`, error });
    metrics.attempted("error", profile.schedulerName, startMs);
    queue.failed(entry, new Set(), pod);
    report.failed(profile.schedulerName, pod, message);
    tell(pod, "SchedulerError", message);
  }

  async function refuse({ entry, pod, profile, startMs }: Attempt, decision: Unschedulable): Promise<void> {
    const room = await makeRoom(pod, profile, decision);
    metrics.attempted("unschedulable", profile.schedulerName, startMs);
    const message = room?.type === "none" ? `${decision.message} ${room.message}` : decision.message;
    report.failed(profile.schedulerName, pod, message);
    if (room?.type !== "nominated") {
      queue.failed(entry, decision.plugins, pod);
      tell(pod, "Unschedulable", message);
      return;
    }
    tell(pod, "Unschedulable", message, async () => {
      try {
        await evict(pod, profile, room);
      } finally {
        // Not before: another attempt would take victims that are about to leave for pods that stay.
        failedNow(entry, decision.plugins);
      }
    });
  }

  /** Makes room, and returns when the state shows it. */
  async function evict(pod: Pod, { schedulerName }: Profile, { nodeName, victims }: Room): Promise<void> {
    const eviction = { client, clock, recorder: deps.recorderOf(schedulerName), schedulerName, signal };
    const startMs = clock.monotonicMs();
    try {
      await evictVictims(eviction, pod, nodeName, victims);
    } catch (error) {
      metrics.evicted("error", startMs);
      throw error;
    }
    metrics.evicted("success", startMs);
    await deps.departures.seen(victims, signal);
  }

  /** The attempt failed some time ago: the pod may have changed, or gone. */
  function failedNow(entry: QueuedPod, plugins: ReadonlySet<string>): void {
    const { namespace, name = "", uid } = entry.pod.metadata;
    const pod = deps.pods.get(namespace, name);
    if (pod === undefined || pod.metadata.uid !== uid || !deps.isMine(pod)) queue.done(entry.pod);
    else queue.failed(entry, plugins, pod);
  }

  /** Asks the plugins whether room can be made. What they choose counts at once: others are tried meanwhile. */
  async function makeRoom(pod: Pod, profile: Profile, decision: Unschedulable): Promise<PostFilterResult | undefined> {
    if (state.nodes().length === 0) return undefined;
    const isDone = metrics.startPoint("PostFilter", profile.schedulerName);
    const messages: string[] = [];
    let isUnderWay = false;
    for (const plugin of profile.at.postFilter) {
      let result: PostFilterResult | undefined;
      try {
        result = plugin.postFilter?.(pod, decision.unfit, state, decision.state);
        if (result?.type === "nominated") result = await deps.settleRoom(pod, result);
      } catch (error) {
        logger.error("plugin failed to make room", { plugin: plugin.name, error });
      }
      if (result === undefined) continue;
      if (result.type === "nominated") {
        state.nominate(pod, result.nodeName);
        metrics.preempted(result.victims.length);
        isDone("Success");
        return result;
      }
      if (result.isFailure === true) {
        isDone("Error");
        state.denominate(pod);
        return result;
      }
      messages.push(result.message);
      isUnderWay ||= result.isUnderWay;
    }
    if (messages.length === 0) return undefined;
    metrics.preempted(0);
    if (!isUnderWay) state.denominate(pod);
    isDone("Unschedulable");
    return { type: "none", message: messages.join(", "), isUnderWay };
  }

  /** Writes a failure down, beside the next decisions and beside what else it asks for. */
  function tell(pod: Pod, reason: FailureReason, message: string, work?: () => Promise<void>): void {
    const nominated = state.nominationOf(pod);
    reporting.run(async () => {
      const done = await Promise.allSettled([report.writeFailure(pod, reason, message, nominated), work?.()]);
      for (const each of done) {
        // Only a report, or a step that the next attempt takes again.
        if (each.status === "fulfilled" || isNotFound(each.reason) || signal.aborted) continue;
        logger.warn("unschedulable pod could not be seen to", { error: each.reason as unknown });
      }
    });
  }
}

const isRefusal = (cause: unknown): cause is PermitRefusal =>
  typeof cause === "object" && cause !== null && !(cause instanceof Error) && "plugin" in cause && "reason" in cause;
