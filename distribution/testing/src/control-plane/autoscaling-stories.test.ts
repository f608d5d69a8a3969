import type { KubeObject, ResourceType } from "@coracle/api";
import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { Deployment } from "@coracle/api/apps/v1";
import { HorizontalPodAutoscaler, type HorizontalPodAutoscalerStatus } from "@coracle/api/autoscaling/v2";
import { Event, Pod } from "@coracle/api/core/v1";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const labels = { app: "web" };

/** Metrics as a metrics server would tell them; here objects that the test writes. */
interface Metrics extends KubeObject {
  readonly timestamp?: string;
  readonly window?: string;
  readonly containers?: readonly { readonly name: string; readonly usage: Readonly<Record<string, string>> }[];
  readonly value?: string;
}

const kind = (group: string, plural: string, name: string): ResourceType<Metrics> => ({
  group,
  version: "v1beta1",
  kind: name,
  listKind: `${name}List`,
  plural,
  namespaced: true,
});
const PodMetrics = kind("metrics.k8s.io", "pods", "PodMetrics");
const QueueDepth = kind("external.metrics.k8s.io", "queue-depth", "ExternalMetricValue");
const Fleet: ResourceType<KubeObject & { readonly spec?: { readonly size?: number } }> = {
  ...kind("example.com", "fleets", "Fleet"),
  version: "v1",
} as ResourceType<KubeObject & { readonly spec?: { readonly size?: number } }>;

