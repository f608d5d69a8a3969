import type { CronJob, Job } from "@coracle/api/batch/v1";
import type { ObjectReference } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { conditionOf } from "../job/status.ts";
import { instantOf } from "../time/timestamp.ts";
import type { Schedule } from "./schedule.ts";

/** Missed times that are worth a warning. */
const MANY_MISSED = 100;

export interface Due {
  /** The latest time at which a Job was due and has not been started; undefined: none. */
  readonly at: Instant | undefined;
  readonly isManyMissed: boolean;
  /** When to look again; undefined: the schedule has no further time. */
  readonly next: Instant | undefined;
  /** The schedule reads well and means nothing (the 31st of February). */
  readonly isInvalid: boolean;
}

/** What is due since the last start. Times before the starting deadline no longer count. */
export function dueTime(cronJob: CronJob, schedule: Schedule, now: Instant): Due {
  const { startingDeadlineSeconds } = cronJob.spec;
  const begin = instantOf(cronJob.status?.lastScheduleTime) ?? instantOf(cronJob.metadata.creationTimestamp) ?? now;
  const deadline = startingDeadlineSeconds === undefined ? begin : now - startingDeadlineSeconds * 1000;
  const { at, missed, isInvalid } = mostRecent(schedule, Math.max(begin, deadline), now);
  const whole = startingDeadlineSeconds === undefined ? { at, missed } : mostRecent(schedule, begin, now);
  const from = isInvalid ? now : (whole.at ?? (whole.missed === 0 ? begin : now));
  return { at, isManyMissed: at !== undefined && missed > MANY_MISSED, next: schedule.next(from), isInvalid };
}

/** The last time after `since` that is not after `now`, found without walking through all of them. */
function mostRecent(
  schedule: Schedule,
  since: Instant,
  now: Instant,
): { readonly at: Instant | undefined; readonly missed: number; readonly isInvalid: boolean } {
  const first = schedule.next(since);
  if (first === undefined) return { at: undefined, missed: 0, isInvalid: true };
  if (now < first) return { at: undefined, missed: 0, isInvalid: false };
  const second = schedule.next(first);
  if (second === undefined || now < second) return { at: first, missed: 0, isInvalid: false };
  const period = Math.round((second - first) / 1000) * 1000;
  const missed = Math.floor((now - first) / period) + 1;
  let at: Instant | undefined;
  // One period too early, because periods may differ in length.
  let next = schedule.next(first + (missed - 2) * period);
  while (next !== undefined && next <= now) {
    at = next;
    next = schedule.next(next);
  }
  return { at, missed, isInvalid: false };
}

/** What to do about a due time. */
export type StartDecision =
  | { readonly action: "start"; readonly replace: boolean }
  | { readonly action: "skip"; readonly reason: "MissSchedule" | "JobAlreadyActive" | undefined };

export function decideStart(
  cronJob: CronJob,
  at: Instant,
  active: readonly ObjectReference[],
  now: Instant,
): StartDecision {
  const { startingDeadlineSeconds, concurrencyPolicy = "Allow" } = cronJob.spec;
  if (startingDeadlineSeconds !== undefined && at + startingDeadlineSeconds * 1000 < now)
    return { action: "skip", reason: "MissSchedule" };
  const isKnown = active.some((each) => each.name === jobName(cronJob, at));
  if (isKnown || instantOf(cronJob.status?.lastScheduleTime) === at) return { action: "skip", reason: undefined };
  if (concurrencyPolicy === "Forbid" && active.length > 0) return { action: "skip", reason: "JobAlreadyActive" };
  return { action: "start", replace: concurrencyPolicy === "Replace" };
}

/** The name of the Job for a due time; the same for each who computes it. */
export function jobName(cronJob: CronJob, at: Instant): string {
  return `${cronJob.metadata.name}-${Math.floor(at / 60_000)}`;
}

/** Those that were never started come last. */
function byStart(a: Job, b: Job): number {
  const [left, right] = [instantOf(a.status?.startTime) ?? Infinity, instantOf(b.status?.startTime) ?? Infinity];
  return left === right ? ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1) : left - right;
}

/** Ended Jobs beyond what the history keeps, oldest first. */
export function surplusJobs(cronJob: CronJob, jobs: readonly Job[]): readonly Job[] {
  const beyond = (type: string, limit: number | undefined): readonly Job[] => {
    if (limit === undefined) return [];
    const ended = jobs.filter((job) => conditionOf(job, type)?.status === "True").toSorted(byStart);
    return ended.slice(0, Math.max(0, ended.length - limit));
  };
  return [
    ...beyond("Complete", cronJob.spec.successfulJobsHistoryLimit),
    ...beyond("Failed", cronJob.spec.failedJobsHistoryLimit),
  ];
}
