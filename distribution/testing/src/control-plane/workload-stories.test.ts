import { Event, Namespace, Pod, Service } from "@coracle/api/core/v1";
import { Deployment, ReplicaSet } from "@coracle/api/apps/v1";
import { CronJob, Job } from "@coracle/api/batch/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { isNotFound } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const labels = { app: "web" };

const deployment = (replicas: number, image = "web:1"): Deployment => ({
  metadata: { name: "web", namespace },
  spec: {
    replicas,
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers: [{ name: "web", image }] } },
  },
});

describe("workloads, by API server, scheduler and controllers in one process", () => {
  let plane: TestControlPlane;
  const pods = async (): Promise<readonly Pod[]> => (await plane.admin.list(Pod, { namespace })).items;
  const ready = (pod: Pod): boolean =>
    pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;

  beforeEach(async () => {
    plane = await createTestControlPlane({ fakeClock: true });
    await plane.addNode({ name: "n1", brokenImage: "web:broken", shortImage: "task:1" });
    await plane.addNode({ name: "n2", brokenImage: "web:broken", shortImage: "task:1" });
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  it("a Deployment becomes a ReplicaSet, pods on both nodes, and available replicas", async () => {
    await plane.admin.create(Deployment, deployment(4));
    const available = await plane.until("4 available", async () => {
      const { status } = await plane.admin.get(Deployment, { namespace, name: "web" });
      return status?.availableReplicas === 4 ? status : undefined;
    });
    expect(available).toMatchObject({ replicas: 4, readyReplicas: 4, updatedReplicas: 4, observedGeneration: 1 });
    const owned = await pods();
    expect(new Set(owned.map((pod) => pod.spec.nodeName))).toEqual(new Set(["n1", "n2"]));
    const [set] = (await plane.admin.list(ReplicaSet, { namespace })).items;
    expect(owned.every((pod) => pod.metadata.ownerReferences?.[0]?.uid === set?.metadata.uid)).toBe(true);
  });

  it("a new template replaces pods without ever falling below what maxUnavailable allows", async () => {
    await plane.admin.create(Deployment, deployment(4));
    await plane.until("4 ready", async () => (await pods()).filter(ready).length === 4);
    const spec = { template: { spec: { containers: [{ name: "web", image: "web:2" }] } } };
    await plane.admin.patch(Deployment, { namespace, name: "web" }, "strategic", { spec });
    let fewest = 4;
    await plane.until("all are of the new template", async () => {
      const current = (await pods()).filter((pod) => pod.metadata.deletionTimestamp === undefined);
      fewest = Math.min(fewest, current.filter(ready).length);
      return current.length === 4 && current.every((pod) => pod.spec.containers[0]?.image === "web:2" && ready(pod));
    });
    expect(fewest).toBeGreaterThanOrEqual(3);
    const sets = (await plane.admin.list(ReplicaSet, { namespace })).items;
    expect(sets.map((set) => set.spec.replicas).toSorted()).toEqual([0, 4]);
  });

  it("a template that never gets ready leaves the old pods serving, and Progressing turns false at its deadline", async () => {
    await plane.admin.create(Deployment, deployment(3));
    await plane.until("3 ready", async () => (await pods()).filter(ready).length === 3);
    const spec = {
      progressDeadlineSeconds: 60,
      template: { spec: { containers: [{ name: "web", image: "web:broken" }] } },
    };
    await plane.admin.patch(Deployment, { namespace, name: "web" }, "strategic", { spec });
    const condition = await plane.until(
      "the deadline is noticed",
      async () => {
        const { status } = await plane.admin.get(Deployment, { namespace, name: "web" });
        return status?.conditions?.find(({ type, status: holds }) => type === "Progressing" && holds === "False");
      },
      { limitMs: 120_000, stepMs: 1000 },
    );
    expect(condition.reason).toBe("ProgressDeadlineExceeded");
    expect((await pods()).filter(ready)).toHaveLength(3);
  });

  it("a Service's EndpointSlice holds the addresses of its ready pods, and follows a scale", async () => {
    await plane.admin.create(Service, {
      metadata: { name: "web", namespace },
      spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
    });
    await plane.admin.create(Deployment, deployment(2));
    const addresses = async (): Promise<string[]> => {
      const slices = (await plane.admin.list(EndpointSlice, { namespace })).items;
      return slices.flatMap(({ endpoints }) =>
        endpoints.filter(({ conditions }) => conditions?.ready === true).flatMap((endpoint) => endpoint.addresses),
      );
    };
    await plane.until("2 addresses", async () => (await addresses()).length === 2);
    await plane.admin.patch(Deployment, { namespace, name: "web" }, "merge", { spec: { replicas: 1 } });
    await plane.until("1 address", async () => (await addresses()).length === 1);
    expect(await addresses()).toEqual((await pods()).map((pod) => pod.status?.podIP));
  });

  it("a pod that fits nowhere waits, an event says why, and a node that has room gets it", async () => {
    const container = { name: "big", image: "web:1", resources: { requests: { cpu: "6" } } };
    await plane.admin.create(Pod, { metadata: { name: "big", namespace }, spec: { containers: [container] } });
    await plane.until("an event that says so", async () =>
      (await plane.admin.list(Event, { namespace })).items.some(
        ({ reason, message }) =>
          reason === "FailedScheduling" && message?.includes("0/2 nodes are available: 2 Insufficient cpu."),
      ),
    );
    await plane.addNode({ name: "n3", allocatable: { cpu: "8", memory: "8Gi", pods: "110" } });
    await plane.until("bound", async () => {
      const { spec } = await plane.admin.get(Pod, { namespace, name: "big" });
      return spec.nodeName === "n3";
    });
  });

  it("a CronJob makes a Job at its minute, and the Job ends Complete", async () => {
    await plane.admin.create(CronJob, {
      metadata: { name: "tick", namespace },
      spec: {
        schedule: "*/5 * * * *",
        jobTemplate: {
          spec: {
            template: { spec: { restartPolicy: "Never", containers: [{ name: "task", image: "task:1" }] } },
          },
        },
      },
    });
    const job = await plane.until(
      "a complete Job",
      async () =>
        (await plane.admin.list(Job, { namespace })).items.find(({ status }) =>
          status?.conditions?.some(({ type, status: holds }) => type === "Complete" && holds === "True"),
        ),
      { limitMs: 400_000, stepMs: 1000 },
    );
    expect(job.metadata.name).toMatch(/^tick-\d+$/);
    expect(job.status).toMatchObject({ succeeded: 1 });
  });

  it("a pod goes when it is deleted, though its Job is gone or was taken from it", async () => {
    const labelled = { job: "work" };
    await plane.admin.create(Job, {
      metadata: { name: "work", namespace },
      spec: {
        parallelism: 2,
        template: {
          metadata: { labels: labelled },
          spec: { restartPolicy: "Never", containers: [{ name: "c", image: "web:1" }] },
        },
      },
    });
    await plane.until("2 running pods", async () => (await pods()).filter(ready).length === 2);
    const [taken] = await pods();
    const name = taken?.metadata.name ?? "";
    await plane.admin.patch(Pod, { namespace, name }, "merge", { metadata: { labels: null, ownerReferences: null } });
    await plane.admin.delete(Job, { namespace, name: "work" }, { propagationPolicy: "Background" });
    await plane.admin.delete(Pod, { namespace, name });
    await plane.until("no pods", async () => (await pods()).length === 0);
  });

  it("a deleted namespace takes all it holds with it", async () => {
    await plane.admin.create(Namespace, { metadata: { name: "shop" }, spec: {} });
    const inShop = deployment(2);
    await plane.admin.create(Deployment, { ...inShop, metadata: { ...inShop.metadata, namespace: "shop" } });
    await plane.until("2 pods", async () => (await plane.admin.list(Pod, { namespace: "shop" })).items.length === 2);
    await plane.admin.delete(Namespace, { name: "shop" });
    await plane.until("the namespace is gone", async () => {
      try {
        await plane.admin.get(Namespace, { name: "shop" });
        return false;
      } catch (error) {
        return isNotFound(error);
      }
    });
    expect((await plane.admin.list(Pod, { namespace: "shop" })).items).toEqual([]);
  });
});