describe("horizontal autoscaling, with time in the test's hand", () => {
  let plane: TestControlPlane;

  beforeEach(async () => {
    plane = await createTestControlPlane({ fakeClock: true });
    await plane.addNode({ name: "n1", shortImage: "task:ok", failingImage: "task:bad" });
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  async function serve(type: ResourceType<KubeObject>, part: object = {}): Promise<void> {
    await plane.admin.create(CustomResourceDefinition, {
      metadata: {
        name: `${type.plural}.${type.group}`,
        annotations: { "api-approved.kubernetes.io": "unapproved, a test" },
      },
      spec: {
        group: type.group,
        scope: "Namespaced",
        names: { plural: type.plural, kind: type.kind, listKind: type.listKind },
        versions: [
          {
            name: type.version,
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
            ...part,
          },
        ],
      },
    });
    await plane.until(`${type.plural} are served`, async () => (await plane.admin.list(type, { namespace })).items);
  }

  const status = async (name: string): Promise<HorizontalPodAutoscalerStatus | undefined> =>
    (await plane.admin.get(HorizontalPodAutoscaler, { namespace, name })).status;
  const said = (seen: HorizontalPodAutoscalerStatus | undefined): string[] =>
    (seen?.conditions ?? []).map((each) => `${each.type} ${each.status} ${each.reason}`).toSorted();
  const events = async (): Promise<string[]> =>
    (await plane.admin.list(Event, { namespace })).items
      .filter(({ source }) => source?.component === "horizontal-pod-autoscaler")
      .map((event) => `${event.type} ${event.reason} ${event.message}`);
  const slowly = { limitMs: 900_000, stepMs: 5000 };

  /** Every ready pod says that it uses so much. */
  async function tellUsage(cpu: string): Promise<void> {
    const pods = (await plane.admin.list(Pod, { namespace })).items;
    const told = new Set((await plane.admin.list(PodMetrics, { namespace })).items.map((each) => each.metadata.name));
    for (const { metadata } of pods) {
      const metrics = {
        metadata: { name: metadata.name, namespace, labels },
        timestamp: new Date(plane.clock.now()).toISOString(),
        window: "10s",
        containers: [{ name: "c", usage: { cpu, memory: "10Mi" } }],
      };
      const key = { namespace, name: metadata.name ?? "" };
      if (told.has(metadata.name)) await plane.admin.patch(PodMetrics, key, "merge", metrics);
      else await plane.admin.create(PodMetrics, metrics);
    }
  }

  it("a busy Deployment grows as fast as it may, and shrinks once the window of recent needs is over", async () => {
    await serve(PodMetrics);
    await plane.admin.create(Deployment, {
      metadata: { name: "web", namespace },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { containers: [{ name: "c", image: "web", resources: { requests: { cpu: "100m" } } }] },
        },
      },
    });
    await plane.admin.create(HorizontalPodAutoscaler, {
      metadata: { name: "web", namespace },
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
        minReplicas: 1,
        maxReplicas: 6,
        metrics: [
          { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } },
        ],
      },
    });
    const failed = await plane.until(
      "nothing is known yet",
      async () => {
        const seen = await status("web");
        return seen?.conditions?.some(({ reason }) => reason === "FailedGetResourceMetric") === true && seen;
      },
      slowly,
    );
    expect(failed.conditions?.find(({ type }) => type === "ScalingActive")?.message).toBe(
      "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API",
    );

    const replicas = async (): Promise<number> =>
      (await plane.admin.get(Deployment, { namespace, name: "web" })).spec.replicas ?? 0;
    const busy = async (): Promise<number> => {
      await tellUsage("200m");
      return await replicas();
    };
    await plane.until("twice as many at most, or four", async () => (await busy()) === 4, slowly);
    await plane.until("as many as it may have", async () => (await busy()) === 6, slowly);
    const grown = await plane.until(
      "the limit is told",
      async () => {
        await busy();
        const seen = await status("web");
        return said(seen).join().includes("ReadyForNewScale") && said(seen).join().includes("TooManyReplicas") && seen;
      },
      slowly,
    );
    expect(said(grown)).toEqual([
      "AbleToScale True ReadyForNewScale",
      "ScalingActive True ValidMetricFound",
      "ScalingLimited True TooManyReplicas",
    ]);
    expect(grown.currentMetrics).toEqual([
      { type: "Resource", resource: { name: "cpu", current: { averageUtilization: 200, averageValue: "200m" } } },
    ]);

    const idleSince = plane.clock.now();
    const shrunk = await plane.until(
      "one is enough",
      async () => {
        await tellUsage("1m");
        return (await replicas()) === 1 && (await status("web"));
      },
      slowly,
    );
    expect(plane.clock.now() - idleSince).toBeGreaterThan(280_000);
    expect(shrunk.lastScaleTime).toBeDefined();
    expect(await events()).toEqual(
      expect.arrayContaining([
        "Normal SuccessfulRescale New size: 4; reason: cpu resource utilization (percentage of request) above target",
        "Normal SuccessfulRescale New size: 6; reason: cpu resource utilization (percentage of request) above target",
        "Normal SuccessfulRescale New size: 1; reason: All metrics below target",
      ]),
    );
  }, 120_000);

  it("whatever has a scale subresource is scaled, by a metric from outside", async () => {
    await serve(QueueDepth);
    await serve(Fleet, {
      subresources: {
        scale: {
          specReplicasPath: ".spec.size",
          statusReplicasPath: ".status.size",
          labelSelectorPath: ".status.selector",
        },
      },
    });
    await plane.admin.create(Fleet, {
      metadata: { name: "boats", namespace },
      spec: { size: 1 },
      status: { size: 1, selector: "app=boats" },
    } as never);
    await plane.admin.create(QueueDepth, { metadata: { name: "a", namespace }, value: "30" });
    await plane.admin.create(QueueDepth, { metadata: { name: "b", namespace }, value: "10500m" });
    await plane.admin.create(HorizontalPodAutoscaler, {
      metadata: { name: "boats", namespace },
      spec: {
        scaleTargetRef: { apiVersion: "example.com/v1", kind: "Fleet", name: "boats" },
        maxReplicas: 10,
        behavior: { scaleUp: { policies: [{ type: "Pods", value: 3, periodSeconds: 60 }] } },
        metrics: [
          {
            type: "External",
            external: { metric: { name: "queue-depth" }, target: { type: "AverageValue", averageValue: "10" } },
          },
        ],
      },
    });
    const size = async (): Promise<number | undefined> =>
      (await plane.admin.get(Fleet, { namespace, name: "boats" })).spec?.size;
    await plane.until("three more in a minute, and no more", async () => (await size()) === 4, slowly);
    const limitedAt = plane.clock.now();
    await plane.until("the rest in the next", async () => (await size()) === 5, slowly);
    expect(plane.clock.now() - limitedAt).toBeGreaterThan(40_000);
    expect(await events()).toContain(
      "Normal SuccessfulRescale New size: 5; reason: external metric queue-depth(nil) above target",
    );
  }, 120_000);

  it("says why a target cannot be scaled", async () => {
    const spec = { maxReplicas: 3, scaleTargetRef: { apiVersion: "example.com/v1", kind: "Nothing", name: "x" } };
    await plane.admin.create(HorizontalPodAutoscaler, { metadata: { name: "lost", namespace }, spec });
    const seen = await plane.until(
      "it is told",
      async () => {
        const each = await status("lost");
        return each?.conditions !== undefined && each;
      },
      slowly,
    );
    expect(seen.conditions).toMatchObject([
      {
        type: "AbleToScale",
        status: "False",
        reason: "FailedGetScale",
        message:
          'the HPA controller was unable to get the target\'s current scale: no matches for kind "Nothing" in group "example.com"',
      },
    ]);
  });
});
