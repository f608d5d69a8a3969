import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { ReplicaSet } from "@coracle/api/apps/v1";
import {
  ConfigMap,
  LimitRange,
  Namespace,
  PersistentVolumeClaim,
  Pod,
  ResourceQuota,
  Secret,
  Service,
} from "@coracle/api/core/v1";
import { isStatusError } from "@coracle/apimachinery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

type Amounts = Readonly<Record<string, string>>;

describe("quotas of namespaces", () => {
  let plane: TestControlPlane;
  let count = 0;
  beforeAll(async () => {
    plane = await createTestControlPlane({ fakeClock: true, components: ["kube-controller-manager"] });
  });
  afterAll(async () => plane[Symbol.asyncDispose]());

  /** A namespace with a quota that has been counted. */
  async function quota(hard: Amounts, spec: object = {}): Promise<{ namespace: string; used: () => Promise<Amounts> }> {
    const namespace = `quota-${++count}`;
    await plane.admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
    await plane.until("its account", () => hasAccount(namespace));
    await plane.admin.create(ResourceQuota, { metadata: { name: "q", namespace }, spec: { hard, ...spec } });
    const used = async (): Promise<Amounts> =>
      ((await plane.admin.get(ResourceQuota, { namespace, name: "q" })).status?.used ?? {}) as Amounts;
    await plane.until("it is counted", async () => Object.keys(await used()).length === Object.keys(hard).length);
    return { namespace, used };
  }
  async function hasAccount(namespace: string): Promise<boolean> {
    const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`;
    const refusal = await refusalOf(() =>
      plane.admin.raw("POST", path, { apiVersion: "v1", kind: "Pod", ...pod(namespace, { name: "probe" }) }, {}),
    );
    return refusal === undefined;
  }
  const pod = (namespace: string, metadata: object, cpu?: string, spec: object = {}): Pod => ({
    metadata: { namespace, ...metadata },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "c", image: "i", ...(cpu === undefined ? {} : { resources: { requests: { cpu } } }) }],
      ...spec,
    },
  });
  async function refusalOf(attempt: () => Promise<unknown>): Promise<string | undefined> {
    try {
      await attempt();
      return undefined;
    } catch (error) {
      if (isStatusError(error)) return `${error.code} ${error.message}`;
      throw error;
    }
  }

  it("a pod is charged when it is made, refused beyond the bound, and given back when it goes", async () => {
    const { namespace, used } = await quota({ pods: "2", "requests.cpu": "1" });
    expect(await used()).toEqual({ pods: "0", "requests.cpu": "0" });
    await plane.admin.create(Pod, pod(namespace, { name: "a" }, "600m"));
    expect(await used()).toEqual({ pods: "1", "requests.cpu": "600m" });
    expect(await refusalOf(() => plane.admin.create(Pod, pod(namespace, { name: "b" }, "600m")))).toBe(
      '403 pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1',
    );
    expect(await refusalOf(() => plane.admin.create(Pod, pod(namespace, { name: "b" })))).toBe(
      '403 pods "b" is forbidden: failed quota: q: must specify requests.cpu for: c',
    );
    await plane.admin.delete(Pod, { namespace, name: "a" });
    await plane.until("given back", async () => (await used())["pods"] === "0");
    expect(await used()).toEqual({ pods: "0", "requests.cpu": "0" });
  });

  it("a pod that has ended uses its object only", async () => {
    const { namespace, used } = await quota({ pods: "1", "count/pods": "5", "requests.cpu": "1" });
    const made = await plane.admin.create(Pod, pod(namespace, { name: "a" }, "500m"));
    expect(await used()).toEqual({ "count/pods": "1", pods: "1", "requests.cpu": "500m" });
    await plane.admin.update(
      Pod,
      { ...made, status: { ...made.status, phase: "Succeeded" } },
      { subresource: "status" },
    );
    await plane.until("given back", async () => (await used())["pods"] === "0");
    expect(await used()).toEqual({ "count/pods": "1", pods: "0", "requests.cpu": "0" });
  });

  it("many writers at once never use more than there is", async () => {
    const { namespace, used } = await quota({ pods: "7", "requests.cpu": "650m" });
    const attempts = Array.from({ length: 40 }, async (_, i) =>
      refusalOf(() => plane.admin.create(Pod, pod(namespace, { name: `p${i}` }, i % 2 === 0 ? "100m" : "50m"))),
    );
    const outcomes = await Promise.all(attempts);
    const made = (await plane.admin.list(Pod, { namespace })).items;
    expect(made).toHaveLength(outcomes.filter((why) => why === undefined).length);
    expect(outcomes.filter((why) => why !== undefined && !why.includes("exceeded quota: q"))).toEqual([]);
    const cpuMillis = made
      .map(({ spec }) => (spec.containers[0]?.resources?.requests as Amounts | undefined)?.["cpu"] ?? "")
      .reduce((sum, text) => sum + Number.parseInt(text, 10), 0);
    expect(made.length).toBeLessThanOrEqual(7);
    expect(cpuMillis).toBeLessThanOrEqual(650);
    // Nothing smaller would have fitted.
    expect(made.length === 7 || cpuMillis > 600).toBe(true);
    expect(await used()).toEqual({ pods: String(made.length), "requests.cpu": `${cpuMillis}m` });
  });

  it("a dry run is checked and charges nothing", async () => {
    const { namespace, used } = await quota({ configmaps: "2" });
    const before = await used();
    const path = `/api/v1/namespaces/${namespace}/configmaps?dryRun=All`;
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "dry" } };
    await plane.admin.raw("POST", path, body, {});
    expect(await used()).toEqual(before);
  });

  it("services are charged for what they grow", async () => {
    const { namespace, used } = await quota({
      services: "2",
      "services.nodeports": "1",
      "services.loadbalancers": "0",
    });
    const ports = [{ port: 80 }];
    const service = await plane.admin.create(Service, {
      metadata: { name: "web", namespace },
      spec: { selector: { a: "b" }, ports },
    });
    expect(await used()).toEqual({ services: "1", "services.nodeports": "0", "services.loadbalancers": "0" });
    expect(
      await refusalOf(() =>
        plane.admin.update(Service, { ...service, spec: { ...service.spec, type: "LoadBalancer" } }),
      ),
    ).toBe(
      '403 services "web" is forbidden: exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: services.loadbalancers=0',
    );
    const grown = await plane.admin.update(Service, { ...service, spec: { ...service.spec, type: "NodePort" } });
    expect((await used())["services.nodeports"]).toBe("1");
    await plane.admin.update(Service, {
      ...grown,
      spec: { ...grown.spec, type: "ClusterIP", ports: [{ port: 80, nodePort: 0 }] },
    });
    await plane.until("given back", async () => (await used())["services.nodeports"] === "0");
  });

  it("every kind can be counted, by its old name or its full one", async () => {
    const { namespace, used } = await quota({
      secrets: "1",
      "count/replicasets.apps": "1",
      persistentvolumeclaims: "1",
      "gold.storageclass.storage.k8s.io/requests.storage": "1Gi",
    });
    await plane.admin.create(Secret, { metadata: { name: "s", namespace } });
    expect(await refusalOf(() => plane.admin.create(Secret, { metadata: { name: "t", namespace } }))).toBe(
      '403 secrets "t" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1',
    );
    const set = (name: string): ReplicaSet => ({
      metadata: { name, namespace },
      spec: {
        replicas: 0,
        selector: { matchLabels: { a: "b" } },
        template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
      },
    });
    await plane.admin.create(ReplicaSet, set("one"));
    expect(await refusalOf(() => plane.admin.create(ReplicaSet, set("two")))).toBe(
      '403 replicasets.apps "two" is forbidden: exceeded quota: q, requested: count/replicasets.apps=1, used: count/replicasets.apps=1, limited: count/replicasets.apps=1',
    );
    const claim = (storage: string): PersistentVolumeClaim => ({
      metadata: { name: "data", namespace },
      spec: { storageClassName: "gold", accessModes: ["ReadWriteOnce"], resources: { requests: { storage } } },
    });
    expect(await refusalOf(() => plane.admin.create(PersistentVolumeClaim, claim("2Gi")))).toContain(
      "requested: gold.storageclass.storage.k8s.io/requests.storage=2Gi, used: gold.storageclass.storage.k8s.io/requests.storage=0, limited: gold.storageclass.storage.k8s.io/requests.storage=1Gi",
    );
    await plane.admin.create(PersistentVolumeClaim, claim("1Gi"));
    expect(await used()).toEqual({
      secrets: "1",
      "count/replicasets.apps": "1",
      persistentvolumeclaims: "1",
      "gold.storageclass.storage.k8s.io/requests.storage": "1Gi",
    });
    await plane.admin.delete(ReplicaSet, { namespace, name: "one" });
    await plane.admin.delete(Secret, { namespace, name: "s" });
    await plane.until("given back", async () => {
      const now = await used();
      return now["secrets"] === "0" && now["count/replicasets.apps"] === "0";
    });
  });

  it("a quota with scopes charges what lies in them", async () => {
    const { namespace, used } = await quota(
      { pods: "1" },
      { scopeSelector: { matchExpressions: [{ scopeName: "Terminating", operator: "Exists" }] } },
    );
    await plane.admin.create(Pod, pod(namespace, { name: "stays" }));
    expect(await used()).toEqual({ pods: "0" });
    await plane.admin.create(Pod, pod(namespace, { name: "ends" }, undefined, { activeDeadlineSeconds: 600 }));
    expect(await used()).toEqual({ pods: "1" });
    // What begins to lie in the scope is charged then.
    const stays = await plane.admin.get(Pod, { namespace, name: "stays" });
    const bounded = { ...stays, spec: { ...stays.spec, activeDeadlineSeconds: 600 } };
    expect(await refusalOf(() => plane.admin.update(Pod, bounded))).toBe(
      '403 pods "stays" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
    );
  });

  it("a changed quota is counted anew", async () => {
    const { namespace, used } = await quota({ configmaps: "5" });
    await plane.admin.create(ConfigMap, { metadata: { name: "one", namespace } });
    await plane.admin.patch(ResourceQuota, { namespace, name: "q" }, "merge", {
      spec: { hard: { configmaps: "9", "count/secrets": "3" } },
    });
    await plane.until("counted", async () => (await used())["count/secrets"] === "0");
    const { status } = await plane.admin.get(ResourceQuota, { namespace, name: "q" });
    expect(status?.hard).toEqual({ configmaps: "9", "count/secrets": "3" });
  });

  it("a pod that is resized is charged for what it grows", async () => {
    const { namespace, used } = await quota({ "requests.cpu": "1" });
    await plane.admin.create(Pod, pod(namespace, { name: "a" }, "600m"));
    const resize = async (cpu: string): Promise<string | undefined> =>
      refusalOf(() =>
        plane.admin.patch(
          Pod,
          { namespace, name: "a" },
          "strategic",
          { spec: { containers: [{ name: "c", resources: { requests: { cpu } } }] } },
          { subresource: "resize" },
        ),
      );
    expect(await resize("1100m")).toBe(
      '403 pods "a" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1',
    );
    expect(await resize("900m")).toBeUndefined();
    expect(await used()).toEqual({ "requests.cpu": "900m" });
  });

  it("custom kinds are counted from when they are served, also by quotas from before", async () => {
    const namespace = `quota-${++count}`;
    const name = "count/widgets.quota.example.com";
    await plane.admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
    await plane.admin.create(ResourceQuota, {
      metadata: { name: "q", namespace },
      spec: { hard: { [name]: "1", configmaps: "9" } },
    });
    const used = async (): Promise<Amounts> =>
      ((await plane.admin.get(ResourceQuota, { namespace, name: "q" })).status?.used ?? {}) as Amounts;
    await plane.until("what is served is counted", async () => (await used())["configmaps"] !== undefined);
    expect(Object.keys(await used())).toEqual(["configmaps"]);
    const definition: CustomResourceDefinition = {
      metadata: { name: "widgets.quota.example.com" },
      spec: {
        group: "quota.example.com",
        scope: "Namespaced",
        names: { plural: "widgets", kind: "Widget" },
        versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
      },
    };
    await plane.admin.create(CustomResourceDefinition, definition);
    await plane.until("the new kind is counted", async () => (await used())[name] === "0", { limitMs: 90_000 });
    const path = `/apis/quota.example.com/v1/namespaces/${namespace}/widgets`;
    const make = async (widget: string): Promise<string | undefined> =>
      refusalOf(() =>
        plane.admin.raw("POST", path, {
          apiVersion: "quota.example.com/v1",
          kind: "Widget",
          metadata: { name: widget },
        }),
      );
    expect(await make("one")).toBeUndefined();
    expect((await used())[name]).toBe("1");
    expect(await make("two")).toBe(
      `403 widgets.quota.example.com "two" is forbidden: exceeded quota: q, requested: ${name}=1, used: ${name}=1, limited: ${name}=1`,
    );
    await plane.admin.raw("DELETE", `${path}/one`);
    await plane.until("given back", async () => (await used())[name] === "0");
  });

  it("defaults of a LimitRange are set before the quota asks", async () => {
    const { namespace, used } = await quota({ "limits.memory": "100Mi" });
    await plane.admin.create(LimitRange, {
      metadata: { name: "l", namespace },
      spec: { limits: [{ type: "Container", default: { memory: "60Mi" } }] },
    });
    await plane.admin.create(Pod, pod(namespace, { name: "a" }));
    expect(await used()).toEqual({ "limits.memory": "60Mi" });
    expect(await refusalOf(() => plane.admin.create(Pod, pod(namespace, { name: "b" })))).toContain(
      "exceeded quota: q, requested: limits.memory=60Mi, used: limits.memory=60Mi, limited: limits.memory=100Mi",
    );
  });
});
