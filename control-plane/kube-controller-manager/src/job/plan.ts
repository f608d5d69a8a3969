import type { Job } from "@coracle/api/batch/v1";
import type { Pod } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { byDeletionPriority } from "../replicaset/plan.ts";
import { instantOf } from "../time/timestamp.ts";
import { formatIndexes, indexOf, parseIndexes } from "./indexes.ts";
import { matchFailurePolicy } from "./failure-policy.ts";
import { countsPerIndex, endOf, judgeIndexes, type IndexHistory } from "./per-index.ts";

export const TRACKING = "batch.kubernetes.io/job-tracking";

/** How a Job ends. */
export interface Ending {
  readonly outcome: "Complete" | "Failed";
  readonly reason: string;
  readonly message: string;
}

/** What one pass sees. */
export interface Observation {
  readonly active: readonly Pod[];
  readonly ready: number;
  readonly terminating: readonly Pod[];
  /** Ended pods that were not counted yet. */
  readonly newlySucceeded: readonly Pod[];
  readonly newlyFailed: readonly Pod[];
  /** Ended pods that count neither way (by the failure policy). */
  readonly ignored: readonly Pod[];
  /** Totals with the new ones. */
  readonly succeeded: number;
  readonly failed: number;
  readonly completedIndexes: ReadonlySet<number>;
  /** Indexes that are given up (with a limit per index). */
  readonly failedIndexes: ReadonlySet<number>;
  /** By index: failures so far, of those that get another try. */
  readonly histories: ReadonlyMap<number, IndexHistory>;
  /** Failed pods that are counted when their index has a successor, or the Job ends. */
  readonly held: readonly Pod[];
  /** When the latest of the new successes, and when each of the new failures was. */
  readonly backoff: { readonly succeededAt: Instant | undefined; readonly failedAt: readonly Instant[] };
  /** The Job must end because of a pod's failure. */
  readonly policyEnding: Ending | undefined;
}

export const isIndexed = (job: Job): boolean => job.spec.completionMode === "Indexed";
const hasTracking = (pod: Pod): boolean => pod.metadata.finalizers?.includes(TRACKING) === true;
const isTerminating = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;

/** Waits for terminating pods to end before they are replaced. */
export function replacesOnlyFailed(job: Job): boolean {
  return job.spec.podReplacementPolicy === "Failed" || job.spec.podFailurePolicy !== undefined;
}

/**
 * Sorts the Job's pods. A pod that has ended counts once: while it carries the tracking finalizer and is neither in
 * `uncounted` (counted in an earlier, unfinished pass) nor in `released` (counted; the cache does not show it yet).
 */
