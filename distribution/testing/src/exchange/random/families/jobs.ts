import { Job } from "@coracle/api/batch/v1";
import { Pod } from "@coracle/api/core/v1";
import { any } from "../../picture.ts";
import type { Actor, Family } from "../actor.ts";
import { endPod, isLive, POD_STEPS } from "./pods.ts";

const IMAGES = ["web:1", "web:1", "web:1", "task:ok", "task:bad"] as const;
const task = (actor: Actor, restartPolicy: string, image: string) => ({
  metadata: { labels: { app: "task" }, ...(actor.chance(0.1) ? { finalizers: ["example.com/hold"] } : {}) },
  spec: { restartPolicy, terminationGracePeriodSeconds: 0, containers: [{ name: "task", image }] },
});

function failurePolicy(actor: Actor, isPerIndex: boolean): object {
  const actions = ["FailJob", "Ignore", "Count", ...(isPerIndex ? ["FailIndex"] : [])];
  const rule = (): object =>
    actor.chance(0.7)
      ? {
          action: actor.pick(actions),
          onExitCodes: { operator: actor.pick(["In", "NotIn"]), values: actor.pick([[1], [2], [2, 42]]) },
        }
      : { action: actor.pick(actions), onPodConditions: [{ type: "DisruptionTarget", status: "True" }] };
  return { rules: Array.from({ length: 1 + actor.below(3) }, rule) };
}

async function make(actor: Actor): Promise<void> {
  const image = actor.pick(IMAGES);
  const isIndexed = actor.chance(0.5);
  const isEarly = isIndexed && actor.chance(0.3);
  const completions = isIndexed || actor.chance(0.7) ? actor.below(6) : undefined;
  const isPerIndex = isIndexed && actor.chance(0.5);
  const hasPolicy = actor.chance(0.4);
  const restartPolicy = hasPolicy || actor.chance(0.8) ? "Never" : "OnFailure";
  await actor.create(any(Job), {
    metadata: actor.key(actor.pick(["one", "two", "three"])),
    spec: {
      parallelism: image === "task:bad" || isEarly ? actor.below(2) : actor.below(5),
      ...(completions === undefined ? {} : { completions }),
      ...(isIndexed ? { completionMode: "Indexed" } : {}),
      ...(isPerIndex
        ? { backoffLimitPerIndex: actor.below(2), ...(actor.chance(0.4) ? { maxFailedIndexes: actor.below(2) } : {}) }
        : { backoffLimit: actor.below(3) }),
      ...(hasPolicy ? { podFailurePolicy: failurePolicy(actor, isPerIndex) } : {}),
      ...(isEarly && (completions ?? 0) > 1
        ? {
            successPolicy: {
              rules: [
                actor.pick([
                  { succeededCount: 1 },
                  { succeededIndexes: "0-1" },
                  { succeededIndexes: "0,1", succeededCount: 1 },
                ]),
              ],
            },
          }
        : {}),
      ...(hasPolicy || actor.chance(0.6)
        ? {}
        : { podReplacementPolicy: actor.pick(["Failed", "TerminatingOrFailed"]) }),
      ...(actor.chance(0.15) ? { suspend: true } : {}),
      ...(image === "web:1" && actor.chance(0.1) ? { activeDeadlineSeconds: 2 } : {}),
      ...(actor.chance(0.1) ? { managedBy: "example.com/other" } : {}),
      ...(actor.chance(0.1) ? { ttlSecondsAfterFinished: 1 } : {}),
      template: task(actor, restartPolicy, image),
    },
  });
}

const change = async (actor: Actor, spec: object): Promise<void> => actor.merge(any(Job), actor.one(Job), { spec });

/** Jobs whose pods end in every way. */
export const jobs: Family = {
  quietMs: 1600,
  patienceMs: 45_000,
  begin: make,
  steps: {
    ...POD_STEPS,
    "one is made": make,
    "another is made": make,
    async "one is wider or narrower"(actor) {
      // Of several pods that fail at once the quicker controller stops some before.
      const imageOf = ({ spec }: Job): string => spec.template.spec?.containers[0]?.image ?? "";
      const isCalm = (job: Job): boolean => imageOf(job) === "web:1" && job.spec.successPolicy === undefined;
      const job = actor.one(Job, isCalm);
      await actor.merge(any(Job), job, { spec: { parallelism: actor.below(6) } });
    },
    async "one is to be longer or shorter"(actor) {
      await change(actor, { completions: actor.below(6) });
    },
    async "one is suspended, or resumed"(actor) {
      const job = actor.one(Job);
      await actor.merge(any(Job), job, { spec: { suspend: job.spec.suspend !== true } });
    },
    async "one gets a deadline"(actor) {
      await change(actor, { activeDeadlineSeconds: 1 + actor.below(3) });
    },
    async "one is kept for a second"(actor) {
      await change(actor, { ttlSecondsAfterFinished: actor.pick([0, 1, 100]) });
    },
    async "one is deleted"(actor) {
      await actor.remove(Job, actor.one(Job));
    },
    async "several pods end well"(actor) {
      for (const pod of actor.all(Pod, isLive)) if (actor.chance(0.5)) await endPod(actor, pod, 0);
    },
    async "all pods end well"(actor) {
      for (const pod of actor.all(Pod, isLive)) await endPod(actor, pod, 0);
    },
    async "a pod is disrupted"(actor) {
      const pod = actor.one(Pod, isLive);
      const at = new Date().toISOString().replace(/\.\d+Z/, "Z");
      const target = {
        type: "DisruptionTarget",
        status: "True",
        reason: "PreemptionByScheduler",
        message: "",
        lastTransitionTime: at,
      };
      await actor.admin.patch(
        Pod,
        { namespace: actor.namespace, name: pod.metadata.name ?? "" },
        "strategic",
        { status: { conditions: [target] } },
        { subresource: "status" },
      );
      await endPod(actor, pod, 137);
    },
    async "one gets a finalizer, or loses it"(actor) {
      const job = actor.one(Job);
      const { finalizers = [] } = job.metadata;
      const others = finalizers.filter((each) => each !== "example.com/hold");
      await actor.merge(any(Job), job, {
        metadata: { finalizers: others.length < finalizers.length ? others : [...others, "example.com/hold"] },
      });
    },
  },
};
