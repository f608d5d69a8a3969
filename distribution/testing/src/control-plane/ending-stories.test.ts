import { ControllerRevision, Deployment, ReplicaSet, StatefulSet } from "@coracle/api/apps/v1";
import { CronJob, Job } from "@coracle/api/batch/v1";
import { ConfigMap, Event, Node, PersistentVolumeClaim, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const labels = { app: "db" };
const key = (name: string) => ({ namespace, name });
const slowly = { limitMs: 600_000, stepMs: 500 };

const set = (replicas: number, finalizers: readonly string[] = []): StatefulSet => ({
  metadata: { ...key("db"), finalizers },
  spec: {
    replicas,
    serviceName: "db",
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: { terminationGracePeriodSeconds: 0, containers: [{ name: "c", image: "web:1" }] },
    },
  },
});

/** What random histories beside upstream's controllers have brought up. */
describe("where controllers end", () => {
  let plane: TestControlPlane;
  const pods = async (): Promise<readonly Pod[]> => (await plane.admin.list(Pod, { namespace })).items;
  const isReady = ({ status }: Pod): boolean =>
    status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") === true;

  beforeEach(async () => {
    plane = await createTestControlPlane({ fakeClock: true });
    await plane.addNode({ name: "n1", shortImage: "task:ok" });
    await plane.until("pods can be made", async () => plane.admin.get(ServiceAccount, key("default")));
  });
  afterEach(async () => plane[Symbol.asyncDispose]());

  it("a StatefulSet gets its pod when the one who had the name is gone", async () => {
    const spec = { containers: [{ name: "c", image: "web:1" }] };
    await plane.admin.create(Pod, { metadata: { ...key("db-0"), labels: { app: "other" } }, spec });
    await plane.admin.create(StatefulSet, set(1));
    await plane.until("the set was looked at", async () => {
      const { metadata, status } = await plane.admin.get(StatefulSet, key("db"));
      return status?.observedGeneration === metadata.generation;
    });
    await plane.admin.delete(Pod, key("db-0"), { gracePeriodSeconds: 0 });
    const isOurs = ({ metadata }: Pod): boolean => metadata.ownerReferences?.[0]?.kind === "StatefulSet";
    await plane.until("it has its own", async () => (await pods()).some(isOurs), slowly);
  });

  it("a StatefulSet that lets its dependents go makes no further revision while it is held", async () => {
    await plane.admin.create(StatefulSet, set(1, ["example.com/hold"]));
    await plane.until("its pod runs", async () => (await pods()).some(isReady));
    await plane.admin.delete(StatefulSet, key("db"), { propagationPolicy: "Orphan" });
    const revisions = async () => (await plane.admin.list(ControllerRevision, { namespace })).items;
    await plane.until("what it owned is nobody's", async () =>
      [...(await revisions()), ...(await pods())].every(({ metadata }) => metadata.ownerReferences === undefined),
    );
    await plane.admin.patch(StatefulSet, key("db"), "merge", { metadata: { labels: { seen: "again" } } });
    const until = plane.clock.now() + 5000;
    await plane.until("a while passes", () => plane.clock.now() > until, slowly);
    expect(await revisions()).toHaveLength(1);
  });

  it("a claim stays for a pod that has ended, until that is gone", async () => {
    await plane.admin.create(PersistentVolumeClaim, {
      metadata: key("data"),
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    });
    await plane.admin.create(Pod, {
      metadata: key("user"),
      spec: {
        nodeName: "n1",
        containers: [{ name: "c", image: "task:ok" }],
        volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }],
      },
    });
    await plane.until("it has ended", async () => (await pods())[0]?.status?.phase === "Succeeded");
    await plane.admin.delete(PersistentVolumeClaim, key("data"));
    const until = plane.clock.now() + 5000;
    await plane.until("a while passes", () => plane.clock.now() > until, slowly);
    const claims = async () => (await plane.admin.list(PersistentVolumeClaim, { namespace })).items;
    expect(await claims()).toHaveLength(1);
    await plane.admin.delete(Pod, key("user"), { gracePeriodSeconds: 0 });
    await plane.until("the claim is gone, too", async () => (await claims()).length === 0, slowly);
  });

  it("how the pods of a node are that says itself that it is not ready, its kubelet tells", async () => {
    await plane.admin.create(StatefulSet, set(1));
    await plane.until("its pod runs", async () => (await pods()).some(isReady));
    const condition = { type: "Ready", status: "False", reason: "KubeletNotReady", message: "" };
    await plane.admin.patch(
      Node,
      { name: "n1" },
      "strategic",
      { status: { conditions: [condition] } },
      { subresource: "status" },
    );
    await plane.until("the node is tainted", async () =>
      (await plane.admin.get(Node, { name: "n1" })).spec?.taints?.some((taint) => taint.key.endsWith("/not-ready")),
    );
    const until = plane.clock.now() + 10_000;
    await plane.until("a while passes", () => plane.clock.now() > until, slowly);
    expect((await pods()).filter(isReady)).toHaveLength(1);
  });

  it("a paused Deployment keeps what it is to be rolled back to", async () => {
    await plane.admin.create(Deployment, {
      metadata: key("web"),
      spec: {
        replicas: 0,
        revisionHistoryLimit: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "web:1" }] } },
      },
    });
    const sets = async () => (await plane.admin.list(ReplicaSet, { namespace })).items;
    await plane.until("it has a set", async () => (await sets()).length === 1);
    const annotations = { "deprecated.deployment.rollback.to": "1" };
    await plane.admin.patch(Deployment, key("web"), "merge", { metadata: { annotations }, spec: { paused: true } });
    const image = { spec: { template: { spec: { containers: [{ name: "c", image: "web:2" }] } } } };
    await plane.admin.patch(Deployment, key("web"), "strategic", image);
    const until = plane.clock.now() + 5000;
    await plane.until("a while passes", () => plane.clock.now() > until, slowly);
    expect(await sets()).toHaveLength(1);
    await plane.admin.patch(Deployment, key("web"), "merge", { spec: { paused: false } });
    await plane.until("it is rolled back", async () => {
      const { spec } = await plane.admin.get(Deployment, key("web"));
      return spec.template.spec?.containers[0]?.image === "web:1";
    });
  });

  it("a Job that is resumed on its way out does not begin, and cannot be late", async () => {
    const spec = { restartPolicy: "Never", containers: [{ name: "c", image: "web:1" }] };
    await plane.admin.create(Job, {
      metadata: { ...key("task"), finalizers: ["example.com/hold"] },
      spec: { suspend: true, activeDeadlineSeconds: 1, template: { spec } },
    });
    const status = async () => (await plane.admin.get(Job, key("task"))).status;
    const isSuspended = async () => (await status())?.conditions?.some((each) => each.type === "Suspended");
    await plane.until("it is suspended", isSuspended);
    await plane.admin.delete(Job, key("task"), { propagationPolicy: "Background" });
    await plane.admin.patch(Job, key("task"), "merge", { spec: { suspend: false } });
    const until = plane.clock.now() + 5000;
    await plane.until("a while passes", () => plane.clock.now() > until, slowly);
    expect((await status())?.startTime).toBeUndefined();
    expect((await status())?.conditions).toHaveLength(1);
  });

  it("what refers to its owner by a version that nobody serves stays: nobody can tell whether the owner is there", async () => {
    const owner = { kind: "ReplicaSet", name: "gone", uid: "11111111-2222-3333-4444-555555555555" };
    const own = async (name: string, apiVersion: string) =>
      plane.admin.create(ConfigMap, { metadata: { ...key(name), ownerReferences: [{ ...owner, apiVersion }] } });
    await own("unknown", "apps/v9");
    await own("known", "apps/v1");
    const names = async () =>
      (await plane.admin.list(ConfigMap, { namespace })).items.map(({ metadata }) => metadata.name);
    await plane.until("the other is collected", async () => !(await names()).includes("known"));
    const until = plane.clock.now() + 5000;
    await plane.until("a while passes", () => plane.clock.now() > until, slowly);
    expect(await names()).toContain("unknown");
  });

  it("a CronJob whose new schedule never comes says so at once", async () => {
    await plane.admin.create(CronJob, {
      metadata: key("tick"),
      spec: {
        schedule: "@monthly",
        jobTemplate: {
          spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "c", image: "web:1" }] } } },
        },
      },
    });
    await plane.admin.patch(CronJob, key("tick"), "merge", { spec: { schedule: "0 0 31 2 *" } });
    await plane.until("it is told", async () =>
      (await plane.admin.list(Event, { namespace })).items.some((event) => event.reason === "InvalidSchedule"),
    );
  });
});
