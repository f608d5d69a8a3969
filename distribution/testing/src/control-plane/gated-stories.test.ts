import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { StatefulSet } from "@coracle/api/apps/v1";
import { ConfigMap, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { DeviceClass, ResourceClaim } from "@coracle/api/resource/v1";
import { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import { StorageVersionMigration } from "@coracle/api/storagemigration/v1beta1";
import type { Condition } from "@coracle/api/meta/v1";
import type { KubeObject, ResourceType } from "@coracle/api";
import { afterEach, describe, expect, it } from "vitest";
import { followPods } from "./pod-history.ts";
import { createTestControlPlane, type TestControlPlane, type TestControlPlaneOptions } from "./test-control-plane.ts";

const namespace = "default";
let plane: TestControlPlane;
const start = async (options: TestControlPlaneOptions): Promise<void> => {
  plane = await createTestControlPlane({ fakeClock: true, ...options });
};
afterEach(() => plane[Symbol.asyncDispose]());

describe("a migration of stored objects", () => {
  const group = "stories.example.com";
  const version = (name: string, storage: boolean) => ({
    name,
    served: true,
    storage,
    schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
  });
  const names = { plural: "boats", singular: "boat", kind: "Boat", listKind: "BoatList" };
  const Boat: ResourceType<KubeObject> = { group, version: "v1", ...names, namespaced: true };
  /** The core group may be left out. */
  const migrate = async (name: string, resource: { group?: string; resource: string }): Promise<void> => {
    const spec = { resource } as StorageVersionMigration["spec"];
    await plane.admin.create(StorageVersionMigration, { metadata: { name }, spec });
  };
  const states = async (name: string): Promise<Record<string, string>> => {
    const { status } = await plane.admin.get(StorageVersionMigration, { name });
    return Object.fromEntries((status?.conditions ?? []).map((each) => [each.type, each.status]));
  };
  const begin = (): Promise<void> =>
    start({
      components: ["kube-controller-manager"],
      featureGates: ["StorageVersionMigrator=true"],
      runtimeConfig: ["storagemigration.k8s.io/v1beta1=true"],
    });

  it("writes each object anew, in the version that is stored today, and no other", async () => {
    await begin();
    const definition = await plane.admin.create(CustomResourceDefinition, {
      metadata: { name: `boats.${group}` },
      spec: { group, scope: "Namespaced", names, versions: [version("v1", true), version("v2", false)] },
    });
    await plane.until("served", async () => plane.admin.list(Boat, { namespace }));
    const versionOf = async (name: string) =>
      (await plane.admin.get(Boat, { namespace, name })).metadata.resourceVersion;
    for (const name of ["old", "older"]) await plane.admin.create(Boat, { metadata: { name, namespace } });
    const before = { old: await versionOf("old"), older: await versionOf("older") };
    await plane.admin.patch(CustomResourceDefinition, { name: `boats.${group}` }, "json", [
      { op: "replace", path: "/spec/versions/0/storage", value: false },
      { op: "replace", path: "/spec/versions/1/storage", value: true },
    ]);
    await plane.until("the other version is stored", async () => {
      const { status } = await plane.admin.get(CustomResourceDefinition, { name: `boats.${group}` });
      return status?.storedVersions?.includes("v2");
    });
    await plane.admin.create(Boat, { metadata: { name: "young", namespace } });
    const young = await versionOf("young");
    await migrate("boats", { group, resource: "boats" });
    await plane.until("it is done", async () => (await states("boats"))["Succeeded"] === "True");
    expect(await states("boats")).toEqual({ Running: "False", Succeeded: "True" });
    expect(await versionOf("old")).not.toBe(before.old);
    expect(await versionOf("older")).not.toBe(before.older);
    expect(await versionOf("young")).toBe(young);
    // Now the former version can go, and what was stored in it is still there.
    const { metadata } = await plane.admin.get(CustomResourceDefinition, { name: `boats.${group}` });
    await plane.admin.patch(
      CustomResourceDefinition,
      { name: metadata.name ?? "" },
      "merge",
      { status: { storedVersions: ["v2"] } },
      { subresource: "status" },
    );
    await plane.admin.patch(CustomResourceDefinition, { name: metadata.name ?? "" }, "merge", {
      spec: { versions: [{ ...definition.spec.versions[1], ...version("v2", true) }] },
    });
    const left = await plane.admin.list({ ...Boat, version: "v2" }, { namespace });
    expect(left.items.map(({ metadata: { name } }) => name).toSorted()).toEqual(["old", "older", "young"]);
  });

  it("changes nothing about objects that are stored well, and skips those that change meanwhile", async () => {
    await begin();
    for (let i = 0; i < 3; i++) await plane.admin.create(ConfigMap, { metadata: { name: `m${i}`, namespace } });
    const maps = async () =>
      (await plane.admin.list(ConfigMap, { namespace })).items
        .map(({ metadata }) => metadata)
        .filter(({ name = "" }) => name.startsWith("m"));
    const before = await maps();
    await migrate("maps", { resource: "configmaps" });
    await plane.until("it is done", async () => (await states("maps"))["Succeeded"] === "True");
    expect(await maps()).toEqual(before);
  });

  it("of what cannot be listed and patched fails, and so does one of what nobody serves, after a minute", async () => {
    await begin();
    await migrate("reviews", { group: "authentication.k8s.io", resource: "tokenreviews" });
    await migrate("nothing", { group, resource: "ships" });
    const messageOf = async (name: string): Promise<string | undefined> => {
      const { status } = await plane.admin.get(StorageVersionMigration, { name });
      return status?.conditions?.find(({ type, status: holds }) => type === "Failed" && holds === "True")?.message;
    };
    expect(await plane.until("reviews failed", () => messageOf("reviews"))).toBe(
      'resource "authentication.k8s.io/v1, Resource=tokenreviews" does not support discovery operations: [update patch list]',
    );
    expect(await messageOf("nothing")).toBeUndefined();
    const why = await plane.until("it failed", () => messageOf("nothing"), { limitMs: 300_000, stepMs: 1000 });
    expect(why).toBe("resource does not exist in discovery");
  });

  it("is not to be had without its gate", async () => {
    await start({ components: [], runtimeConfig: ["storagemigration.k8s.io/v1beta1=true"] });
    await expect(migrate("maps", { resource: "configmaps" })).rejects.toThrow("404 page not found");
  });
});

describe("a rule that taints devices", () => {
  const driver = "gpu.example.com";
  const taint = (effect: string) => ({ key: "broken", effect });
  const conditionOf = async (name: string): Promise<Condition | undefined> =>
    (await plane.admin.get(DeviceTaintRule, { name })).status?.conditions?.find(
      ({ type }) => type === "EvictionInProgress",
    );
  const says = (reason: string) => async () => {
    const condition = await conditionOf("broken");
    return condition?.reason === reason ? condition : undefined;
  };

  it("says whom it would drive away, and whom it does", async () => {
    await start({
      components: ["kube-controller-manager"],
      featureGates: ["DRADeviceTaints=true", "DRADeviceTaintRules=true"],
      runtimeConfig: ["resource.k8s.io/v1alpha3=true"],
    });
    await plane.admin.create(ServiceAccount, { metadata: { name: "any", namespace } });
    await plane.admin.create(DeviceClass, { metadata: { name: "gpus" }, spec: {} });
    const requests = [{ name: "gpu", exactly: { deviceClassName: "gpus" } }];
    const claim = await plane.admin.create(ResourceClaim, {
      metadata: { namespace, name: "mine" },
      spec: { devices: { requests } },
    });
    const user = await plane.admin.create(Pod, {
      metadata: { name: "user", namespace },
      spec: {
        nodeName: "elsewhere",
        serviceAccountName: "any",
        containers: [{ name: "c", image: "c:1" }],
        resourceClaims: [{ name: "gpu", resourceClaimName: "mine" }],
      },
    });
    const status = {
      allocation: { devices: { results: [{ request: "gpu", driver, pool: "a", device: "gpu-0" }] } },
      reservedFor: [{ resource: "pods", name: "user", uid: user.metadata.uid ?? "" }],
    };
    await plane.admin.update(ResourceClaim, { ...claim, status }, { subresource: "status" });
    await plane.admin.create(DeviceTaintRule, {
      metadata: { name: "broken" },
      spec: { deviceSelector: { driver }, taint: taint("None") },
    });
    const first = await plane.until("it says what it would do", says("NoEffect"));
    expect(first).toMatchObject({
      status: "False",
      observedGeneration: 1,
      message:
        "0 published devices selected. 1 allocated device selected. 1 pod would be evicted in 1 namespace if the effect was NoExecute. This information will not be updated again. Recreate the DeviceTaintRule to trigger an update.",
    });
    expect((await plane.admin.get(Pod, { namespace, name: "user" })).metadata.deletionTimestamp).toBeUndefined();
    await plane.admin.patch(DeviceTaintRule, { name: "broken" }, "merge", { spec: { taint: taint("NoExecute") } });
    await plane.until("driven away", async () => {
      const { items } = await plane.admin.list(Pod, { namespace });
      return items.every(({ metadata }) => metadata.deletionTimestamp !== undefined);
    });
    const last = await plane.until("it says so", says("Completed"), { limitMs: 60_000, stepMs: 500 });
    expect(last).toMatchObject({
      status: "False",
      observedGeneration: 2,
      message: "1 pod evicted since starting the controller.",
    });
  });
});

describe("a StatefulSet whose pods may be away together", () => {
  const labels = { app: "db" };
  const nodes = ["n1", "n2"].map((name) => ({ name, shortImage: "task:ok", failingImage: "task:bad" }));
  const set: StatefulSet = {
    metadata: { name: "db", namespace },
    spec: {
      replicas: 4,
      serviceName: "db",
      podManagementPolicy: "Parallel",
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 2 } },
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "c", image: "db:1" }] } },
    },
  };
  const isReady = ({ status }: Pod): boolean =>
    status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") ?? false;

  /** Updates the set, and tells how many of its pods were away together, at most. */
  async function mostAway(): Promise<number> {
    for (const node of nodes) await plane.addNode(node);
    await plane.admin.create(StatefulSet, set);
    const ready = async (image: string): Promise<boolean> => {
      const { items } = await plane.admin.list(Pod, { namespace });
      return items.filter((pod) => isReady(pod) && pod.spec.containers[0]?.image === image).length === 4;
    };
    await plane.until("all are ready", () => ready("db:1"));
    const end = new AbortController();
    const history = followPods(plane.admin, namespace, end.signal);
    let most = 0;
    let hasBegun = false;
    history.check("away", ({ ready: { length } }) => {
      hasBegun ||= length === 4;
      if (hasBegun) most = Math.max(most, 4 - length);
      return undefined;
    });
    await plane.until("they are seen", () => hasBegun);
    const template = { spec: { containers: [{ name: "c", image: "db:2" }] } };
    await plane.admin.patch(StatefulSet, { namespace, name: "db" }, "strategic", { spec: { template } });
    await plane.until("all are new", () => ready("db:2"));
    end.abort();
    await history.done;
    return most;
  }

  it("is updated by so many at a time, with the gate", async () => {
    await start({ featureGates: ["MaxUnavailableStatefulSet=true"] });
    expect(await mostAway()).toBe(2);
    const { spec } = await plane.admin.get(StatefulSet, { namespace, name: "db" });
    expect(spec.updateStrategy?.rollingUpdate).toEqual({ partition: 0, maxUnavailable: 2 });
    const plain = { ...set, metadata: { name: "plain", namespace }, spec: { ...set.spec, updateStrategy: undefined } };
    const made = await plane.admin.create(StatefulSet, plain);
    expect(made.spec.updateStrategy?.rollingUpdate).toEqual({ partition: 0, maxUnavailable: 1 });
    const none = { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "0%" } };
    await expect(
      plane.admin.create(StatefulSet, { ...plain, spec: { ...set.spec, updateStrategy: none } }),
    ).rejects.toThrow('spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "0%": cannot be 0');
  });

  it("is updated one by one without it, and does not say otherwise", async () => {
    await start({});
    expect(await mostAway()).toBe(1);
    const { spec } = await plane.admin.get(StatefulSet, { namespace, name: "db" });
    expect(spec.updateStrategy?.rollingUpdate).toEqual({ partition: 0 });
  });
});
