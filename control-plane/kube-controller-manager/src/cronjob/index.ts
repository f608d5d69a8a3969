import { CronJob, Job, type CronJobStatus } from "@coracle/api/batch/v1";
import { equalJson, isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import type { Instant } from "@coracle/base";
import { referenceTo } from "@coracle/client";
import {
  byController,
  controlledBy,
  controllerReference,
  defineController,
  done,
  isControlledBy,
  owned,
  requeueAfter,
  type Controller,
  type ControllerDeps,
} from "@coracle/controller-kit";
import { conditionOf, isFinished } from "../job/status.ts";
import { timestamp } from "../time/timestamp.ts";
import { decideStart, dueTime, jobName, surplusJobs } from "./plan.ts";
import { parseSchedule, type Schedule } from "./schedule.ts";

const SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/** A little after the full minute, so that rounding never makes it a little before. */
const SKEW_MS = 100;

/** Starts a Job of every CronJob whenever its schedule says so. One timer per CronJob. */
export function createCronJobController(deps: ControllerDeps, workers?: number): Controller {
  const { client, informers, clock, recorder } = deps;
  const cronJobs = informers.informer(CronJob).lister;
  const jobs = informers.informer(Job, { indexes: byController }).lister;

  const event = (cronJob: CronJob, type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.event(referenceTo(CronJob, cronJob), type, reason, message);

  function scheduleOf(cronJob: CronJob): Schedule | undefined {
    const { schedule, timeZone } = cronJob.spec;
    try {
      return parseSchedule(schedule, timeZone);
    } catch (error) {
      const why = (error as Error).message;
      if (timeZone !== undefined && why.startsWith("unknown time zone"))
        event(cronJob, "Warning", "UnknownTimeZone", `invalid timeZone: ${JSON.stringify(timeZone)} : ${why}`);
      else
        event(cronJob, "Warning", "UnparseableSchedule", `unparseable schedule: ${JSON.stringify(schedule)} : ${why}`);
      return undefined;
    }
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
      if (!isNotFound(error)) throw error;
    }
  }

  /** Which Jobs run now, and when the last one succeeded; tells of those that ended since. */
  function observe(cronJob: CronJob, mine: readonly Job[]): CronJobStatus {
    const listed = cronJob.status?.active ?? [];
    let { lastSuccessfulTime } = cronJob.status ?? {};
    for (const job of mine) {
      if (!isFinished(job)) continue;
      const complete = conditionOf(job, "Complete")?.status === "True";
      if (listed.some((reference) => reference.uid === job.metadata.uid)) {
        const what = complete ? "Complete" : "Failed";
        event(cronJob, "Normal", "SawCompletedJob", `Saw completed job: ${job.metadata.name}, condition: ${what}`);
      }
      const { completionTime } = job.status ?? {};
      if (complete && completionTime !== undefined && (lastSuccessfulTime ?? "") < completionTime)
        lastSuccessfulTime = completionTime;
    }
    const running = mine.filter((job) => !isFinished(job));
    // One that was just started may not be in the cache yet: it stays listed until seen or known to be gone.
    const unseen = listed.filter(
      (reference) =>
        jobs.get(cronJob.metadata.namespace, reference.name ?? "") === undefined &&
        started.get(reference.uid ?? "") !== undefined,
    );
    for (const job of mine) started.delete(job.metadata.uid ?? "");
    const active = [
      ...unseen,
      ...running.map((job) => ({ ...referenceTo(Job, job), resourceVersion: job.metadata.resourceVersion })),
    ];
    return {
      ...cronJob.status,
      active: active.map(({ resourceVersion: _, ...reference }) => ({
        ...(listed.find((known) => known.uid === reference.uid) ?? reference),
      })),
      ...(lastSuccessfulTime === undefined ? {} : { lastSuccessfulTime }),
    };
  }
  /** Jobs that we made and have not seen yet. */
  const started = new Map<string, Instant>();

  async function start(cronJob: CronJob, at: Instant, signal: AbortSignal): Promise<Job | undefined> {
    const { metadata, spec } = cronJob.spec.jobTemplate;
    const wanted: Job = {
      metadata: {
        name: jobName(cronJob, at),
        namespace: cronJob.metadata.namespace,
        labels: metadata?.labels,
        annotations: { ...metadata?.annotations, [SCHEDULED_AT]: timestamp(at) },
        ownerReferences: [controllerReference(CronJob, cronJob)],
      },
      spec: spec ?? { template: {} },
    };
    try {
      const job = await client.create(Job, wanted, { signal });
      event(cronJob, "Normal", "SuccessfulCreate", `Created job ${job.metadata.name}`);
      started.set(job.metadata.uid ?? "", clock.now());
      return job;
    } catch (error) {
      if (isAlreadyExists(error)) {
        const present = await client.get(
          Job,
          { namespace: wanted.metadata.namespace, name: wanted.metadata.name ?? "" },
          { signal },
        );
        if (isControlledBy(present, cronJob)) return present;
      }
      event(cronJob, "Warning", "FailedCreate", `Error creating job: ${(error as Error).message}`);
      throw error;
    }
  }

  return defineController<CronJob>(deps, {
    name: "cronjob",
    for: CronJob,
    watches: [owned(Job)],
    workers,
    async reconcile(key, { signal }) {
      const cronJob = cronJobs.byKey(key);
      if (cronJob === undefined || cronJob.metadata.deletionTimestamp !== undefined) return done;
      const mine = controlledBy(jobs, cronJob);
      for (const { metadata } of surplusJobs(cronJob, mine))
        if (metadata.deletionTimestamp === undefined)
          await remove(cronJob, metadata.namespace, metadata.name ?? "", signal);
      let status = observe(cronJob, mine);
      const save = async (): Promise<void> => {
        if (equalJson(normalized(status), normalized(cronJob.status))) return;
        await client.update(CronJob, { ...cronJob, status: normalized(status) }, { subresource: "status", signal });
      };
      const schedule = cronJob.spec.suspend === true ? undefined : scheduleOf(cronJob);
      if (schedule === undefined) {
        await save();
        return done;
      }
      const now = clock.now();
      const { at, isManyMissed } = dueTime(cronJob, schedule, now);
      if (isManyMissed)
        event(
          cronJob,
          "Warning",
          "TooManyMissedTimes",
          "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
        );
      if (at !== undefined) {
        const isKnown = mine.some((job) => job.metadata.name === jobName(cronJob, at));
        const active = status.active ?? [];
        const decision = decideStart(cronJob, at, active.length, isKnown, now);
        if (decision.action === "start") {
          if (decision.replace) {
            for (const each of active) await remove(cronJob, each.namespace, each.name ?? "", signal);
            status = { ...status, active: [] };
          }
          const job = await start(cronJob, at, signal);
          if (job !== undefined) {
            const reference = referenceTo(Job, job);
            status = { ...status, active: [...(status.active ?? []), reference], lastScheduleTime: timestamp(at) };
          }
        } else if (decision.reason === "MissSchedule")
          event(
            cronJob,
            "Warning",
            "MissSchedule",
            `Missed scheduled time to start a job: ${new Date(at).toUTCString().replace("GMT", "+0000")}`,
          );
        else if (decision.reason === "JobAlreadyActive")
          event(
            cronJob,
            "Normal",
            "JobAlreadyActive",
            "Not starting job because prior execution is running and concurrency policy is Forbid",
          );
      }
      await save();
      const next = schedule.next(now);
      return requeueAfter(next === undefined ? undefined : next - now + SKEW_MS);
    },
  });
}

function normalized(status: CronJobStatus | undefined): CronJobStatus {
  const { active = [], ...rest } = status ?? {};
  return active.length === 0 ? rest : { ...rest, active };
}