export function observe(job: Job, pods: readonly Pod[], released: ReadonlySet<string>): Observation {
  const status = job.status ?? {};
  const active: Pod[] = [];
  const terminating: Pod[] = [];
  const newlySucceeded: Pod[] = [];
  const newlyFailed: Pod[] = [];
  const ignored: Pod[] = [];
  const endedBadly: Pod[] = [];
  let policyEnding: Ending | undefined;
  let ready = 0;
  const known = new Set([
    ...(status.uncountedTerminatedPods?.succeeded ?? []),
    ...(status.uncountedTerminatedPods?.failed ?? []),
  ]);
  const limit = job.spec.completions ?? Infinity;
  const completedIndexes = parseIndexes(status.completedIndexes, limit);
  let succeeded = isIndexed(job) ? completedIndexes.size : (status.succeeded ?? 0);
  succeeded += isIndexed(job) ? 0 : (status.uncountedTerminatedPods?.succeeded?.length ?? 0);
  let failed = (status.failed ?? 0) + (status.uncountedTerminatedPods?.failed?.length ?? 0);

  for (const pod of pods) {
    const { phase } = pod.status ?? {};
    const { uid = "" } = pod.metadata;
    const isOver = phase === "Succeeded" || phase === "Failed";
    if (!isOver) {
      if (!isTerminating(pod)) {
        active.push(pod);
        if (pod.status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") === true) ready++;
        continue;
      }
      terminating.push(pod);
    }
    if (!hasTracking(pod) || known.has(uid) || released.has(uid)) continue;
    const isFailed = phase === "Failed" || (phase !== "Succeeded" && !replacesOnlyFailed(job));
    const index = indexOf(pod);
    // One of no index of the Job counts neither way.
    if (isIndexed(job) && (index === undefined || index >= limit)) {
      if (isOver) ignored.push(pod);
    } else if (phase === "Succeeded") {
      newlySucceeded.push(pod);
      if (!isIndexed(job)) succeeded++;
      else if (index !== undefined && !completedIndexes.has(index)) {
        completedIndexes.add(index);
        succeeded++;
      }
    } else if (isFailed) {
      endedBadly.push(pod);
      const match = matchFailurePolicy(job, pod);
      if (match?.action === "Ignore") ignored.push(pod);
      else {
        newlyFailed.push(pod);
        failed++;
        if (match?.action === "FailJob")
          policyEnding ??= { outcome: "Failed", reason: "PodFailurePolicy", message: match.message };
      }
    }
  }
  const givenUp = parseIndexes(status.failedIndexes, limit);
  const { failedIndexes, histories, held } = countsPerIndex(job)
    ? judgeIndexes(job, endedBadly, active, completedIndexes, givenUp)
    : { failedIndexes: givenUp, histories: NO_HISTORIES, held: NO_PODS };
  const isHeld = (pod: Pod): boolean => held.has(pod);
  return {
    active,
    ready,
    terminating,
    newlySucceeded,
    newlyFailed: newlyFailed.filter((pod) => !isHeld(pod)),
    ignored: ignored.filter((pod) => !isHeld(pod)),
    succeeded,
    failed: failed - newlyFailed.filter(isHeld).length,
    completedIndexes,
    failedIndexes,
    histories,
    held: newlyFailed.filter(isHeld),
    backoff: { succeededAt: lastEnd(newlySucceeded), failedAt: endedBadly.map(endOf).toSorted((a, b) => a - b) },
    policyEnding,
  };
}

const NO_HISTORIES: ReadonlyMap<number, IndexHistory> = new Map();
const NO_PODS: ReadonlySet<Pod> = new Set();

const lastEnd = (pods: readonly Pod[]): Instant | undefined =>
  pods.length === 0 ? undefined : Math.max(...pods.map(endOf));

/** Failures since the last success, and when the latest was. */
export interface Failures {
  readonly count: number;
  readonly lastAt: Instant;
}

export const NO_FAILURES: Failures = { count: 0, lastAt: 0 };

/** `before` with what was seen newly. */
export function failuresAfter(before: Failures, { succeededAt, failedAt }: Observation["backoff"]): Failures {
  const last = failedAt.at(-1);
  if (succeededAt === undefined)
    return last === undefined ? before : { count: before.count + failedAt.length, lastAt: last };
  const since = failedAt.filter((at) => at > succeededAt);
  return since.length === 0 ? NO_FAILURES : { count: since.length, lastAt: since.at(-1) ?? 0 };
}

/** Names in the status at a time at most. */
const MOST_UNCOUNTED = 500;

/** Pods that are to be named in the status, let go, and then added up. */
export interface Counting {
  readonly succeeded: readonly Pod[];
  readonly failed: readonly Pod[];
  /** Let go without being counted. */
  readonly uncounted: readonly Pod[];
  /** There are more than can be named at a time: the Job has not ended before those are counted. */
  readonly isPartial: boolean;
}

/**
 * Which pods to count now. When the Job fails everything it still has counts as failed; when it succeeds early what is
 * stopped counts neither way.
 */
export function planCounting(
  job: Job,
  pods: readonly Pod[],
  seen: Observation,
  ending: Ending | undefined,
  released: ReadonlySet<string>,
  present: number,
): Counting {
  const succeeded: Pod[] = [...seen.newlySucceeded];
  const failed: Pod[] = [...seen.newlyFailed];
  const uncounted: Pod[] = [...seen.ignored];
  if (ending !== undefined || job.metadata.deletionTimestamp !== undefined) {
    const sorted = new Set([...succeeded, ...failed, ...uncounted]);
    const held = new Set(seen.held);
    const named = new Set([
      ...(job.status?.uncountedTerminatedPods?.succeeded ?? []),
      ...(job.status?.uncountedTerminatedPods?.failed ?? []),
    ]);
    for (const pod of pods) {
      const { uid = "" } = pod.metadata;
      if (sorted.has(pod) || !hasTracking(pod) || released.has(uid) || named.has(uid)) continue;
      const isFailure =
        held.has(pod) || (ending?.outcome === "Failed" && matchFailurePolicy(job, pod)?.action !== "Ignore");
      (isFailure ? failed : uncounted).push(pod);
    }
  }
  const room = Math.max(0, MOST_UNCOUNTED - present);
  const isPartial = succeeded.length + failed.length > room;
  return {
    succeeded: succeeded.slice(0, room),
    failed: failed.slice(0, Math.max(0, room - succeeded.length)),
    uncounted,
    isPartial,
  };
}

/** Whether the Job has to end now whatever is still at work, and why; undefined: it goes on. */
export function decideEnding(job: Job, seen: Observation, now: Instant): Ending | undefined {
  const { backoffLimit = 6, completions, activeDeadlineSeconds } = job.spec;
  if (seen.policyEnding !== undefined) return seen.policyEnding;
  const failed = (reason: string, message: string): Ending => ({ outcome: "Failed", reason, message });
  if (seen.failed + seen.held.length > backoffLimit || restartsExceed(job, seen.active, backoffLimit))
    return failed("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  const startedAt = instantOf(job.status?.startTime);
  if (activeDeadlineSeconds !== undefined && startedAt !== undefined && job.spec.suspend !== true)
    if (now - startedAt >= activeDeadlineSeconds * 1000)
      return failed("DeadlineExceeded", "Job was active longer than specified deadline");
  if (countsPerIndex(job)) {
    const count = seen.failedIndexes.size;
    if (count > (job.spec.maxFailedIndexes ?? Infinity))
      return failed("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
    if (count > 0 && seen.completedIndexes.size + count >= (completions ?? Infinity))
      return failed("FailedIndexes", "Job has failed indexes");
  }
  const rule = matchSuccessPolicy(job, seen.completedIndexes);
  if (rule !== undefined)
    return { outcome: "Complete", reason: "SuccessPolicy", message: `Matched rules at index ${rule}` };
  return undefined;
}

/** The Job has what it was for, and nothing of it is at work any more. */
export function isAccomplished(job: Job, succeeded: number, active: number): boolean {
  const { completions } = job.spec;
  return active === 0 && (completions === undefined ? succeeded > 0 : succeeded >= completions);
}

/** How an accomplished Job ends. */
export const COMPLETIONS_REACHED: Ending = {
  outcome: "Complete",
  reason: "CompletionsReached",
  message: "Reached expected number of succeeded pods",
};

function restartsExceed(job: Job, active: readonly Pod[], backoffLimit: number): boolean {
  if (job.spec.template.spec?.restartPolicy !== "OnFailure") return false;
  let restarts = 0;
  for (const { status } of active) {
    if (status?.phase !== "Running" && status?.phase !== "Pending") continue;
    for (const container of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])])
      restarts += container.restartCount;
  }
  return backoffLimit === 0 ? restarts > 0 : restarts >= backoffLimit;
}

