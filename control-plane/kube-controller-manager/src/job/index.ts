import { Job, type JobStatus } from "@coracle/api/batch/v1";
import { Pod } from "@coracle/api/core/v1";
import { equalJson, isNotFound } from "@coracle/apimachinery";
import { referenceTo } from "@coracle/client";
import {
  byController,
  claim,
  createExpectations,
  defineController,
  done,
  matchingOrphans,
  owned,
  requeueAfter,
  slowStart,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { createPod, deletePod } from "../pods/pod-control.ts";
import { isReady } from "../pods/pod-state.ts";
import { instantOf, timestamp } from "../time/timestamp.ts";
import { backoffMs, countsPerIndex } from "./per-index.ts";
import {
  completedText,
  COMPLETIONS_REACHED,
  decideEnding,
  failedText,
  failuresAfter,
  isAccomplished,
  isIndexed,
  nextRetryMs,
  NO_FAILURES,
  observe,
  planCounting,
  planWork,
  TRACKING,
  type Ending,
  type Failures,
  type Observation,
  type WorkPlan,
} from "./plan.ts";
import { matchFailurePolicy } from "./failure-policy.ts";
import type { JobMonitor } from "./monitor.ts";
import { createJobOrphanController, releasePod } from "./orphans.ts";
import { podForJob } from "./pod.ts";
import { announcedEnding, compactStatus, conditionOf, endingConditions, isFinished, withCondition } from "./status.ts";

interface Memory {
  readonly uid: string | undefined;
  /** Pods whose finalizer we removed and whose change the cache may not show yet. */
  readonly released: Set<string>;
  failures: Failures;
  /** The Job as we last wrote it, and the versions it stands in for until the cache shows another. */
  written: Job | undefined;
  readonly outdated: Set<string>;
}

/** What of a plan was carried out. */
interface Outcome {
  readonly created: number;
  readonly deleted: readonly Pod[];
  readonly failure: unknown;
}

const uidOf = (pod: Pod): string => pod.metadata.uid ?? "";

/** Runs every Job's pods to completion. A pod is counted exactly once: its finalizer goes only after it is in the status. */
export function createJobController(deps: ControllerDeps, workers: number, monitor: JobMonitor): Controller {
  const { client, informers, clock, recorder } = deps;
  const expectations = createExpectations(clock);
  const jobs = informers.informer(Job).lister;
  const pods = informers.informer(Pod, { indexes: byController }).lister;
  const memories = new Map<string, Memory>();

  function memoryOf(key: string, uid: string | undefined): Memory {
    let memory = memories.get(key);
    if (memory === undefined || memory.uid !== uid) {
      memory = { uid, released: new Set(), failures: NO_FAILURES, written: undefined, outdated: new Set() };
      memories.set(key, memory);
    }
    return memory;
  }

  /** The Job as it is known best: counting by a status that is older than our own last one would count wrong. */
  function newest(cached: Job, memory: Memory): Job {
    if (memory.written !== undefined && memory.outdated.has(cached.metadata.resourceVersion ?? ""))
      return memory.written;
    memory.written = undefined;
    memory.outdated.clear();
    return cached;
  }

  const event = (job: Job, type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event(referenceTo(Job, job), type, reason, message);

  async function create(
    job: Job,
    key: string,
    indexes: readonly number[],
    count: number,
    seen: Observation,
    signal: AbortSignal,
  ): Promise<Outcome> {
    expectations.expectCreations(key, count);
    let failed = 0;
    const { succeeded, failure } = await slowStart(count, async (i) => {
      const history = seen.histories.get(indexes[i] ?? -1);
      try {
        await createPod(deps, Job, job, podForJob(job, indexes[i], history), signal);
      } catch (error) {
        failed += 1;
        throw error;
      }
    });
    monitor.created(job, seen, succeeded, failed);
    for (let i = succeeded; i < count; i++) expectations.creationObserved(key);
    return { created: succeeded, deleted: [], failure };
  }

  /** Deletes pods; those that are only too many are let go first, so that they count neither way. */
  async function stop(
    job: Job,
    key: string,
    list: readonly Pod[],
    isSurplus: boolean,
    signal: AbortSignal,
  ): Promise<Outcome> {
    if (isSurplus) expectations.expectDeletions(key, list.map(uidOf));
    const results = await Promise.allSettled(
      list.map(async (pod) => {
        try {
          if (isSurplus) {
            await releasePod(client, pod, signal);
            memoryOf(key, job.metadata.uid).released.add(uidOf(pod));
          }
          await deletePod(deps, Job, job, pod, signal);
        } catch (error) {
          expectations.deletionObserved(key, uidOf(pod));
          if (!isNotFound(error)) throw error;
        }
      }),
    );
    return {
      created: 0,
      deleted: list.filter((_, i) => results[i]?.status === "fulfilled"),
      failure: results.find((each) => each.status === "rejected")?.reason,
    };
  }

  async function carryOut(
    job: Job,
    key: string,
    plan: WorkPlan,
    seen: Observation,
    signal: AbortSignal,
  ): Promise<Outcome> {
    switch (plan.action) {
      case "none":
        return { created: 0, deleted: [], failure: undefined };
      case "create":
        return await create(job, key, plan.indexes, plan.count, seen, signal);
      case "delete":
        return await stop(job, key, plan.pods, true, signal);
    }
  }

  const orphans = createJobOrphanController(deps);
  const main = defineController<Job>(deps, {
    name: "job",
    for: Job,
    watches: [owned(Pod), matchingOrphans<Pod, Job>(Pod, (job) => job.spec.selector)],
    expectations,
    workers,
    baseDelayMs: 100,
    async reconcile(key, { signal }) {
      const cached = jobs.byKey(key);
      if (cached === undefined) {
        memories.delete(key);
        return done;
      }
      const { managedBy, completionMode = "NonIndexed" } = cached.spec;
      if (managedBy !== undefined && managedBy !== "kubernetes.io/job-controller") {
        monitor.isForeign(managedBy);
        return done;
      }
      const began = clock.monotonicMs();
      const memory = memoryOf(key, cached.metadata.uid);
      const job = newest(cached, memory);
      const owner = { client, ownerType: Job, owner: job, selector: job.spec.selector, signal };
      const mine = await claim({ ...owner, type: Pod, lister: pods, finalizers: [TRACKING] });
      if (isFinished(job)) {
        await Promise.all(mine.map(async (pod) => releasePod(client, pod, signal)));
        if (job === cached) memories.delete(key);
        return done;
      }
      if (completionMode !== "NonIndexed" && completionMode !== "Indexed") {
        event(job, "Warning", "UnknownCompletionMode", "Skipped Job sync because completion mode is unknown");
        return done;
      }
      forgetSeen(memory.released, mine);
      const now = clock.now();
      const isSuspended = job.spec.suspend === true;
      const seen = observe(job, mine, memory.released);
      const failures = failuresAfter(memory.failures, seen.backoff);
      const mayAct = expectations.satisfied(key);
      let ending = announcedEnding(job) ?? decideEnding(job, seen, now);
      let waitMs: number | undefined;
      let outcome: Outcome;
      const isManaged = ending === undefined && mayAct && job.metadata.deletionTimestamp === undefined;
      if (ending !== undefined) {
        outcome = await stop(job, key, seen.active, false, signal);
        // Told only once nothing of the Job is left to be stopped.
        if (outcome.deleted.length < seen.active.length || !mayAct) ending = undefined;
      } else {
        let plan: WorkPlan = isManaged ? planWork(job, seen, now) : { action: "none" };
        if (countsPerIndex(job)) waitMs = nextRetryMs(seen, now);
        else if (plan.action === "create" && failures.lastAt + backoffMs(failures.count) > now) {
          waitMs = failures.lastAt + backoffMs(failures.count) - now;
          plan = { action: "none" };
        }
        outcome = await carryOut(job, key, plan, seen, signal);
        const active = seen.active.length + outcome.created - outcome.deleted.length;
        if (isAccomplished(job, seen.succeeded, active)) ending = COMPLETIONS_REACHED;
      }
      const stored = await report(
        {
          job,
          mine,
          seen,
          outcome,
          memory,
          ending,
          suspension: isManaged && ending === undefined ? isSuspended : undefined,
        },
        signal,
      );
      memory.failures = failures;
      const action = outcome.deleted.length > 0 ? "pods_deleted" : outcome.created > 0 ? "pods_created" : "tracking";
      monitor.synced(job, outcome.failure === undefined, action, clock.monotonicMs() - began);
      if (outcome.failure !== undefined) throw outcome.failure;
      if (isFinished(stored)) return done;
      const deadlineMs = untilDeadline(stored, now);
      return requeueAfter(waitMs === undefined ? deadlineMs : Math.min(waitMs, deadlineMs ?? waitMs));
    },
  });
  return {
    name: main.name,
    async run(signal) {
      using _seen = informers.informer(Pod).addHandlers({
        added: (pod) => monitor.podSeen(undefined, pod),
        updated: (old, pod) => monitor.podSeen(old, pod),
        deleted: (pod) => monitor.podSeen(pod, undefined),
      });
      await Promise.all([main.run(signal), orphans.run(signal)]);
    },
  };

  interface Report {
    readonly job: Job;
    readonly mine: readonly Pod[];
    readonly seen: Observation;
    readonly outcome: Outcome;
    readonly memory: Memory;
    readonly ending: Ending | undefined;
    /** Whether to say that the Job is suspended, or is not; undefined: say nothing about it. */
    readonly suspension: boolean | undefined;
  }

  /** Names newly ended pods in the status, lets them go, and only then adds them up. */
  async function report(given: Report, signal: AbortSignal): Promise<Job> {
    const { job, mine, seen, outcome, memory, ending, suspension } = given;
    const now = clock.now();
    const earlier = job.status?.uncountedTerminatedPods ?? {};
    const present = (earlier.succeeded?.length ?? 0) + (earlier.failed?.length ?? 0);
    const counting = planCounting(job, mine, seen, ending, memory.released, present);
    const uncounted = {
      succeeded: [...(earlier.succeeded ?? []), ...(isIndexed(job) ? [] : counting.succeeded.map(uidOf))],
      failed: [...(earlier.failed ?? []), ...counting.failed.map(uidOf)],
    };
    const wasSuspended = conditionOf(job, "Suspended")?.status === "True";
    const isSwitched = suspension !== undefined && suspension !== wasSuspended;
    let conditions = job.status?.conditions ?? [];
    if (isSwitched)
      conditions = suspension
        ? withCondition(conditions, "Suspended", "True", { reason: "JobSuspended", message: "Job suspended" }, now)
        : withCondition(conditions, "Suspended", "False", { reason: "JobResumed", message: "Job resumed" }, now);
    if (ending !== undefined) conditions = endingConditions(conditions, ending, false, now);
    const deleted = new Set(outcome.deleted);
    const { deletionTimestamp } = job.metadata;
    // One on its way out does not begin: its deadline would make it fail.
    const isStarting =
      job.status?.startTime === undefined && job.spec.suspend !== true && deletionTimestamp === undefined;
    const terminating = seen.terminating.length + deleted.size;
    const base: JobStatus = {
      ...job.status,
      conditions,
      active: seen.active.length + outcome.created - deleted.size,
      ready: seen.active.filter((pod) => isReady(pod) && !deleted.has(pod)).length,
      terminating,
      completedIndexes: completedText(job, seen),
      failedIndexes: failedText(job, seen),
      startTime: isStarting || (isSwitched && !suspension) ? timestamp(now) : job.status?.startTime,
      ...(isIndexed(job) ? { succeeded: seen.completedIndexes.size } : {}),
    };
    let stored = job;
    if (counting.succeeded.length + counting.failed.length > 0)
      stored = await write(stored, { ...base, uncountedTerminatedPods: uncounted }, memory, signal);
    const named = new Set([...uncounted.succeeded, ...uncounted.failed]);
    const free = new Set([...counting.succeeded, ...counting.failed, ...counting.uncounted]);
    const toRelease = mine.filter((pod) => free.has(pod) || named.has(uidOf(pod)));
    await Promise.all(
      toRelease.map(async (pod) => {
        await releasePod(client, pod, signal);
        memory.released.add(uidOf(pod));
      }),
    );
    if (job.spec.podFailurePolicy !== undefined)
      for (const pod of toRelease) {
        const match = pod.status?.phase === "Failed" ? matchFailurePolicy(job, pod) : undefined;
        if (match !== undefined) monitor.failureHandled(match.action);
      }
    const isFinal = ending !== undefined && terminating === 0 && !counting.isPartial;
    const final: JobStatus = {
      ...base,
      uncountedTerminatedPods: {},
      ...(isIndexed(job) ? {} : { succeeded: (job.status?.succeeded ?? 0) + uncounted.succeeded.length }),
      failed: (job.status?.failed ?? 0) + uncounted.failed.length,
      ...(ending === undefined ? {} : { conditions: endingConditions(conditions, ending, isFinal, now) }),
      ...(isFinal && ending.outcome === "Complete" ? { completionTime: timestamp(now) } : {}),
    };
    stored = await write(stored, final, memory, signal);
    if (isSwitched && suspension) event(job, "Normal", "Suspended", "Job suspended");
    if (isSwitched && !suspension) event(job, "Normal", "Resumed", "Job resumed");
    if (isFinal) tellEnd(stored, ending);
    return stored;
  }

  function tellEnd(job: Job, ending: Ending): void {
    if (ending.outcome === "Failed") return event(job, "Warning", ending.reason, ending.message);
    if ((job.status?.succeeded ?? 0) > (job.spec.completions ?? Infinity))
      event(job, "Warning", "TooManySucceededPods", "Too many succeeded pods running after completion count reached");
    event(job, "Normal", "Completed", "Job completed");
  }

  async function write(job: Job, status: JobStatus, memory: Memory, signal: AbortSignal): Promise<Job> {
    const wanted = compactStatus(status);
    if (equalJson(wanted, compactStatus(job.status ?? {}))) return job;
    const stored = await client.update(Job, { ...job, status: wanted }, { subresource: "status", signal });
    monitor.reported(job, wanted);
    memory.outdated.add(job.metadata.resourceVersion ?? "");
    memory.written = stored;
    return stored;
  }
}

/** Entries the cache has caught up with are of no more use. */
function forgetSeen(released: Set<string>, mine: readonly Pod[]): void {
  const pending = new Set<string>();
  for (const pod of mine) if (pod.metadata.finalizers?.includes(TRACKING) === true) pending.add(uidOf(pod));
  for (const uid of released) if (!pending.has(uid)) released.delete(uid);
}

function untilDeadline(job: Job, now: number): number | undefined {
  const startedAt = instantOf(job.status?.startTime);
  const { activeDeadlineSeconds, suspend } = job.spec;
  if (activeDeadlineSeconds === undefined || startedAt === undefined || suspend === true) return undefined;
  return Math.max(0, startedAt + activeDeadlineSeconds * 1000 - now) + 1;
}
