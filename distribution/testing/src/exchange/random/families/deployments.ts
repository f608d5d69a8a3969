import { Deployment, ReplicaSet } from "@coracle/api/apps/v1";
import { Pod } from "@coracle/api/core/v1";
import { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { any } from "../../picture.ts";
import { keyOf, NothingToDo, type Actor, type Family } from "../actor.ts";
import { IMAGES, POD_STEPS, webTemplate } from "./pods.ts";

const labels = { app: "web" };

function strategy(actor: Actor): object {
  if (actor.chance(0.25)) return { type: "Recreate", rollingUpdate: null };
  const [maxSurge, maxUnavailable] = [actor.pick([0, 1, 2, "25%", "50%", "100%"]), actor.pick([0, 1, 3, "10%", "34%"])];
  return {
    type: "RollingUpdate",
    rollingUpdate: { maxSurge: maxUnavailable === 0 && maxSurge === 0 ? 1 : maxSurge, maxUnavailable },
  };
}

async function deploy(actor: Actor): Promise<void> {
  await actor.create(any(Deployment), {
    metadata: { ...actor.key("web"), ...(actor.chance(0.3) ? { annotations: { team: "a" } } : {}) },
    spec: {
      replicas: actor.below(7),
      selector: { matchLabels: labels },
      strategy: strategy(actor),
      minReadySeconds: actor.pick([0, 0, 1]),
      revisionHistoryLimit: actor.pick([0, 1, 10]),
      progressDeadlineSeconds: actor.pick([3, 600]),
      paused: actor.chance(0.1),
      template: webTemplate(actor, "web", "web:1"),
    },
  });
}

const change = async (actor: Actor, spec: object): Promise<void> =>
  actor.merge(any(Deployment), actor.one(Deployment), { spec });

/** Rollouts, and hands that interfere with them. */
export const deployments: Family = {
  quietMs: 700,
  begin: deploy,
  steps: {
    ...POD_STEPS,
    "a Deployment is made": deploy,
    async "it is scaled"(actor) {
      await change(actor, { replicas: actor.below(9) });
    },
    async "it gets another template"(actor) {
      const { spec } = actor.one(Deployment);
      const { metadata } = spec.template;
      const image = actor.pick(IMAGES);
      await change(actor, {
        template: { metadata, spec: { ...spec.template.spec, containers: [{ name: "c", image }] } },
      });
    },
    async "its template gets a label"(actor) {
      await change(actor, { template: { metadata: { labels: { round: actor.pick(["1", "2"]) } } } });
    },
    async "it is paused or resumed"(actor) {
      await change(actor, { paused: actor.one(Deployment).spec.paused !== true });
    },
    async "its strategy changes"(actor) {
      await change(actor, { strategy: strategy(actor) });
    },
    async "its limits change"(actor) {
      await change(actor, {
        revisionHistoryLimit: actor.below(3),
        progressDeadlineSeconds: actor.pick([3, 600]),
        minReadySeconds: actor.below(2),
      });
    },
    async "it gets an annotation"(actor) {
      await actor.merge(any(Deployment), actor.one(Deployment), {
        metadata: { annotations: { team: actor.pick(["a", "b", "c"]) } },
      });
    },
    async "it is rolled back by its annotation"(actor) {
      const annotations = { "deprecated.deployment.rollback.to": actor.pick(["0", "1", "2", "9", "x"]) };
      await actor.merge(any(Deployment), actor.one(Deployment), { metadata: { annotations } });
    },
    async "it is deleted"(actor) {
      await actor.remove(Deployment, actor.one(Deployment));
    },
    async "it gets a finalizer, or loses it"(actor) {
      const deployment = actor.one(Deployment);
      const { finalizers = [] } = deployment.metadata;
      const others = finalizers.filter((each) => each !== "example.com/hold");
      await actor.merge(any(Deployment), deployment, {
        metadata: { finalizers: others.length < finalizers.length ? others : [...others, "example.com/hold"] },
      });
    },
    async "a ReplicaSet is scaled by hand"(actor) {
      await actor.merge(any(ReplicaSet), actor.one(ReplicaSet), { spec: { replicas: actor.below(5) } });
    },
    async "a ReplicaSet is deleted"(actor) {
      await actor.remove(ReplicaSet, actor.one(ReplicaSet));
    },
    async "a ReplicaSet's labels no longer match"(actor) {
      await actor.merge(any(ReplicaSet), actor.one(ReplicaSet), { metadata: { labels: { app: "nobody" } } });
    },
    async "a ReplicaSet's labels match again"(actor) {
      const set = actor.one(ReplicaSet, ({ metadata }) => metadata.labels?.["app"] === "nobody");
      await actor.merge(any(ReplicaSet), set, { metadata: { labels } });
    },
    async "a pod costs less to delete"(actor) {
      const annotations = { "controller.kubernetes.io/pod-deletion-cost": actor.pick(["-5", "7"]) };
      await actor.merge(any(Pod), actor.one(Pod), { metadata: { annotations } });
    },
    async "a budget is made, changed, or deleted"(actor) {
      const bound = actor.pick([
        { minAvailable: 2 },
        { maxUnavailable: 1 },
        { minAvailable: "60%" },
        { maxUnavailable: "34%" },
      ]);
      const [budget] = actor.all(PodDisruptionBudget);
      if (budget === undefined)
        await actor.create(any(PodDisruptionBudget), {
          metadata: actor.key("budget"),
          spec: { ...bound, selector: { matchLabels: labels } },
        });
      else if (actor.chance(0.3)) await actor.admin.delete(PodDisruptionBudget, keyOf(budget));
      else
        await actor.merge(any(PodDisruptionBudget), budget, {
          spec: { minAvailable: null, maxUnavailable: null, ...bound },
        });
    },
    async "a ReplicaSet is nobody's"(actor) {
      const sets = actor.all(ReplicaSet, ({ metadata }) => metadata.ownerReferences !== undefined);
      if (sets.length === 0) throw new NothingToDo();
      await actor.merge(any(ReplicaSet), actor.pick(sets), { metadata: { ownerReferences: null } });
    },
  },
};
