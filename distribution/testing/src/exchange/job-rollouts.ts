import { CronJob, Job } from "@coracle/api/batch/v1";
import { Pod } from "@coracle/api/core/v1";
import { ended, task, type Rollout } from "./stage.ts";

/** Jobs and CronJobs, to be brought to the same end by each side. */
export const JOB_ROLLOUTS: Readonly<Record<string, Rollout>> = {
  async "a Job adopts what is nobody's, and lets go of what ceases to match"(stage) {
    const { admin, namespace, until } = stage;
    const tracking = "batch.kubernetes.io/job-tracking";
    await admin.create(Job, {
      metadata: { namespace, name: "task" },
      spec: { parallelism: 1, completions: 3, template: task("web:1") },
    });
    const ready = async (): Promise<boolean> => (await admin.get(Job, { namespace, name: "task" })).status?.ready === 1;
    await until("it is at work", ready);
    const [pod] = (await admin.list(Pod, { namespace })).items;
    const key = { namespace, name: pod?.metadata.name ?? "" };
    const owner = async (): Promise<string | undefined> =>
      (await admin.get(Pod, key)).metadata.ownerReferences?.[0]?.name;
    await admin.patch(Pod, key, "merge", { metadata: { ownerReferences: null, finalizers: null } });
    await until("the pod is adopted, and counted again", async () => {
      const { metadata } = await admin.get(Pod, key);
      return (await owner()) === "task" && metadata.finalizers?.includes(tracking);
    });
    const { labels: own = {} } = (await admin.get(Pod, key)).metadata;
    await admin.patch(Pod, key, "merge", {
      metadata: { labels: Object.fromEntries(Object.keys(own).map((name) => [name, null])) },
    });
    await until("it is let go, and another made", async () => {
      const { items } = await admin.list(Pod, { namespace });
      return (await owner()) === undefined && items.length === 2 && (await ready());
    });
  },

  async "Jobs that end well"(stage) {
    const { admin, namespace } = stage;
    const job = (name: string, spec: Omit<Job["spec"], "template">) =>
      admin.create(Job, { metadata: { namespace, name }, spec: { ...spec, template: task("task:ok") } });
    await job("plain", {});
    await job("five", { completions: 5, parallelism: 2 });
    await job("queue", { parallelism: 2 });
    await job("indexed", { completions: 4, parallelism: 2, completionMode: "Indexed" });
    await job("none", { completions: 0 });
    await job("early", {
      completions: 4,
      parallelism: 1,
      completionMode: "Indexed",
      successPolicy: { rules: [{ succeededIndexes: "0-1", succeededCount: 1 }] },
    });
    for (const name of ["plain", "five", "queue", "indexed", "none", "early"]) await ended(stage, name);
  },

  async "Jobs that end badly"(stage) {
    const { admin, namespace } = stage;
    const job = (name: string, spec: Omit<Job["spec"], "template">) =>
      admin.create(Job, { metadata: { namespace, name }, spec: { ...spec, template: task("task:bad") } });
    await job("limit", { backoffLimit: 0 });
    await job("policy", {
      backoffLimit: 3,
      podFailurePolicy: { rules: [{ action: "FailJob", onExitCodes: { operator: "In", values: [1] } }] },
    });
    await job("indexes", { completions: 3, parallelism: 3, completionMode: "Indexed", backoffLimitPerIndex: 0 });
    await job("most", {
      completions: 3,
      parallelism: 1,
      completionMode: "Indexed",
      backoffLimitPerIndex: 0,
      maxFailedIndexes: 0,
    });
    await admin.create(Job, {
      metadata: { namespace, name: "late" },
      spec: { activeDeadlineSeconds: 1, parallelism: 2, completions: 2, template: task("web:1") },
    });
    for (const name of ["limit", "policy", "indexes", "most", "late"]) await ended(stage, name, "Failed");
  },

  async "Jobs that are suspended, resumed, narrowed, somebody else's"(stage) {
    const { admin, namespace, until } = stage;
    const job = (name: string, spec: Omit<Job["spec"], "template">) =>
      admin.create(Job, { metadata: { namespace, name }, spec: { ...spec, template: task("web:1") } });
    const status = async (name: string) => (await admin.get(Job, { namespace, name })).status;
    await job("from-the-start", { suspend: true });
    await job("in-between", { completions: 3, parallelism: 3 });
    await job("narrowed", { completions: 5, parallelism: 4 });
    await job("theirs", { managedBy: "example.com/other" });
    await until(
      "they run",
      async () => (await status("in-between"))?.ready === 3 && (await status("narrowed"))?.ready === 4,
    );
    await admin.patch(Job, { namespace, name: "in-between" }, "merge", { spec: { suspend: true } });
    await admin.patch(Job, { namespace, name: "narrowed" }, "merge", { spec: { parallelism: 1 } });
    await until("it is suspended", async () => {
      const now = await status("in-between");
      return (
        now?.conditions?.some((each) => each.type === "Suspended") === true &&
        now.terminating === 0 &&
        now.active === undefined
      );
    });
    await until("it is narrow", async () => {
      const now = await status("narrowed");
      return now?.active === 1 && now.terminating === 0 && now.ready === 1;
    });
    await admin.patch(Job, { namespace, name: "in-between" }, "merge", { spec: { suspend: false } });
    await until("it runs again", async () => (await status("in-between"))?.ready === 3);
    await until("one was never started", async () =>
      (await status("from-the-start"))?.conditions?.some((each) => each.type === "Suspended"),
    );
  },

  async "CronJobs: one that runs, one that is never due"(stage) {
    const { admin, namespace, until } = stage;
    const cron = (name: string, spec: Partial<CronJob["spec"]>) =>
      admin.create(CronJob, {
        metadata: { namespace, name },
        spec: {
          schedule: "* * * * *",
          jobTemplate: {
            metadata: { labels: { of: name }, annotations: { note: "x" } },
            spec: { template: task("task:ok") },
          },
          ...spec,
        },
      });
    await cron("suspended", { suspend: true });
    await cron("never", { schedule: "0 0 31 2 *" });
    await cron("minutely", { timeZone: "Asia/Kathmandu", concurrencyPolicy: "Forbid" });
    const once = await until("it has succeeded once", async () => {
      const { status } = await admin.get(CronJob, { namespace, name: "minutely" });
      return status?.lastSuccessfulTime !== undefined && (status.active ?? []).length === 0;
    });
    if (once) await admin.patch(CronJob, { namespace, name: "minutely" }, "merge", { spec: { suspend: true } });
  },
};
