import { Deployment } from "@coracle/api/apps/v1";
import { HorizontalPodAutoscaler } from "@coracle/api/autoscaling/v2";
import { any } from "../../picture.ts";
import { keyOf, type Actor, type Family } from "../actor.ts";

async function deploy(actor: Actor): Promise<void> {
  await actor.create(any(Deployment), {
    metadata: actor.key("web"),
    spec: {
      replicas: actor.below(6),
      selector: { matchLabels: { app: "web" } },
      template: {
        metadata: { labels: { app: "web" } },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [
            { name: "c", image: "web:1", resources: actor.chance(0.6) ? { requests: { cpu: "100m" } } : {} },
          ],
        },
      },
    },
  });
}

const metric = (actor: Actor): object =>
  actor.pick([
    { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } },
    { type: "Resource", resource: { name: "memory", target: { type: "AverageValue", averageValue: "5Mi" } } },
    { type: "Pods", pods: { metric: { name: "queue" }, target: { type: "AverageValue", averageValue: "5" } } },
    { type: "External", external: { metric: { name: "queue" }, target: { type: "Value", value: "5" } } },
    {
      type: "ContainerResource",
      containerResource: { name: "cpu", container: "c", target: { type: "Utilization", averageUtilization: 50 } },
    },
    {
      type: "Object",
      object: {
        metric: { name: "hits" },
        describedObject: { apiVersion: "v1", kind: "Service", name: "web" },
        target: { type: "Value", value: "5" },
      },
    },
  ]);

async function make(actor: Actor): Promise<void> {
  const minReplicas = 1 + actor.below(3);
  const target = actor.pick([
    { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
    { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
    { apiVersion: "apps/v1", kind: "Deployment", name: "absent" },
    { apiVersion: "example.com/v1", kind: "Nothing", name: "web" },
    { apiVersion: "v1", kind: "ConfigMap", name: "kube-root-ca.crt" },
  ]);
  await actor.create(any(HorizontalPodAutoscaler), {
    metadata: actor.key("one"),
    spec: {
      scaleTargetRef: target,
      minReplicas,
      maxReplicas: minReplicas + actor.below(3),
      metrics: Array.from({ length: 1 + actor.below(2) }, () => metric(actor)),
    },
  });
}

const change = async (actor: Actor, spec: object): Promise<void> =>
  actor.merge(any(HorizontalPodAutoscaler), actor.one(HorizontalPodAutoscaler), { spec });

/** Autoscalers without anybody who serves metrics: limits hold all the same. */
export const autoscalers: Family = {
  quietMs: 4500,
  async begin(actor) {
    await deploy(actor);
    await make(actor);
  },
  steps: {
    "a Deployment is made": deploy,
    "an autoscaler is made": make,
    async "the Deployment is scaled by hand"(actor) {
      await actor.merge(any(Deployment), actor.one(Deployment), { spec: { replicas: actor.below(8) } });
    },
    async "it has other limits"(actor) {
      const minReplicas = 1 + actor.below(3);
      await change(actor, { minReplicas, maxReplicas: minReplicas + actor.below(4) });
    },
    async "it looks at something else"(actor) {
      await change(actor, { metrics: [metric(actor)] });
    },
    async "it scales nothing down, or again"(actor) {
      await change(actor, {
        behavior: actor.pick([
          { scaleDown: { selectPolicy: "Disabled" } },
          { scaleUp: { selectPolicy: "Disabled" } },
          null,
        ]),
      });
    },
    async "it is for another"(actor) {
      const name = actor.pick(["web", "absent"]);
      await change(actor, { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name } });
    },
    async "the Deployment is deleted"(actor) {
      await actor.remove(Deployment, actor.one(Deployment));
    },
    async "an autoscaler is deleted"(actor) {
      await actor.admin.delete(HorizontalPodAutoscaler, keyOf(actor.one(HorizontalPodAutoscaler)));
    },
  },
};
