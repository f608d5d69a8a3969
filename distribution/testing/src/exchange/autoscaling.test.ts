import type { KubeObject, ResourceType } from "@coracle/api";
import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { Deployment } from "@coracle/api/apps/v1";
import {
  HorizontalPodAutoscaler,
  type HorizontalPodAutoscalerSpec,
  type MetricSpec,
} from "@coracle/api/autoscaling/v2";
import { Event, Pod } from "@coracle/api/core/v1";
import { sleep, systemClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { peers } from "../differential/peers.ts";
import { startArena, type Arena, type Sides } from "./arena.ts";

const { kubeApiserver, kubeControllerManager, etcd } = peers;
const TIMEOUT_MS = 600_000;
const namespace = "default";
/** Six periods of the autoscalers and a little. */
const WATCHED_MS = 95_000;

const kind = (group: string, version: string, plural: string, name: string): ResourceType<KubeObject> => ({
  group,
  version,
  kind: name,
  listKind: `${name}List`,
  plural,
  namespaced: true,
});
const PodMetrics = kind("metrics.k8s.io", "v1beta1", "pods", "PodMetrics");
const QueueDepth = kind("external.metrics.k8s.io", "v1beta1", "queue-depth", "ExternalMetricValue");
const Fleet = kind("example.com", "v1", "fleets", "Fleet");

const cpu = (target: object): MetricSpec =>
  ({ type: "Resource", resource: { name: "cpu", target } }) as unknown as MetricSpec;
const half = cpu({ type: "Utilization", averageUtilization: 50 });
const external = (name: string, target: object): MetricSpec =>
  ({ type: "External", external: { metric: { name }, target } }) as unknown as MetricSpec;
const deployment = (name: string) => ({ apiVersion: "apps/v1", kind: "Deployment", name });
const fleet = (name: string) => ({ apiVersion: "example.com/v1", kind: "Fleet", name });
const perPod = { type: "AverageValue", averageValue: "10" };

/** How many replicas each Deployment begins with. */
const DEPLOYMENTS: Readonly<Record<string, number>> = {
  busy: 2,
  big: 5,
  none: 0,
  memory: 2,
  shared: 1,
  part: 2,
  crew: 2,
  slow: 1,
};

const AUTOSCALERS: Readonly<Record<string, HorizontalPodAutoscalerSpec>> = {
  busy: { scaleTargetRef: deployment("busy"), maxReplicas: 6, metrics: [half] },
  big: { scaleTargetRef: deployment("big"), maxReplicas: 3, metrics: [half] },
  none: { scaleTargetRef: deployment("none"), maxReplicas: 3, metrics: [half] },
  memory: {
    scaleTargetRef: deployment("memory"),
    maxReplicas: 9,
    metrics: [
      { type: "Resource", resource: { name: "memory", target: { type: "AverageValue", averageValue: "5Mi" } } },
      cpu({ type: "AverageValue", averageValue: "1" }),
    ],
  },
  one: { scaleTargetRef: deployment("shared"), maxReplicas: 3, metrics: [half] },
  other: { scaleTargetRef: deployment("shared"), maxReplicas: 4, metrics: [half] },
  part: {
    scaleTargetRef: deployment("part"),
    maxReplicas: 4,
    metrics: [
      external("nowhere", perPod),
      {
        type: "ContainerResource",
        containerResource: { name: "cpu", container: "c", target: { type: "Utilization", averageUtilization: 100 } },
      },
      {
        type: "ContainerResource",
        containerResource: { name: "cpu", container: "x", target: { type: "Utilization", averageUtilization: 100 } },
      },
    ],
  },
  slow: {
    scaleTargetRef: deployment("slow"),
    maxReplicas: 9,
    behavior: {
      scaleUp: { stabilizationWindowSeconds: 0, policies: [{ type: "Pods", value: 1, periodSeconds: 600 }] },
    },
    metrics: [half],
  },
  lost: { scaleTargetRef: fleet("nowhere"), maxReplicas: 3, metrics: [half] },
  strange: { scaleTargetRef: { apiVersion: "example.com/v1", kind: "Nothing", name: "x" }, maxReplicas: 3 },
  mute: { scaleTargetRef: fleet("mute"), maxReplicas: 3, metrics: [external("queue-depth", perPod)] },
  boats: {
    scaleTargetRef: fleet("boats"),
    maxReplicas: 9,
    metrics: [external("queue-depth", perPod), external("queue-depth", { type: "Value", value: "20" })],
  },
  custom: {
    scaleTargetRef: fleet("rigs"),
    maxReplicas: 9,
    metrics: [{ type: "Pods", pods: { metric: { name: "rps" }, target: { type: "AverageValue", averageValue: "1" } } }],
  },
} as Readonly<Record<string, HorizontalPodAutoscalerSpec>>;

const RIVALS: ReadonlySet<string> = new Set(["one", "other"]);

async function serve(arena: Arena, type: ResourceType<KubeObject>, subresources?: object): Promise<void> {
  const openAPIV3Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  const version = { name: type.version, served: true, storage: true, schema: { openAPIV3Schema } };
  const { admin } = arena;
  await admin.create(CustomResourceDefinition, {
    metadata: {
      name: `${type.plural}.${type.group}`,
      annotations: { "api-approved.kubernetes.io": "unapproved, a test" },
    },
    spec: {
      group: type.group,
      scope: "Namespaced",
      names: { plural: type.plural, kind: type.kind, listKind: type.listKind },
      versions: [{ ...version, ...(subresources === undefined ? {} : { subresources }) }],
    },
  });
  await arena.until(`${type.plural} are served`, async () => (await admin.list(type, { namespace })).items);
}

/** Every pod uses 200m and 10Mi, whenever it is looked. */
async function tellUsage({ admin }: Arena): Promise<void> {
  for (const { metadata } of (await admin.list(Pod, { namespace })).items) {
    const metrics = {
      metadata: { name: metadata.name, namespace, labels: metadata.labels },
      timestamp: new Date(systemClock.now()).toISOString(),
      window: "1s",
      containers: [{ name: "c", usage: { cpu: "200m", memory: "10Mi" } }],
    };
    const key = { namespace, name: metadata.name ?? "" };
    await admin.patch(PodMetrics, key, "merge", metrics).catch(async () => admin.create(PodMetrics, metrics as never));
  }
}

/** What the autoscalers say at the end, and what they ever said. */
async function play(sides: Sides): Promise<unknown> {
  await using arena = await startArena(sides, [{ name: "n1", shortImage: "task:ok", failingImage: "task:bad" }]);
  const { admin } = arena;
  for (const type of [PodMetrics, QueueDepth]) await serve(arena, type);
  await serve(arena, Fleet, {
    scale: {
      specReplicasPath: ".spec.size",
      statusReplicasPath: ".status.size",
      labelSelectorPath: ".status.selector",
    },
  });
  const fleetOf = (name: string, selector?: string) =>
    ({ metadata: { name, namespace }, spec: { size: 2 }, status: { size: 2, selector } }) as never;
  await admin.create(Fleet, fleetOf("boats", "app=crew"));
  await admin.create(Fleet, fleetOf("rigs", "app=rigs"));
  await admin.create(Fleet, fleetOf("mute"));
  await admin.create(QueueDepth, { metadata: { name: "a", namespace }, value: "30500m" } as never);
  for (const [name, replicas] of Object.entries(DEPLOYMENTS)) {
    const labels = { app: name };
    const resources = { requests: { cpu: "100m", memory: "64Mi" } };
    await admin.create(Deployment, {
      metadata: { name, namespace },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "web", resources }] } },
      },
    });
  }
  for (const [name, spec] of Object.entries(AUTOSCALERS))
    await admin.create(HorizontalPodAutoscaler, { metadata: { name, namespace }, spec });
  const end = systemClock.now() + WATCHED_MS;
  while (systemClock.now() < end) {
    await tellUsage(arena);
    await sleep(systemClock, 500);
  }
  const seen = (await admin.list(HorizontalPodAutoscaler, { namespace })).items;
  const events = (await admin.list(Event, { namespace })).items;
  return Object.fromEntries(
    seen.map(({ metadata, status }) => [
      metadata.name,
      // Which of two rivals comes first is chance; that they find each other is not.
      RIVALS.has(metadata.name ?? "")
        ? status?.conditions?.filter(({ type }) => type === "ScalingActive").map(({ message }) => unordered(message))
        : {
            replicas: [status?.currentReplicas, status?.desiredReplicas],
            hasScaled: status?.lastScaleTime !== undefined,
            metrics: status?.currentMetrics,
            conditions: status?.conditions?.map((each) => [
              each.type,
              each.status,
              each.reason,
              unordered(each.message),
            ]),
            events: [
              ...new Set(
                events
                  .filter(({ involvedObject }) => involvedObject.uid === metadata.uid)
                  .map(
                    (event) => `${event.source?.component} ${event.type} ${event.reason} ${unordered(event.message)}`,
                  ),
              ),
            ].toSorted(),
          },
    ]),
  );
}

/** Upstream lists rivals in any order. */
const unordered = (message = ""): string =>
  message.replace(/HPAs: \[(.*)\]/, (_all, list: string) => list.split(" ").toSorted().join(" "));

// Needs upstream's programs: CORACLE_PEER_KUBE_APISERVER, CORACLE_PEER_KUBE_CONTROLLER_MANAGER and CORACLE_PEER_ETCD say where they are.
describe.skipIf(kubeApiserver === "" || kubeControllerManager === "")("autoscalers say and do the same", () => {
  it("as upstream's on our API server, and on upstream's", { timeout: TIMEOUT_MS }, async () => {
    const ours = await play({ apiServer: "ours", controllers: "ours" });
    expect(ours).toEqual(await play({ apiServer: "ours", controllers: { kubeControllerManager } }));
    expect(await play({ apiServer: { kubeApiserver, etcd }, controllers: "ours" })).toEqual(ours);
  });
});
