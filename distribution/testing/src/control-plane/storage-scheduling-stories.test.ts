import { Node, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { DeviceClass, ResourceClaim, ResourceSlice } from "@coracle/api/resource/v1";
import { StorageClass } from "@coracle/api/storage/v1";
import { isConflict } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";

let plane: TestControlPlane;
beforeEach(async () => {
  plane = await createTestControlPlane({ components: ["kube-scheduler"] });
  await plane.admin.create(ServiceAccount, { metadata: { name: "default", namespace } });
  for (const name of ["a", "b"]) {
    await plane.admin.create(Node, {
      metadata: { name, labels: { host: name } },
      spec: {},
      status: { allocatable: { cpu: "4", memory: "8Gi", pods: "110" } },
    });
    // New nodes are not ready until somebody says so.
    await plane.admin.patch(Node, { name }, "merge", { spec: { taints: null } });
  }
});
afterEach(async () => plane[Symbol.asyncDispose]());

const podWith = (name: string, spec: Partial<Pod["spec"]>): Promise<Pod> =>
  plane.admin.create(Pod, {
    metadata: { name, namespace },
    spec: { containers: [{ name: "c", image: "c:1" }], automountServiceAccountToken: false, ...spec },
  });
const nodeOf = async (name: string): Promise<string | undefined> =>
  (await plane.admin.get(Pod, { namespace, name })).spec.nodeName;
const whyNot = async (name: string): Promise<string | undefined> =>
  (await plane.admin.get(Pod, { namespace, name })).status?.conditions?.find(({ type }) => type === "PodScheduled")
    ?.message;

describe("claims that wait for their pod", () => {
  const claimOf = (name: string): Promise<PersistentVolumeClaim> =>
    plane.admin.create(PersistentVolumeClaim, {
      metadata: { name, namespace },
      spec: {
        accessModes: ["ReadWriteOnce"],
        storageClassName: "later",
        resources: { requests: { storage: "1Gi" } },
      },
    });
  const user = (name: string, claimName: string): Promise<Pod> =>
    podWith(name, { volumes: [{ name: "data", persistentVolumeClaim: { claimName } }] });
  const classOf = (provisioner: string): Promise<StorageClass> =>
    plane.admin.create(StorageClass, {
      metadata: { name: "later" },
      provisioner,
      volumeBindingMode: "WaitForFirstConsumer",
    });
  const volumeOn = async (name: string, host: string): Promise<void> => {
    const volume = await plane.admin.create(PersistentVolume, {
      metadata: { name },
      spec: {
        storageClassName: "later",
        accessModes: ["ReadWriteOnce"],
        capacity: { storage: "2Gi" },
        local: { path: "/data" },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: "host", operator: "In", values: [host] }] }],
          },
        },
      },
    });
    await plane.admin.update(
      PersistentVolume,
      { ...volume, status: { phase: "Available" } },
      { subresource: "status" },
    );
  };
  /** What the volume controller does once both sides are known. */
  const bind = (claimName: string, volumeName: string): Promise<unknown> =>
    plane.admin.patch(PersistentVolumeClaim, { namespace, name: claimName }, "merge", {
      metadata: { annotations: { "pv.kubernetes.io/bind-completed": "yes" } },
      spec: { volumeName },
    });

  it("take a volume that is there, and their pod goes where that is", async () => {
    await classOf("kubernetes.io/no-provisioner");
    await claimOf("data");
    await user("first", "data");
    await plane.until("it is said that there is none", async () =>
      (await whyNot("first"))?.includes("2 node(s) didn't find available persistent volumes to bind"),
    );
    await volumeOn("pv", "b");
    const ref = await plane.until("the volume is meant for the claim", async () => {
      return (await plane.admin.get(PersistentVolume, { name: "pv" })).spec?.claimRef;
    });
    expect(ref).toMatchObject({ kind: "PersistentVolumeClaim", namespace, name: "data" });
    expect(await nodeOf("first")).toBeUndefined();
    await bind("data", "pv");
    expect(await plane.until("the pod is placed", () => nodeOf("first"))).toBe("b");
  });

  it("are given to their provisioner with the node, and to another node when that fails", async () => {
    await classOf("test.io/provisioner");
    await claimOf("data");
    await user("first", "data");
    const get = (): Promise<PersistentVolumeClaim> =>
      plane.admin.get(PersistentVolumeClaim, { namespace, name: "data" });
    const selected = async (): Promise<string | undefined> =>
      (await get()).metadata.annotations?.["volume.kubernetes.io/selected-node"];
    await plane.until("a node is selected", selected);
    // The provisioner has no room there: it takes the annotation away, and the pod is tried again.
    await plane.admin.patch(PersistentVolumeClaim, { namespace, name: "data" }, "merge", {
      metadata: { annotations: { "volume.kubernetes.io/selected-node": null, seen: "yes" } },
    });
    const node = await plane.until("a node is selected again", selected);
    await volumeOn("made", node);
    await bind("data", "made");
    expect(await plane.until("the pod is placed", () => nodeOf("first"))).toBe(node);
  });
});

