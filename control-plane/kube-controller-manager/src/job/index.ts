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
import { instantOf, timestamp } from "../time/timestamp.ts";
import { backoffMs, countsPerIndex } from "./per-index.ts";
import {
  completedText,
  countHeld,
  decideEnding,
  failedText,
  isIndexed,
  nextRetryMs,
  observe,
  planWork,
  TRACKING,
  type Observation,
  type WorkPlan,
} from "./plan.ts";
import { createJobOrphanController, releasePod } from "./orphans.ts";
import { podForJob } from "./pod.ts";
import { announcedEnding, compactStatus, conditionOf, endingConditions, isFinished, withCondition } from "./status.ts";

interface Memory {
  /** Pods whose finalizer we removed and whose change the cache may not show yet. */
  readonly released: Set<string>;
  failuresInARow: number;
  lastFailureAt: number;
}

/** Runs every Job's pods to completion. A pod is counted exactly once: its finalizer goes only after it is in the status. */
export function createJobController(deps: ControllerDeps, workers?: number): Controller {
  const { client, informers, clock, recorder } = deps;
  const expectations = createExpectations(clock);
  const jobs = informers.informer(Job).lister;
  const pods = informers.informer(Pod, { indexes: byController }).lister;
  const memories = new Map<string, Memory>();

  const memoryOf = (key: string): Memory => {
    let memory = memories.get(key);
    if (memory === undefined)
      memories.set(key, (memory = { released: new Set(), failuresInARow: 0, lastFailureAt: 0 }));
    return memory;
  };

  async function carryOut(
    job: Job,
    key: string,
    plan: WorkPlan,
    seen: Observation,
    signal: AbortSignal,
  ): Promise<void> {
    if (plan.action === "create") {
      expectations.expectCreations(key, plan.count);
      const { succeeded, failure } = await slowStart(plan.count, async (i) => {
        await createPod(
          deps,
          Job,
          job,
          podForJob(job, plan.indexes[i], seen.histories.get(plan.indexes[i] ?? -1)),
          signal,
        );
      });
      for (let i = succeeded; i < plan.count; i++) expectations.creationObserved(key);
      if (failure !== undefined) throw failure;
    } else if (plan.action === "delete") {
      const uidOf = (pod: Pod): string => pod.metadata.uid ?? "";
      expectations.expectDeletions(key, plan.pods.map(uidOf));
      const results = await Promise.allSettled(
        plan.pods.map(async (pod) => {
          try {
            await deletePod(deps, Job, job, pod, signal);
          } catch (error) {
            expectations.deletionObserved(key, uidOf(pod));
            if (!isNotFound(error)) throw error;
          }
        }),
      );
      const failed = results.find((each) => each.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    }
  }

  const event = (job: Job, type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event(referenceTo(Job, job), type, reason, message);

  const orphans = createJobOrphanController(deps);
  const main = defineController<Job>(deps, {
    name: "job",
    for: Job,
    watches: [owned(Pod), matchingOrphans<Pod, Job>(Pod, (job) => job.spec.selector)],
    expectations,
    workers,
    baseDelayMs: 100,
    async reconcile(key, { signal }) {
      const job = jobs.byKey(key);
      if (job === undefined) {
        memories.delete(key);
        return done;
      }
      const { managedBy } = job.spec;
      if (managedBy !== undefined && managedBy !== "kubernetes.io/job-controller") return done;
      const owner = { client, ownerType: Job, owner: job, selector: job.spec.selector, signal };
      const mine = await claim({ ...owner, type: Pod, lister: pods });
      if (isFinished(job)) {
        for (const pod of mine) await releasePod(client, pod, signal);
        memories.delete(key);
        return done;
      }
      const memory = memoryOf(key);
      forgetSeen(memory.released, mine);
      const now = clock.now();
      const isSuspended = job.spec.suspend === true;
      const observed = observe(job, mine, memory.released);
      if (observed.newlySucceeded.length > 0) memory.failuresInARow = 0;
      if (observed.newlyFailed.length > 0) {
        memory.failuresInARow += observed.newlyFailed.length;
        memory.lastFailureAt = now;
      }
      const ending =
        announcedEnding(job) ??
        (job.metadata.deletionTimestamp === undefined ? decideEnding(job, observed, now) : undefined);
      const seen = ending === undefined ? observed : countHeld(observed);
      const mayAct = expectations.satisfied(key) && job.metadata.deletionTimestamp === undefined;
      let waitMs: number | undefined;
      let failure: unknown;
      let plan: WorkPlan = { action: "none" };
      if (ending !== undefined) {
        if (seen.active.length > 0 && mayAct) plan = { action: "delete", pods: seen.active };
      } else if (mayAct) {
        plan = planWork(job, seen, now);
        const leftMs = memory.lastFailureAt + backoffMs(memory.failuresInARow) - now;
        if (countsPerIndex(job)) waitMs = nextRetryMs(seen, now);
        else if (plan.action === "create" && memory.failuresInARow > 0 && leftMs > 0) {
          waitMs = leftMs;
          plan = { action: "none" };
        }
      }
      const isStarting = job.status?.startTime === undefined && !isSuspended;
      try {
        await carryOut(job, key, plan, seen, signal);
      } catch (error) {
        failure = error;
      }
      const stored = await report({ job, mine, seen, plan, memory, ending, isStarting, isSuspended }, signal);
      if (failure !== undefined) throw failure;
      if (isFinished(stored)) return done;
      const deadlineMs = untilDeadline(stored, now);
      return requeueAfter(waitMs === undefined ? deadlineMs : Math.min(waitMs, deadlineMs ?? waitMs));
    },
  });
  return {
    name: main.name,
    run: async (signal) => void (await Promise.all([main.run(signal), orphans.run(signal)])),
  };

  interface Report {
    readonly job: Job;
    readonly mine: readonly Pod[];
    readonly seen: Observation;
    readonly plan: WorkPlan;
    readonly memory: Memory;
    readonly ending: ReturnType<typeof decideEnding>;
    readonly isStarting: boolean;
    readonly isSuspended: boolean;
  }

  /** Names newly ended pods in the status, lets them go, and only then adds them up. */
  async function report(given: Report, signal: AbortSignal): Promise<Job> {
    const { job, mine, seen, plan, memory, ending, isStarting, isSuspended } = given;
    const now = clock.now();
    const uidsOf = (list: readonly Pod[]): readonly string[] => list.map((pod) => pod.metadata.uid ?? "");
    const earlier = job.status?.uncountedTerminatedPods ?? {};
    const uncounted = {
      succeeded: [...(earlier.succeeded ?? []), ...(isIndexed(job) ? [] : uidsOf(seen.newlySucceeded))],
      failed: [...(earlier.failed ?? []), ...uidsOf(seen.newlyFailed)],
    };
    let conditions = job.status?.conditions ?? [];
    const wasSuspended = conditionOf(job, "Suspended")?.status === "True";
    if (isSuspended && !wasSuspended && ending === undefined)
      conditions = withCondition(
        conditions,
        "Suspended",
        "True",
        { reason: "JobSuspended", message: "Job suspended" },
        now,
      );
    if (!isSuspended && wasSuspended)
      conditions = withCondition(
        conditions,
        "Suspended",
        "False",
        { reason: "JobResumed", message: "Job resumed" },
        now,
      );
    if (ending !== undefined) conditions = endingConditions(conditions, ending, false, now);
    const created = plan.action === "create" ? plan.count : 0;
    const deleted = plan.action === "delete" ? plan.pods.length : 0;
    const base: JobStatus = {
      ...job.status,
      conditions,
      active: seen.active.length - deleted,
      ready: Math.min(seen.ready, seen.active.length - deleted),
      terminating: seen.terminating.length + deleted,
      completedIndexes: completedText(job, seen),
      failedIndexes: failedText(job, seen),
      startTime: isSuspended
        ? undefined
        : isStarting || (!isSuspended && wasSuspended)
          ? timestamp(now)
          : job.status?.startTime,
    };
    if (created > 0 && ending === undefined) Object.assign(base, { active: seen.active.length + created });
    const hasNew = seen.newlySucceeded.length + seen.newlyFailed.length > 0;
    let stored = job;
    if (hasNew) stored = await write(stored, { ...base, uncountedTerminatedPods: uncounted }, signal);
    const toRelease = new Set([...uncounted.succeeded, ...uncounted.failed]);
    const counted = mine.filter(
      (pod) => toRelease.has(pod.metadata.uid ?? "") || seen.newlySucceeded.includes(pod) || seen.ignored.includes(pod),
    );
    for (const pod of counted) {
      await releasePod(client, pod, signal);
      memory.released.add(pod.metadata.uid ?? "");
    }
    const isQuiet = seen.active.length === 0 && seen.terminating.length === 0;
    const isFinal = ending !== undefined && isQuiet;
    const succeeded = seen.succeeded;
    const final: JobStatus = {
      ...base,
      uncountedTerminatedPods: {},
      succeeded,
      failed: seen.failed,
      ...(ending === undefined ? {} : { conditions: endingConditions(conditions, ending, isFinal, now) }),
      ...(isFinal && ending.outcome === "Complete" ? { completionTime: timestamp(now) } : {}),
    };
    stored = await write(stored, final, signal);
    if (isSuspended && !wasSuspended && ending === undefined) event(job, "Normal", "Suspended", "Job suspended");
    if (!isSuspended && wasSuspended) event(job, "Normal", "Resumed", "Job resumed");
    if (isFinal) {
      if (ending.outcome === "Complete") event(job, "Normal", "Completed", "Job completed");
      else event(job, "Warning", ending.reason, ending.message);
    }
    return stored;
  }

  async function write(job: Job, status: JobStatus, signal: AbortSignal): Promise<Job> {
    const wanted = compactStatus(status);
    if (equalJson(wanted, compactStatus(job.status ?? {}))) return job;
    return await client.update(Job, { ...job, status: wanted }, { subresource: "status", signal });
  }
}

/** Entries the cache has caught up with are of no more use. */
function forgetSeen(released: Set<string>, mine: readonly Pod[]): void {
  const pending = new Set<string>();
  for (const pod of mine) if (pod.metadata.finalizers?.includes(TRACKING) === true) pending.add(pod.metadata.uid ?? "");
  for (const uid of released) if (!pending.has(uid)) released.delete(uid);
}

function untilDeadline(job: Job, now: number): number | undefined {
  const startedAt = instantOf(job.status?.startTime);
  const { activeDeadlineSeconds, suspend } = job.spec;
  if (activeDeadlineSeconds === undefined || startedAt === undefined || suspend === true) return undefined;
  return Math.max(0, startedAt + activeDeadlineSeconds * 1000 - now) + 1;
}
