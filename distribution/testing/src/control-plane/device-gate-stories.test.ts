import { Event, Namespace, Node, Pod, ServiceAccount, type NodeStatus } from "@coracle/api/core/v1";
import { DeviceClass, ResourceClaim, ResourceSlice, type Device } from "@coracle/api/resource/v1";
import { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import { createSeededRandom, silentLogger } from "@coracle/base";
import { parseSchedulerFlags, readSchedulerSetup, runScheduler } from "@coracle/kube-scheduler";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
let plane: TestControlPlane;

beforeEach(async () => {
  plane = await createTestControlPlane({
    components: [],
    // The roles of its scheduler, and the kinds, that go with gates.
    featureGates: ["DRAExtendedResource=true", "DRADeviceTaints=true", "DRADeviceTaintRules=true"],
    runtimeConfig: ["resource.k8s.io/v1alpha3=true"],
  });
  await plane.admin.create(ServiceAccount, { metadata: { name: "default", namespace } });
});
afterEach(async () => plane[Symbol.asyncDispose]());

/** A scheduler as its command line has it. */
async function schedule(...argv: string[]): Promise<void> {
  const setup = await readSchedulerSetup(parseSchedulerFlags(argv));
  plane.run("scheduler", (signal) =>
    runScheduler({
      client: plane.clientOf("system:kube-scheduler"),
      clock: plane.clock,
      random: createSeededRandom(1),
      logger: silentLogger,
      signal,
      configuration: setup?.configuration,
      deviceFeatures: setup?.deviceFeatures,
    }),
  );
}

async function nodeWith(devices: readonly Device[], more: NodeStatus["allocatable"] = {}): Promise<void> {
  const allocatable = { cpu: "4", memory: "8Gi", pods: "110", ...more };
  await plane.admin.create(Node, { metadata: { name: "n" }, spec: {}, status: { allocatable } });
  // New nodes are not ready until somebody says so.
  await plane.admin.patch(Node, { name: "n" }, "merge", { spec: { taints: null } });
  const pool = { name: "n", generation: 1, resourceSliceCount: 1 };
  const spec = { driver: "gpu.io", nodeName: "n", pool, devices };
  await plane.admin.create(ResourceSlice, { metadata: { name: "n" }, spec });
}
const classOf = (extendedResourceName?: string): Promise<DeviceClass> =>
  plane.admin.create(DeviceClass, {
    metadata: { name: "gpus" },
    spec: extendedResourceName === undefined ? {} : { extendedResourceName },
  });
const podWith = (name: string, spec: Partial<Pod["spec"]>): Promise<Pod> =>
  plane.admin.create(Pod, {
    metadata: { name, namespace },
    spec: { containers: [{ name: "c", image: "c:1" }], automountServiceAccountToken: false, ...spec },
  });
const asking = (name: string, resource: string): Promise<Pod> =>
  podWith(name, {
    containers: [
      { name: "c", image: "c:1", resources: { requests: { [resource]: "1" }, limits: { [resource]: "1" } } },
    ],
  });
const pod = (name: string): Promise<Pod> => plane.admin.get(Pod, { namespace, name });
const placed = async (name: string): Promise<boolean> => (await pod(name)).spec.nodeName === "n";
const whyNot = async (name: string): Promise<string | undefined> =>
  (await pod(name)).status?.conditions?.find(({ type }) => type === "PodScheduled")?.message;
const claim = (name: string): Promise<ResourceClaim> => plane.admin.get(ResourceClaim, { namespace, name });

describe("DRAExtendedResource", () => {
  it("a class cannot stand behind what is no such resource", async () => {
    await expect(classOf("kubernetes.io/gpu")).rejects.toThrow(
      'spec.extendedResourceName: Invalid value: "kubernetes.io/gpu": must be a valid extended resource name',
    );
  });

  it("gives devices to a pod that asks for them as for any resource; nobody else gets them", async () => {
    await schedule("--feature-gates=DRAExtendedResource=true");
    await nodeWith([{ name: "one" }]);
    await asking("first", "x.io/gpu");
    await plane.until("nobody has it", async () => (await whyNot("first"))?.includes("Insufficient x.io/gpu"));
    await classOf("x.io/gpu");
    await plane.until("placed once there is a class", () => placed("first"));
    const { metadata, status } = await pod("first");
    const made = await claim(status?.extendedResourceClaimStatus?.resourceClaimName ?? "");
    expect(made.metadata.name).toMatch(/^first-extended-resources-/);
    expect(made.metadata.ownerReferences).toMatchObject([{ kind: "Pod", uid: metadata.uid, controller: true }]);
    expect(made.status?.allocation?.devices?.results).toMatchObject([{ pool: "n", device: "one" }]);
    expect(status?.extendedResourceClaimStatus?.requestMappings).toEqual([
      { containerName: "c", resourceName: "x.io/gpu", requestName: "container-0-request-0" },
    ]);
    await asking("second", "deviceclass.resource.kubernetes.io/gpus");
    await plane.until("there is no other", async () =>
      (await whyNot("second"))?.includes("cannot allocate all claims"),
    );
  });

  it("leaves to the node what the node has by itself", async () => {
    await schedule("--feature-gates=DRAExtendedResource=true");
    await classOf("x.io/gpu");
    await nodeWith([{ name: "one" }], { "x.io/gpu": "1" });
    await asking("first", "x.io/gpu");
    await plane.until("placed", () => placed("first"));
    expect((await plane.admin.list(ResourceClaim, { namespace })).items).toEqual([]);
    await asking("second", "x.io/gpu");
    await plane.until("there is no other", async () => (await whyNot("second"))?.includes("Insufficient x.io/gpu"));
  });

  it("is off by default", async () => {
    await schedule();
    await classOf("x.io/gpu");
    await nodeWith([{ name: "one" }]);
    await asking("first", "x.io/gpu");
    await plane.until("nobody has it", async () => (await whyNot("first"))?.includes("Insufficient x.io/gpu"));
  });
});

describe("DRADeviceBindingConditions", () => {
  const device = { name: "one", bindsToNode: true, bindingConditions: ["Attached"], bindingFailureConditions: ["No"] };
  const user = async (): Promise<void> => {
    const devices = { requests: [{ name: "gpu", exactly: { deviceClassName: "gpus" } }] };
    await plane.admin.create(ResourceClaim, { metadata: { namespace, name: "mine" }, spec: { devices } });
    await podWith("user", { resourceClaims: [{ name: "gpu", resourceClaimName: "mine" }] });
  };
  const say = async (type: string): Promise<void> => {
    const lastTransitionTime = "2026-01-01T00:00:00Z";
    const conditions = [{ type, status: "True", reason: "Driver", message: "said", lastTransitionTime }];
    const status = { devices: [{ driver: "gpu.io", pool: "n", device: "one", conditions }] };
    await plane.admin.patch(ResourceClaim, { namespace, name: "mine" }, "merge", { status }, { subresource: "status" });
  };
  const waiting = async (): Promise<boolean> =>
    (await plane.admin.list(Event)).items.some(
      ({ reason, message }) =>
        reason === "BindingConditionsPending" && message === "waiting for binding conditions for device on node n",
    );
  const start = async (...argv: string[]): Promise<void> => {
    await schedule(...argv);
    await classOf();
    await nodeWith([device]);
    await user();
  };

  it("holds the pod until its device is ready", async () => {
    await start("--feature-gates=DRADeviceBindingConditions=true");
    await plane.until("it waits", waiting);
    expect(await placed("user")).toBe(false);
    const { status } = await claim("mine");
    expect(status?.allocation?.allocationTimestamp).toBeDefined();
    expect(status?.allocation?.devices?.results).toMatchObject([{ bindingConditions: ["Attached"] }]);
    await say("Attached");
    await plane.until("placed", () => placed("user"));
  });

  it("takes the device away that cannot be made ready, and tries again", async () => {
    await start("--feature-gates=DRADeviceBindingConditions=true");
    await plane.until("it waits", waiting);
    await say("No");
    await plane.until("told", async () =>
      (await plane.admin.list(Event)).items.some(({ message = "" }) =>
        message.includes('claim mine binding failed: reason=Driver, message="said"'),
      ),
    );
    // Taken away with what was said of it: then it is given again, and may become ready after all.
    await plane.until("given again", async () => {
      const { status } = await claim("mine");
      return status?.allocation !== undefined && status.devices === undefined;
    });
    await say("Attached");
    await plane.until("placed", () => placed("user"));
  });

  it("such devices are nobody's by default", async () => {
    await start();
    await plane.until("not taken", async () => (await whyNot("user"))?.includes("cannot allocate all claims"));
  });
});

describe("what the other gates turn on and off", () => {
  const claimFor = async (name: string, request: NonNullable<ResourceClaim["spec"]["devices"]>["requests"]) => {
    await plane.admin.create(ResourceClaim, {
      metadata: { namespace, name },
      spec: { devices: { requests: request } },
    });
    await podWith(name, { resourceClaims: [{ name: "gpu", resourceClaimName: name }] });
  };
  const one = [{ name: "gpu", exactly: { deviceClassName: "gpus" } }];
  const none = "cannot allocate all claims";
  const says = (name: string, text: string) =>
    plane.until(`${name}: ${text}`, async () => (await whyNot(name))?.includes(text));
  const start = async (gates: string, devices: readonly Device[]): Promise<void> => {
    await schedule(...(gates === "" ? [] : [`--feature-gates=${gates}`]));
    await classOf();
    await nodeWith(devices);
  };

  it("DRADeviceTaints: devices with taints are for those who tolerate them", async () => {
    await start("DRADeviceTaints=true", [{ name: "old", taints: [{ key: "worn", effect: "NoSchedule" }] }]);
    await claimFor("any", one);
    await says("any", none);
    const tolerations = [{ key: "worn", operator: "Exists" }] as const;
    await claimFor("modest", [{ name: "gpu", exactly: { deviceClassName: "gpus", tolerations } }]);
    await plane.until("placed", () => placed("modest"));
  });

  it("DRADeviceTaintRules: rules put taints on devices", async () => {
    const taint = { key: "worn", effect: "NoSchedule" };
    const spec = { deviceSelector: { driver: "gpu.io" }, taint };
    await plane.admin.create(DeviceTaintRule, { metadata: { name: "worn" }, spec });
    // Knows of the rule when it begins.
    await start("DRADeviceTaints=true,DRADeviceTaintRules=true", [{ name: "one" }]);
    await claimFor("any", one);
    await says("any", none);
    await plane.admin.delete(DeviceTaintRule, { name: "worn" });
    await plane.until("placed", () => placed("any"));
  });

  it("DRAConsumableCapacity: devices that serve several do", async () => {
    const shared = { name: "big", allowMultipleAllocations: true, capacity: { memory: { value: "8Gi" } } };
    await start("DRAConsumableCapacity=true", [shared]);
    const half = { name: "gpu", exactly: { deviceClassName: "gpus", capacity: { requests: { memory: "4Gi" } } } };
    for (const name of ["first", "second", "third"]) await claimFor(name, [half]);
    const counted = async (): Promise<number> => {
      const { items } = await plane.admin.list(Pod, { namespace });
      return items.filter(({ spec }) => spec.nodeName !== undefined).length;
    };
    await plane.until("two are placed", async () => (await counted()) === 2);
    await plane.until("the third is told", async () => {
      const { items } = await plane.admin.list(Pod, { namespace });
      return items.some(({ status }) => status?.conditions?.some(({ message }) => message?.includes(none)));
    });
  });

  it("DRAPartitionableDevices: parts of a device are had as long as there is some of it", async () => {
    const counters = (value: string) => ({ memory: { value } });
    const part = (name: string): Device => ({
      name,
      consumesCounters: [{ counterSet: "whole", counters: counters("5Gi") }],
    });
    await start("DRAPartitionableDevices=true", []);
    const pool = { name: "parts", generation: 1, resourceSliceCount: 2 };
    const where = { driver: "gpu.io", nodeName: "n", pool };
    const sharedCounters = [{ name: "whole", counters: counters("8Gi") }];
    await plane.admin.create(ResourceSlice, { metadata: { name: "counters" }, spec: { ...where, sharedCounters } });
    const devices = [part("a"), part("b")];
    await plane.admin.create(ResourceSlice, { metadata: { name: "parts" }, spec: { ...where, devices } });
    await claimFor("first", one);
    await plane.until("placed", () => placed("first"));
    await claimFor("second", one);
    await says("second", none);
  });

  it("DRAPrioritizedList, off: alternatives are refused", async () => {
    await start("DRAPrioritizedList=false", [{ name: "one" }]);
    await claimFor("any", [{ name: "gpu", firstAvailable: [{ name: "a", deviceClassName: "gpus" }] }]);
    await says("any", "has subrequests, but the DRAPrioritizedList feature is disabled");
  });

  it("DRAAdminAccess, off: nobody looks after devices", async () => {
    await start("DRAAdminAccess=false", [{ name: "one" }]);
    const labels = { "resource.kubernetes.io/admin-access": "true" };
    await plane.until("labelled", async () => {
      await plane.admin.patch(Namespace, { name: namespace }, "merge", { metadata: { labels } });
      return true;
    });
    await claimFor("any", [{ name: "gpu", exactly: { deviceClassName: "gpus", adminAccess: true } }]);
    await plane.until("told", async () =>
      (await plane.admin.list(Event)).items.some(({ message = "" }) =>
        message.includes("admin access is requested, but the feature is disabled"),
      ),
    );
  });
});