function matchSuccessPolicy(job: Job, completed: ReadonlySet<number>): number | undefined {
  for (const [i, { succeededIndexes, succeededCount }] of (job.spec.successPolicy?.rules ?? []).entries()) {
    const relevant =
      succeededIndexes === undefined
        ? completed
        : [...parseIndexes(succeededIndexes)].filter((each) => completed.has(each));
    const count = "size" in relevant ? relevant.size : relevant.length;
    const needed = succeededCount ?? (succeededIndexes === undefined ? Infinity : parseIndexes(succeededIndexes).size);
    if (count >= needed && needed > 0) return i;
  }
  return undefined;
}

/** What to start and stop so that the right number of pods is at work. */
export type WorkPlan =
  | { readonly action: "none" }
  | { readonly action: "create"; readonly count: number; readonly indexes: readonly number[] }
  | { readonly action: "delete"; readonly pods: readonly Pod[] };

/** Creations in one pass at most. */
export const BURST = 500;

export function planWork(job: Job, seen: Observation, now: Instant): WorkPlan {
  const { active, succeeded, completedIndexes, failedIndexes, histories } = seen;
  const { parallelism = 1, completions } = job.spec;
  let wanted = 0;
  if (job.spec.suspend !== true)
    wanted =
      completions === undefined
        ? succeeded > 0
          ? active.length
          : parallelism
        : Math.min(parallelism, Math.max(0, completions - succeeded));

  const occupied = new Set<number>();
  const useless: Pod[] = [];
  const useful: Pod[] = [];
  for (const pod of active) {
    const index = indexOf(pod);
    if (!isIndexed(job)) useful.push(pod);
    else if (index === undefined || index >= (completions ?? 0) || occupied.has(index)) useless.push(pod);
    else {
      useful.push(pod);
      occupied.add(index);
    }
  }
  const surplus = Math.max(0, active.length - wanted - useless.length);
  if (surplus + useless.length > 0) {
    const least = useful.toSorted(byDeletionPriority(new Map(), now)).slice(0, surplus);
    return { action: "delete", pods: [...useless, ...least].slice(0, BURST) };
  }
  const terminating = replacesOnlyFailed(job) ? seen.terminating : [];
  const count = Math.min(wanted - active.length - terminating.length, BURST);
  if (count <= 0) return { action: "none" };
  if (!isIndexed(job)) return { action: "create", count, indexes: [] };
  for (const pod of terminating) occupied.add(indexOf(pod) ?? -1);
  const pending: number[] = [];
  for (let index = 0; index < (completions ?? 0) && pending.length < count; index++)
    if (!completedIndexes.has(index) && !failedIndexes.has(index) && !occupied.has(index)) pending.push(index);
  // One that has to wait keeps its place: those after it do not overtake.
  const indexes = pending.filter((index) => (histories.get(index)?.retryAt ?? 0) <= now);
  return indexes.length === 0 ? { action: "none" } : { action: "create", count: indexes.length, indexes };
}

/** Milliseconds until the next index that backs off may be tried again. */
export function nextRetryMs(seen: Observation, now: Instant): number | undefined {
  let next: number | undefined;
  for (const { retryAt } of seen.histories.values())
    if (retryAt > now) next = Math.min(next ?? Infinity, retryAt - now);
  return next;
}

/** `completedIndexes` as the status carries it. */
export function completedText(job: Job, seen: Observation): string | undefined {
  return isIndexed(job) && seen.completedIndexes.size > 0 ? formatIndexes(seen.completedIndexes) : undefined;
}

/** `failedIndexes` as the status carries it: always with a limit per index, though none failed. */
export function failedText(job: Job, seen: Observation): string | undefined {
  return countsPerIndex(job) ? formatIndexes(seen.failedIndexes) : undefined;
}
