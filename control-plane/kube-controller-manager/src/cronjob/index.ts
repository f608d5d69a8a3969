import { CronJob, Job, type CronJobStatus } from "@coracle/api/batch/v1";
import { equalJson, isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import type { Instant } from "@coracle/base";
import { cacheKeyOf, referenceTo } from "@coracle/client";
import {
  byController,
  controlledBy,
  controllerReference,
  defineController,
  done,
  isControlledBy,
  isNamespaceTerminating,
  owned,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { conditionOf, isFinished } from "../job/status.ts";
import type { ControllerMetrics } from "../metrics/controller-metrics.ts";
import { instantOf, timestamp } from "../time/timestamp.ts";
import { decideStart, dueTime, jobName, surplusJobs, type Due } from "./plan.ts";
import { localTimestamp, parseSchedule, type Schedule } from "./schedule.ts";

const SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/** A little after the full minute, so that rounding never makes it a little before. */
const SKEW_MS = 100;

/** Starts a Job of every CronJob whenever its schedule says so. One timer per CronJob. */
export function createCronJobController(
  deps: ControllerDeps,
  workers?: number,
  metrics?: ControllerMetrics,
): Controller {
  const { client, informers, clock, recorder } = deps;
  const cronJobs = informers.informer(CronJob).lister;
  const jobs = informers.informer(Job, { indexes: byController }).lister;

  const event = (cronJob: CronJob, type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event(referenceTo(CronJob, cronJob), type, reason, message);

  /** What the CronJob's schedule means; undefined: nothing, as people are told. */
  function scheduleOf(cronJob: CronJob): Schedule | undefined {
    const { schedule, timeZone } = cronJob.spec;
    if (timeZone !== undefined) {
      const problem = problemOf(() => parseSchedule("@daily", timeZone));
      if (problem !== undefined) {
        const text = `invalid timeZone: ${JSON.stringify(timeZone)}: ${problem}`;
        event(cronJob, "Warning", "UnknownTimeZone", text);
        return undefined;
      }
    }
    if (cronJob.spec.suspend === true) return undefined;
    if (schedule.includes("TZ")) {
      const text = `CRON_TZ or TZ used in schedule ${JSON.stringify(schedule)} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details`;
      event(cronJob, "Warning", "UnsupportedSchedule", text);
    }
    const problem = problemOf(() => parseSchedule(schedule, timeZone));
    if (problem === undefined) return parseSchedule(schedule, timeZone);
    const text = `unparseable schedule: ${JSON.stringify(schedule)} : ${problem}`;
    event(cronJob, "Warning", "UnparseableSchedule", text);
    return undefined;
  }

  async function remove(
    cronJob: CronJob,
    namespace: string | undefined,
    name: string,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await client.delete(Job, { namespace, name }, { propagationPolicy: "Background", signal });
      event(cronJob, "Normal", "SuccessfulDelete", `Deleted job ${name}`);
    } catch (error) {
      if (isNotFound(error)) return;
      event(cronJob, "Warning", "FailedDelete", `Deleted job: ${(error as Error).message}`);
      throw error;
    }
  }

  /** Which of the listed Jobs still run, and when the last one succeeded; tells of those that ended or went since. */
  async function observe(cronJob: CronJob, mine: readonly Job[], signal: AbortSignal): Promise<CronJobStatus> {
    let { active = [], lastSuccessfulTime } = cronJob.status ?? {};
    for (const job of mine) {
      const { name, uid } = job.metadata;
      const isListed = active.some((reference) => reference.uid === uid);
      if (!isFinished(job)) {
        if (isListed) continue;
        const fresh = await client.get(CronJob, keyOf(cronJob), { signal });
        if (fresh.status?.active?.some((reference) => reference.uid === uid) === true) {
          ({ active = [], lastSuccessfulTime } = fresh.status);
          continue;
        }
        const text = `Saw a job that the controller did not create or forgot: ${name}`;
        event(cronJob, "Warning", "UnexpectedJob", text);
        continue;
      }
      const complete = conditionOf(job, "Complete")?.status === "True";
      if (isListed) {
        active = active.filter((reference) => reference.uid !== uid);
        const what = complete ? "Complete" : "Failed";
        event(cronJob, "Normal", "SawCompletedJob", `Saw completed job: ${name}, condition: ${what}`);
      }
      const { completionTime } = job.status ?? {};
      if (complete && completionTime !== undefined && (lastSuccessfulTime ?? "") < completionTime)
        lastSuccessfulTime = completionTime;
    }
    for (const { namespace, name = "", uid } of active) {
      if (mine.some((job) => job.metadata.uid === uid)) continue;
      // One that was just started may not be in the cache yet.
      if (await isThere(namespace, name, signal)) continue;
      event(cronJob, "Normal", "MissingJob", `Active job went missing: ${name}`);
      active = active.filter((reference) => reference.uid !== uid);
    }
    return { ...cronJob.status, active, ...(lastSuccessfulTime === undefined ? {} : { lastSuccessfulTime }) };
  }

  const keyOf = ({ metadata: { namespace, name = "" } }: CronJob) => ({ namespace, name });

  async function isThere(namespace: string | undefined, name: string, signal: AbortSignal): Promise<boolean> {
    try {
      await client.get(Job, { namespace, name }, { signal });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async function start(cronJob: CronJob, at: Instant, signal: AbortSignal): Promise<Job | undefined> {
    const { metadata, spec } = cronJob.spec.jobTemplate;
    const wanted: Job = {
      metadata: {
        name: jobName(cronJob, at),
        namespace: cronJob.metadata.namespace,
        labels: metadata?.labels,
        annotations: { ...metadata?.annotations, [SCHEDULED_AT]: localTimestamp(at, cronJob.spec.timeZone) },
        ownerReferences: [controllerReference(CronJob, cronJob)],
      },
      spec: spec ?? { template: {} },
    };
    try {
      const job = await client.create(Job, wanted, { signal });
      metrics?.cronJobStarted((instantOf(job.metadata.creationTimestamp) ?? at) - at);
      event(cronJob, "Normal", "SuccessfulCreate", `Created job ${job.metadata.name}`);
      return job;
    } catch (error) {
      if (isNamespaceTerminating(error)) throw error;
      if (isAlreadyExists(error)) {
        const { namespace, name = "" } = wanted.metadata;
        const present = await client.get(Job, { namespace, name }, { signal });
        return isControlledBy(present, cronJob) ? present : undefined;
      }
      event(cronJob, "Warning", "FailedCreate", `Error creating job: ${(error as Error).message}`);
      throw error;
    }
  }

  let lookAt: (cronJob: CronJob, delayMs: number) => void = () => {};

  /** With another schedule nothing is caught up with: the next time is the first. */
  function changed(cronJob: CronJob, old: CronJob | undefined): boolean {
    const [before, after] = [old?.spec, cronJob.spec];
    if (before === undefined || (before.schedule === after.schedule && before.timeZone === after.timeZone)) return true;
    if (problemOf(() => parseSchedule(after.schedule, after.timeZone)) !== undefined) {
      const text = `unparseable schedule for cronjob: ${after.schedule}`;
      event(cronJob, "Warning", "UnParseableCronJobSchedule", text);
      return false;
    }
    const now = clock.now();
    const { next } = dueTime(cronJob, parseSchedule(after.schedule, after.timeZone), now);
    // One that never comes is told of at once.
    lookAt(cronJob, next === undefined ? 0 : next - now + SKEW_MS);
    return false;
  }

  async function startIfDue(cronJob: CronJob, { at, isManyMissed }: Due, seen: CronJobStatus, signal: AbortSignal) {
    if (isManyMissed)
      event(
        cronJob,
        "Warning",
        "TooManyMissedTimes",
        "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
      );
    if (at === undefined) return seen;
    let { active = [] } = seen;
    const decision = decideStart(cronJob, at, active, clock.now());
    if (decision.action === "start") {
      if (decision.replace) {
        for (const each of active) await remove(cronJob, each.namespace, each.name ?? "", signal);
        active = [];
      }
      const job = await start(cronJob, at, signal);
      if (job === undefined) return { ...seen, active };
      return { ...seen, active: [...active, referenceTo(Job, job)], lastScheduleTime: timestamp(at) };
    }
    if (decision.reason === "MissSchedule") {
      const when = new Date(at).toUTCString().replace("GMT", "+0000");
      event(cronJob, "Warning", "MissSchedule", `Missed scheduled time to start a job: ${when}`);
    } else if (decision.reason === "JobAlreadyActive") {
      const text = "Not starting job because prior execution is running and concurrency policy is Forbid";
      event(cronJob, "Normal", "JobAlreadyActive", text);
    }
    return seen;
  }

  return defineController<CronJob>(deps, {
    name: "cronjob",
    for: CronJob,
    changed,
    watches: [owned(Job)],
    workers,
    started({ enqueueAfter }) {
      lookAt = (cronJob, delayMs) => enqueueAfter(cacheKeyOf(cronJob), delayMs);
    },
    async reconcile(key, { signal }) {
      const cronJob = cronJobs.byKey(key);
      if (cronJob === undefined) return done;
      const mine = controlledBy(jobs, cronJob);
      let status = await observe(cronJob, mine, signal);
      let next: Instant | undefined;
      const isDeleted = cronJob.metadata.deletionTimestamp !== undefined;
      const schedule = isDeleted ? undefined : scheduleOf(cronJob);
      const now = clock.now();
      if (schedule !== undefined) {
        const due = dueTime(cronJob, schedule, now);
        if (due.isInvalid) {
          const text = `invalid schedule: ${cronJob.spec.schedule} : time difference between two schedules is less than 1 second`;
          event(cronJob, "Warning", "InvalidSchedule", text);
        } else {
          status = await startIfDue(cronJob, due, status, signal);
          ({ next } = due);
        }
      }
      for (const { metadata } of surplusJobs(cronJob, mine)) {
        if (metadata.deletionTimestamp !== undefined) continue;
        await remove(cronJob, metadata.namespace, metadata.name ?? "", signal);
        status = { ...status, active: status.active?.filter((each) => each.uid !== metadata.uid) };
      }
      if (!equalJson(normalized(status), normalized(cronJob.status)))
        await client.update(CronJob, { ...cronJob, status: normalized(status) }, { subresource: "status", signal });
      return requeueAfter(next === undefined ? undefined : next - now + SKEW_MS);
    },
  });
}

/** Why it cannot be read. */
function problemOf(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function normalized(status: CronJobStatus | undefined): CronJobStatus {
  const { active = [], ...rest } = status ?? {};
  return active.length === 0 ? rest : { ...rest, active };
}