describe("claims to devices", () => {
  const device = (name: string, model: string) => ({ name, attributes: { model: { string: model } } });
  const claimOf = (name: string, expression: string): Promise<ResourceClaim> =>
    plane.admin.create(ResourceClaim, {
      metadata: { name, namespace },
      spec: {
        devices: {
          requests: [{ name: "gpu", exactly: { deviceClassName: "gpu", selectors: [{ cel: { expression } }] } }],
        },
      },
    });
  const user = (name: string, claim: string): Promise<Pod> =>
    podWith(name, {
      containers: [{ name: "c", image: "c:1", resources: { claims: [{ name: "dev" }] } }],
      resourceClaims: [{ name: "dev", resourceClaimName: claim }],
    });
  const status = async (name: string): Promise<ResourceClaim["status"]> =>
    (await plane.admin.get(ResourceClaim, { namespace, name })).status;

  beforeEach(async () => {
    await plane.admin.create(DeviceClass, {
      metadata: { name: "gpu" },
      spec: { selectors: [{ cel: { expression: `device.driver == "gpu.io"` } }] },
    });
    for (const [host, ...models] of [
      ["a", "old"],
      ["b", "old", "new"],
    ] as const)
      await plane.admin.create(ResourceSlice, {
        metadata: { name: host },
        spec: {
          driver: "gpu.io",
          nodeName: host,
          pool: { name: host, generation: 1, resourceSliceCount: 1 },
          devices: models.map((model) => device(model, model)),
        },
      });
  });

  it("are served before their pod is bound; whoever comes too late waits until the device is free", async () => {
    const isNew = `device.attributes["gpu.io"].model == "new"`;
    await claimOf("one", isNew);
    await claimOf("two", isNew);
    await user("first", "one");
    expect(await plane.until("the pod is placed", () => nodeOf("first"))).toBe("b");
    const served = await status("one");
    expect(served?.allocation?.devices?.results).toEqual([
      { request: "gpu", driver: "gpu.io", pool: "b", device: "new" },
    ]);
    expect(served?.reservedFor).toMatchObject([{ resource: "pods", name: "first" }]);

    await user("second", "two");
    await plane.until("it is said that there is none", async () =>
      (await whyNot("second"))?.includes("0/2 nodes are available: 2 cannot allocate all claims."),
    );
    expect(await whyNot("second")).toContain("still not schedulable");
    await plane.admin.delete(Pod, { namespace, name: "first" }, { gracePeriodSeconds: 0 });
    // What the claim controller does for a claim that nobody uses any more.
    await plane.until("the claim is free", async () => {
      const claim = await plane.admin.get(ResourceClaim, { namespace, name: "one" });
      try {
        await plane.admin.update(ResourceClaim, { ...claim, status: {} }, { subresource: "status" });
        return true;
      } catch (error) {
        if (isConflict(error)) return false;
        throw error;
      }
    });
    expect(await plane.until("the second pod is placed", () => nodeOf("second"))).toBe("b");
  });

  it("that are not there yet keep their pod out of the queue", async () => {
    await user("early", "late");
    await claimOf("late", `device.attributes["gpu.io"].model == "old"`);
    await plane.until("the pod is placed", () => nodeOf("early"));
    expect((await status("late"))?.reservedFor).toHaveLength(1);
  });
});
