import { ReplicaSet } from "@coracle/api/apps/v1";
import { Event, LimitRange, Node, Pod, type PodSpec } from "@coracle/api/core/v1";
import { PriorityClass } from "@coracle/api/scheduling/v1";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const FOO = "example.com/foo";
const needing = (amount: string, more: Partial<PodSpec> = {}): PodSpec => ({
  terminationGracePeriodSeconds: 0,
  containers: [{ name: "c", image: "app", resources: { requests: { [FOO]: amount }, limits: { [FOO]: amount } } }],
  ...more,
});

describe("what upstream's suite asks of a scheduler, by API server, scheduler and controllers in one process", () => {
  let plane: TestControlPlane;
  const create = async (name: string, spec: PodSpec, more: Partial<Pod["metadata"]> = {}): Promise<Pod> =>
    await plane.admin.create(Pod, { metadata: { name, namespace, ...more }, spec });
  const pod = async (name: string, of = namespace): Promise<Pod | undefined> =>
    (await plane.admin.list(Pod, { namespace: of })).items.find(({ metadata }) => metadata.name === name);
  const runs = async (name: string, of = namespace): Promise<Pod> =>
    await plane.until(`${name} runs`, async () => {
      const found = await pod(name, of);
      return found?.status?.phase === "Running" && found;
    });
  /** Why the pod waits, once the scheduler has said so. */
  const whyNot = async (name: string): Promise<string> =>
    await plane.until(`${name} is told why it waits`, async () => {
      const condition = (await pod(name))?.status?.conditions?.find(({ type }) => type === "PodScheduled");
      return condition?.status === "False" && condition.message;
    });

  beforeEach(async () => {
    plane = await createTestControlPlane({ fakeClock: true });
    for (const [name, value] of Object.entries({ low: 1, medium: 100, high: 1000 }))
      await plane.admin.create(PriorityClass, { metadata: { name }, value });
    const allocatable = { cpu: "4", memory: "8Gi", pods: "110", "ephemeral-storage": "100Gi", [FOO]: "5" };
    await plane.addNode({ name: "n1", allocatable });
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  it("a node takes what it has and no more; who is left waits until somebody goes", async () => {
    await create("filler", needing("4"));
    await runs("filler");
    await create("large", needing("2"));
    expect(await whyNot("large")).toContain(`1 Insufficient ${FOO}`);
    await create("small", needing("1"));
    await runs("small");
    await plane.admin.delete(Pod, { namespace, name: "filler" });
    await runs("large");
  });

  it("a node selector is respected: the pod goes where the label is, and waits as long as it is nowhere", async () => {
    await create("picky", needing("1", { nodeSelector: { disk: "ssd" } }));
    expect(await whyNot("picky")).toContain("1 node(s) didn't match Pod's node affinity/selector");
    await plane.addNode({ name: "n2", labels: { disk: "ssd" }, allocatable: { cpu: "4", pods: "110", [FOO]: "5" } });
    expect((await runs("picky")).spec.nodeName).toBe("n2");
    await plane.admin.patch(Node, { name: "n1" }, "merge", { metadata: { labels: { disk: "tape" } } });
    await create("modest", needing("1", { nodeSelector: { disk: "tape" } }));
    expect((await runs("modest")).spec.nodeName).toBe("n1");
  });

  it("a host port that is taken on all addresses is taken on each", async () => {
    const port = (hostPort: number, hostIP?: string): PodSpec => ({
      containers: [{ name: "c", image: "app", ports: [{ containerPort: 80, hostPort, hostIP }] }],
    });
    await create("all", port(8080));
    await runs("all");
    await create("one", port(8080, "127.0.0.1"));
    expect(await whyNot("one")).toContain("1 node(s) didn't have free ports for the requested pod ports");
    await create("other", port(8081, "127.0.0.1"));
    await runs("other");
  });

  it("a more important pod drives out the least important one in its way, which is told why, and nobody else", async () => {
    await create("low", needing("2", { priorityClassName: "low" }), { finalizers: ["example.com/keep"] });
    await create("medium", needing("2", { priorityClassName: "medium" }));
    await runs("low");
    await runs("medium");
    await create("urgent", needing("2", { priorityClassName: "high" }));
    const victim = await plane.until("the victim is on its way out", async () => {
      const found = await pod("low");
      return found?.metadata.deletionTimestamp !== undefined && found;
    });
    expect(victim.status?.conditions?.find(({ type }) => type === "DisruptionTarget")).toMatchObject({
      status: "True",
      reason: "PreemptionByScheduler",
      message: "default-scheduler: preempting to accommodate a higher priority pod",
    });
    await plane.admin.patch(Pod, { namespace, name: "low" }, "merge", { metadata: { finalizers: null } });
    await runs("urgent");
    expect((await pod("medium"))?.metadata.deletionTimestamp).toBeUndefined();
    await plane.until("an event says so", async () =>
      (await plane.admin.list(Event, { namespace })).items.some(
        ({ reason, involvedObject }) => reason === "Preempted" && involvedObject.name === "low",
      ),
    );
  });

  it("so does a critical pod of the system", async () => {
    await create("low", needing("3", { priorityClassName: "low" }));
    await create("medium", needing("2", { priorityClassName: "medium" }));
    await runs("low");
    await runs("medium");
    const of = "kube-system";
    const spec = needing("3", { priorityClassName: "system-cluster-critical" });
    await plane.admin.create(Pod, { metadata: { name: "critical", namespace: of }, spec });
    await runs("critical", of);
    expect(await pod("low")).toBeUndefined();
    expect((await pod("medium"))?.metadata.deletionTimestamp).toBeUndefined();
  });

  it("ReplicaSets make new pods for those that were driven out, which drive out nobody more important", async () => {
    const amounts = { low: "1", medium: "2", high: "2" };
    for (const [name, amount] of Object.entries(amounts))
      await plane.admin.create(ReplicaSet, {
        metadata: { name, namespace },
        spec: {
          replicas: 1,
          selector: { matchLabels: { of: name } },
          template: { metadata: { labels: { of: name } }, spec: needing(amount, { priorityClassName: name }) },
        },
      });
    const available = async (name: string): Promise<number> =>
      (await plane.admin.get(ReplicaSet, { namespace, name })).status?.availableReplicas ?? 0;
    for (const name of Object.keys(amounts))
      await plane.until(`${name} is there`, async () => (await available(name)) === 1);
    await plane.admin.create(PriorityClass, { metadata: { name: "highest" }, value: 10_000 });
    await create("urgent", needing("3", { priorityClassName: "highest" }));
    await runs("urgent");
    await plane.until("those in its way are gone", async () => {
      const counts = await Promise.all(["low", "medium", "high"].map(available));
      return counts.join() === "0,0,1";
    });
    const waiting = await plane.until("they wait anew", async () => {
      const { items } = await plane.admin.list(Pod, { namespace });
      const anew = items.filter(({ spec }) => (spec.nodeName ?? "") === "");
      return anew.length === 2 && anew;
    });
    expect(waiting.map(({ metadata }) => metadata.labels?.["of"]).sort()).toEqual(["low", "medium"]);
  });

  it("a LimitRange gives pods what they leave out, and refuses what is out of its bounds", async () => {
    await plane.admin.create(LimitRange, {
      metadata: { name: "bounds", namespace, labels: { team: "a" } },
      spec: {
        limits: [
          {
            type: "Container",
            min: { cpu: "50m" },
            max: { cpu: "500m" },
            default: { cpu: "300m" },
            defaultRequest: { cpu: "100m" },
          },
        ],
      },
    });
    const spec = (requests?: Record<string, string>): PodSpec => ({
      containers: [{ name: "c", image: "app", ...(requests === undefined ? {} : { resources: { requests } }) }],
    });
    const { containers } = (await create("plain", spec())).spec;
    expect(containers[0]?.resources).toEqual({ requests: { cpu: "100m" }, limits: { cpu: "300m" } });
    await expect(create("tiny", spec({ cpu: "10m" }))).rejects.toThrow("minimum cpu usage per Container is 50m");
    await expect(create("vast", spec({ cpu: "600m" }))).rejects.toThrow();
    await plane.admin.deleteCollection(LimitRange, { namespace, labelSelector: "team=a" });
    expect((await plane.admin.list(LimitRange, { namespace })).items).toEqual([]);
  });
});
