import type { CronJob, Job } from "@coracle/api/batch/v1";
import type { Instant } from "@coracle/base";
import { conditionOf } from "../job/status.ts";
import { byAge, instantOf } from "../time/timestamp.ts";
import type { Schedule } from "./schedule.ts";

/** Missed times that are worth a warning. */
const MANY_MISSED = 100;

export interface Due {
  /** The latest time at which a Job was due and has not been started; undefined: none. */
  readonly at: Instant | undefined;
  readonly isManyMissed: boolean;
}

/** What is due since the last start. Times before the starting deadline no longer count. */
export function dueTime(cronJob: CronJob, schedule: Schedule, now: Instant): Due {
  const created = instantOf(cronJob.metadata.creationTimestamp) ?? now;
  let since = instantOf(cronJob.status?.lastScheduleTime) ?? created;
  const { startingDeadlineSeconds } = cronJob.spec;
  if (startingDeadlineSeconds !== undefined) since = Math.max(since, now - startingDeadlineSeconds * 1000);
  let at: Instant | undefined;
  let missed = 0;
  let next = schedule.next(since);
  while (next !== undefined && next <= now) {
    at = next;
    if (++missed > MANY_MISSED) {
      // Too many to walk through one by one: jump close to now.
      const period = (schedule.next(next) ?? now) - next;
      const skip = Math.floor((now - next) / Math.max(period, 60_000)) - 1;
      if (skip > 1) next = schedule.next(next + (skip - 1) * period - 1);
      else next = schedule.next(next);
      continue;
    }
    next = schedule.next(next);
  }
  return { at, isManyMissed: missed > MANY_MISSED };
}

/** What to do about a due time. */
export type StartDecision =
  | { readonly action: "start"; readonly replace: boolean }
  | { readonly action: "skip"; readonly reason: "MissSchedule" | "JobAlreadyActive" | undefined };

export function decideStart(
  cronJob: CronJob,
  at: Instant,
  active: number,
  isKnown: boolean,
  now: Instant,
): StartDecision {
  const { startingDeadlineSeconds, concurrencyPolicy = "Allow" } = cronJob.spec;
  if (startingDeadlineSeconds !== undefined && at + startingDeadlineSeconds * 1000 < now)
    return { action: "skip", reason: "MissSchedule" };
  if (isKnown || instantOf(cronJob.status?.lastScheduleTime) === at) return { action: "skip", reason: undefined };
  if (concurrencyPolicy === "Forbid" && active > 0) return { action: "skip", reason: "JobAlreadyActive" };
  return { action: "start", replace: concurrencyPolicy === "Replace" };
}

/** The name of the Job for a due time; the same for each who computes it. */
export function jobName(cronJob: CronJob, at: Instant): string {
  return `${cronJob.metadata.name}-${Math.floor(at / 60_000)}`;
}

/** Ended Jobs beyond what the history keeps, oldest first. */
export function surplusJobs(cronJob: CronJob, jobs: readonly Job[]): readonly Job[] {
  const beyond = (type: string, limit: number | undefined): readonly Job[] => {
    if (limit === undefined) return [];
    const ended = jobs.filter((job) => conditionOf(job, type)?.status === "True").toSorted(byAge);
    return ended.slice(0, Math.max(0, ended.length - limit));
  };
  return [
    ...beyond("Complete", cronJob.spec.successfulJobsHistoryLimit),
    ...beyond("Failed", cronJob.spec.failedJobsHistoryLimit),
  ];
}
