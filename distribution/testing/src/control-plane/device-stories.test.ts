import { Event, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { ResourceClaim, ResourceClaimTemplate, ResourceSlice } from "@coracle/api/resource/v1";
import { isNotFound } from "@coracle/apimachinery";
import { silentLogger } from "@coracle/base";
import { defaultFlags, runControllerManager } from "@coracle/kube-controller-manager";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
let plane: TestControlPlane;

beforeEach(async () => {
  plane = await createTestControlPlane({ components: ["kube-controller-manager"], fakeClock: true });
  await plane.admin.create(ServiceAccount, { metadata: { name: "any", namespace } });
});
afterEach(() => plane[Symbol.asyncDispose]());

const devices = { requests: [{ name: "gpu", exactly: { deviceClassName: "gpus" } }] };
const allocation = {
  devices: { results: [{ request: "gpu", driver: "gpu.example.com", pool: "a", device: "gpu-0" }] },
};
const makePod = (name: string, spec: Partial<Pod["spec"]>): Promise<Pod> =>
  plane.admin.create(Pod, {
    metadata: { name, namespace },
    spec: { serviceAccountName: "any", containers: [{ name: "c", image: "c:1" }], ...spec },
  });
const pod = (name: string): Promise<Pod> => plane.admin.get(Pod, { namespace, name });
const claims = async (): Promise<readonly ResourceClaim[]> =>
  (await plane.admin.list(ResourceClaim, { namespace })).items;
const claim = (name: string): Promise<ResourceClaim> => plane.admin.get(ResourceClaim, { namespace, name });
const makeTemplate = (): Promise<ResourceClaimTemplate> =>
  plane.admin.create(ResourceClaimTemplate, {
    metadata: { namespace, name: "one-gpu" },
    spec: { metadata: { labels: { of: "template" } }, spec: { devices } },
  });
/** What the scheduler does. */
async function allocate(name: string, users: readonly Pod[]): Promise<void> {
  const found = await claim(name);
  const metadata = { ...found.metadata, finalizers: ["resource.kubernetes.io/delete-protection"] };
  const held = await plane.admin.update(ResourceClaim, { ...found, metadata });
  const reservedFor = users.map(({ metadata: { name: user = "", uid = "" } }) => ({
    resource: "pods",
    name: user,
    uid,
  }));
  await plane.admin.update(
    ResourceClaim,
    { ...held, status: { allocation, ...(reservedFor.length === 0 ? {} : { reservedFor }) } },
    { subresource: "status" },
  );
}
const isGone = async (attempt: Promise<unknown>): Promise<boolean> => {
  try {
    await attempt;
    return false;
  } catch (error) {
    return isNotFound(error);
  }
};

describe("a pod that asks for devices by a template", () => {
  const user = { resourceClaims: [{ name: "gpu", resourceClaimTemplateName: "one-gpu" }] };

  it("is told that there is no such template, then gets one claim, which goes when it is done", async () => {
    const made = await makePod("user", user);
    const told = await plane.until("told", async () =>
      (await plane.admin.list(Event)).items.find(({ reason }) => reason === "FailedResourceClaimCreation"),
    );
    expect(told.message).toBe(
      'PodResourceClaim gpu: resource claim template "one-gpu": resourceclaimtemplate.resource.k8s.io "one-gpu" not found',
    );
    await makeTemplate();
    const statuses = await plane.until("named", async () => (await pod("user")).status?.resourceClaimStatuses);
    const all = await claims();
    expect(all).toHaveLength(1);
    const { metadata, spec } = all[0] as ResourceClaim;
    expect(statuses).toEqual([{ name: "gpu", resourceClaimName: metadata.name }]);
    expect(metadata.name).toMatch(/^user-gpu-/);
    expect(metadata.labels).toEqual({ of: "template" });
    expect(metadata.annotations).toEqual({ "resource.kubernetes.io/pod-claim-name": "gpu" });
    expect(metadata.ownerReferences).toMatchObject([{ kind: "Pod", uid: made.metadata.uid, controller: true }]);
    expect(spec.devices?.requests?.[0]).toMatchObject({ name: "gpu" });

    await allocate(metadata.name ?? "", [made]);
    await plane.admin.patch(
      Pod,
      { namespace, name: "user" },
      "merge",
      { status: { phase: "Succeeded" } },
      { subresource: "status" },
    );
    await plane.until("gone", async () => (await claims()).length === 0);
  });

  it("gets another claim when the one it had is deleted", async () => {
    await makeTemplate();
    await makePod("user", user);
    const first = await plane.until("named", async () => (await pod("user")).status?.resourceClaimStatuses?.[0]);
    await plane.admin.delete(ResourceClaim, { namespace, name: first.resourceClaimName ?? "" });
    await plane.until("another", async () => {
      const name = (await pod("user")).status?.resourceClaimStatuses?.[0]?.resourceClaimName;
      return name !== first.resourceClaimName && (await claims()).some(({ metadata }) => metadata.name === name);
    });
  });
});

describe("a claim that pods share", () => {
  it("notes pods that others placed, and gives its devices back with the last", async () => {
    await plane.admin.create(ResourceClaim, { metadata: { namespace, name: "shared" }, spec: { devices } });
    const uses = { resourceClaims: [{ name: "gpu", resourceClaimName: "shared" }] };
    const first = await makePod("first", uses);
    await allocate("shared", [first]);
    await makePod("second", { ...uses, nodeName: "elsewhere" });
    await plane.until("both noted", async () => (await claim("shared")).status?.reservedFor?.length === 2);
    const at = { gracePeriodSeconds: 0 };
    await plane.admin.delete(Pod, { namespace, name: "second" }, at);
    await plane.until("one noted", async () => (await claim("shared")).status?.reservedFor?.length === 1);
    expect((await claim("shared")).status?.allocation).toBeDefined();
    await plane.admin.delete(Pod, { namespace, name: "first" }, at);
    await plane.until("given back", async () => (await claim("shared")).status?.allocation === undefined);
    await plane.until("not held", async () => (await claim("shared")).metadata.finalizers === undefined);
    expect((await claim("shared")).status?.reservedFor).toBeUndefined();
  });

  it("that is deleted waits for its last user", async () => {
    await plane.admin.create(ResourceClaim, { metadata: { namespace, name: "shared" }, spec: { devices } });
    const first = await makePod("first", { resourceClaims: [{ name: "gpu", resourceClaimName: "shared" }] });
    await allocate("shared", [first]);
    await plane.admin.delete(ResourceClaim, { namespace, name: "shared" });
    expect((await claim("shared")).metadata.deletionTimestamp).toBeDefined();
    await plane.admin.delete(Pod, { namespace, name: "first" }, { gracePeriodSeconds: 0 });
    await plane.until("gone", () => isGone(claim("shared")));
  });
});

describe("a device that breaks", () => {
  const put = (taints: readonly { key: string; effect: string; timeAdded: string }[]): Promise<ResourceSlice> =>
    plane.admin.create(ResourceSlice, {
      metadata: { name: `gpus-${taints.length}` },
      spec: {
        driver: "gpu.example.com",
        nodeName: "elsewhere",
        pool: { name: "a", generation: taints.length, resourceSliceCount: 1 },
        devices: [{ name: "gpu-0", taints }],
      },
    });

  it("drives away the pod that uses it", async () => {
    plane.run("device taints", (signal) =>
      runControllerManager({
        client: plane.clientOf("anybody", "system:masters"),
        clock: plane.clock,
        logger: silentLogger,
        signal,
        freeze: true,
        flags: {
          ...defaultFlags,
          leaderElect: false,
          controllers: ["device-taint-eviction-controller"],
          featureGates: ["DRADeviceTaints=true"],
        },
      }),
    );
    await plane.admin.create(ResourceClaim, { metadata: { namespace, name: "mine" }, spec: { devices } });
    const user = await makePod("user", {
      nodeName: "elsewhere",
      resourceClaims: [{ name: "gpu", resourceClaimName: "mine" }],
    });
    await allocate("mine", [user]);
    await put([]);
    await plane.fakeClock?.advance(1000);
    expect((await pod("user")).metadata.deletionTimestamp).toBeUndefined();
    const timeAdded = new Date(plane.clock.now()).toISOString().replace(/\.\d+/, "");
    await put([{ key: "broken", effect: "NoExecute", timeAdded }]);
    await plane.until("driven away", async () => {
      const { items } = await plane.admin.list(Pod, { namespace });
      return items.every(({ metadata }) => metadata.deletionTimestamp !== undefined);
    });
    const told = await plane.until("told", async () =>
      (await plane.admin.list(Event)).items.find(({ reason }) => reason === "DeviceTaintManagerEviction"),
    );
    expect(told.message).toBe("Marking for deletion");
  });
});
