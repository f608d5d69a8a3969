import { CronJob, Job } from "@coracle/api/batch/v1";
import { any } from "../../picture.ts";
import { keyOf, type Actor, type Family } from "../actor.ts";
import { endPod, isLive } from "./pods.ts";
import { Pod } from "@coracle/api/core/v1";

/** Due once a month: what is missed since is made up for, and nothing is due by chance. */
const SCHEDULES = ["30 4 1 * *", "0 0 31 2 *", "@monthly", "0 0 1 */3 *"] as const;

async function make(actor: Actor): Promise<void> {
  const name = actor.pick(["one", "two"]);
  await actor.create(any(CronJob), {
    metadata: actor.key(name),
    spec: {
      schedule: actor.pick(SCHEDULES),
      concurrencyPolicy: actor.pick(["Allow", "Forbid", "Replace"]),
      ...(actor.chance(0.3) ? { startingDeadlineSeconds: actor.pick([1, 100, 100_000_000]) } : {}),
      ...(actor.chance(0.3) ? { timeZone: actor.pick(["Etc/UTC", "Asia/Kathmandu"]) } : {}),
      ...(actor.chance(0.2) ? { suspend: true } : {}),
      successfulJobsHistoryLimit: 1 + actor.below(2),
      failedJobsHistoryLimit: actor.below(2),
      jobTemplate: {
        metadata: { labels: { of: name }, annotations: { note: "x" } },
        spec: {
          backoffLimit: 0,
          template: {
            metadata: { labels: { app: "task" } },
            spec: {
              restartPolicy: "Never",
              terminationGracePeriodSeconds: 0,
              containers: [{ name: "task", image: actor.pick(["web:1", "task:ok", "task:bad"]) }],
            },
          },
        },
      },
    },
  });
}

const change = async (actor: Actor, spec: object): Promise<void> =>
  actor.merge(any(CronJob), actor.one(CronJob), { spec });

/** CronJobs that are told to have run long ago. */
export const cronJobs: Family = {
  quietMs: 1600,
  begin: make,
  steps: {
    "one is made": make,
    async "it is long since one ran"(actor) {
      const days = actor.pick([40, 70, 100, 4000]);
      const lastScheduleTime = new Date(Date.now() - days * 86_400_000).toISOString().replace(/\.\d+Z/, "Z");
      await actor.merge(any(CronJob), actor.one(CronJob), { status: { lastScheduleTime } }, "status");
    },
    async "another is long overdue"(actor) {
      const lastScheduleTime = new Date(Date.now() - 65 * 86_400_000).toISOString().replace(/\.\d+Z/, "Z");
      await actor.merge(any(CronJob), actor.one(CronJob), { status: { lastScheduleTime } }, "status");
    },
    async "one is suspended, or resumed"(actor) {
      const job = actor.one(CronJob);
      await actor.merge(any(CronJob), job, { spec: { suspend: job.spec.suspend !== true } });
    },
    async "one has another schedule"(actor) {
      await change(actor, { schedule: actor.pick(SCHEDULES) });
    },
    async "one has another time zone"(actor) {
      await change(actor, { timeZone: actor.pick([null, "Etc/UTC", "America/New_York"]) });
    },
    async "one treats its Jobs otherwise"(actor) {
      await change(actor, {
        concurrencyPolicy: actor.pick(["Allow", "Forbid", "Replace"]),
        successfulJobsHistoryLimit: 1 + actor.below(2),
        failedJobsHistoryLimit: actor.below(2),
        startingDeadlineSeconds: actor.pick([null, 1, 100_000_000]),
      });
    },
    async "one starts others than before"(actor) {
      const image = actor.pick(["web:1", "task:ok", "task:bad"]);
      const containers = [{ name: "task", image }];
      await change(actor, { jobTemplate: { spec: { template: { spec: { containers } } } } });
    },
    async "one is deleted"(actor) {
      await actor.remove(CronJob, actor.one(CronJob));
    },
    async "a Job is deleted"(actor) {
      await actor.remove(Job, actor.one(Job));
    },
    async "a Job is nobody's"(actor) {
      await actor.merge(any(Job), actor.one(Job), { metadata: { ownerReferences: null } });
    },
    async "a pod ends"(actor) {
      await endPod(actor, actor.one(Pod, isLive), actor.pick([0, 1]));
    },
    async "what is active is forgotten"(actor) {
      await actor.merge(any(CronJob), actor.one(CronJob), { status: { active: null } }, "status");
    },
    async "a pod is deleted"(actor) {
      await actor.admin.delete(Pod, keyOf(actor.one(Pod)));
    },
  },
};
