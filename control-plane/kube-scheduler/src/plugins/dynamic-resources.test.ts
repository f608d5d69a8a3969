import type { Node, Pod } from "@coracle/api/core/v1";
import type { ResourceClaim, ResourceSlice } from "@coracle/api/resource/v1";
import { conflict } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import type { ClaimWriter } from "../devices/bind-claim.ts";
import { AllocatedDevices } from "../devices/devices-in-use.ts";
import { ownerOfExtended } from "../devices/extended-claim.ts";
import { DEFAULT_DEVICE_FEATURES, type DeviceFeatures } from "../devices/device-features.ts";
import type { CycleState } from "../framework/plugin.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { createDynamicResources } from "./dynamic-resources.ts";

const node: Node = { metadata: { name: "n" }, spec: {}, status: {} };
const podOf = (name: string, part: Partial<Pod["status"]> = {}, claim: object = { resourceClaimName: "c" }): Pod => ({
  metadata: { name, namespace: "ns", uid: name },
  spec: { containers: [{ name: "c" }], resourceClaims: [{ name: "dev", ...claim }] },
  status: part,
});
const claimOf = (part: Partial<ResourceClaim> = {}, metadata = {}): ResourceClaim => ({
  spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: "any" } }] } },
  ...part,
  metadata: { namespace: "ns", name: "c", uid: "c", resourceVersion: "1", ...metadata },
});
const slice: ResourceSlice = {
  metadata: { name: "s" },
  spec: {
    driver: "d.io",
    nodeName: "n",
    pool: { name: "p", generation: 1, resourceSliceCount: 1 },
    devices: [{ name: "only" }],
  },
};
const allocation = { devices: { results: [{ request: "r", driver: "d.io", pool: "p", device: "only" }] } };

type Devices = ResourceSlice["spec"]["devices"];

const worldOf = (...initial: ResourceClaim[]) => worldWith({}, ...initial);

function worldWith(
  part: { readonly features?: DeviceFeatures; readonly devices?: Devices },
  ...initial: ResourceClaim[]
) {
  const claims = new Map(initial.map((claim) => [claim.metadata.name ?? "", claim]));
  const log: string[] = [];
  let conflicts = 0;
  let now = 0;
  let onWait = (): void => undefined;
  const write = (claim: ResourceClaim): ResourceClaim => {
    const next = { ...claim, metadata: { ...claim.metadata, resourceVersion: String(10 + log.length) } };
    claims.set(claim.metadata.name ?? "", next);
    return next;
  };
  const writer: ClaimWriter = {
    get: (claim) => Promise.resolve(claims.get(claim.metadata.name ?? "") ?? claim),
    update(claim) {
      log.push("update");
      return Promise.resolve(write(claim));
    },
    updateStatus(claim) {
      log.push("status");
      if (conflicts-- > 0) return Promise.reject(conflict({ group: "", resource: "resourceclaims" }, "c", "changed"));
      return Promise.resolve(write(claim));
    },
    create: (claim) => Promise.resolve(write({ ...claim, metadata: { ...claim.metadata, name: "made", uid: "made" } })),
    remove: ({ metadata }) => void log.push(`remove ${metadata.name}`),
    noteExtended(_, { requestMappings, resourceClaimName }) {
      log.push(`${resourceClaimName}: ${requestMappings.map((each) => each.requestName).join()}`);
      return Promise.resolve();
    },
    nowMs: () => now,
    changed: () => Promise.resolve(onWait()),
    deallocate: () => void log.push("deallocate"),
    giveUp: () => void log.push("giveUp"),
  };
  const plugin = createDynamicResources({
    view: {
      claim: (_, name) => claims.get(name),
      deviceClass: (name) => (name === "any" ? { metadata: { name }, spec: {} } : undefined),
      classOfResource: (name) => (name === "x.io/gpu" ? { metadata: { name: "any" }, spec: {} } : undefined),
      classesVersion: () => 0,
      extendedClaim: (uid) => [...claims.values()].find((claim) => ownerOfExtended(claim) === uid),
      slices: () => [{ ...slice, spec: { ...slice.spec, devices: part.devices ?? slice.spec.devices } }],
      inUse() {
        const devices = new AllocatedDevices();
        for (const claim of claims.values()) devices.add(claim);
        return devices;
      },
      selectors: () => undefined,
    },
    writer,
    nowMs: () => now,
    now: () => now,
    tellWaiting: (_, nodeName) => void log.push(`waiting on ${nodeName}`),
    ...(part.features === undefined ? {} : { features: part.features }),
    newShareId: () => "share",
  });
  const cluster = new ClusterState();
  cluster.setNode(node);
  const target = cluster.node("n");
  if (target === undefined) throw new Error("no node");
  return {
    claims,
    log,
    plugin,
    whileWaiting: (then: () => void) => void (onWait = then),
    passTime: (ms: number) => void (now += ms),
    failTimes: (times: number) => void (conflicts = times),
    /** The reason against the pod on the node; undefined: it fits. */
    attempt(pod: Pod) {
      const state: CycleState = new Map();
      const rejected = plugin.preFilter?.(state, pod, cluster)?.rejected;
      const reasons = rejected ?? plugin.filter?.(state, pod, target)?.reasons;
      return { state, reason: reasons?.join() };
    },
    roomFor: (pod: Pod, state: CycleState) => plugin.postFilter?.(pod, new Map(), cluster, state),
  };
}

describe("a pod with a claim to devices", () => {
  const template = { resourceClaimTemplateName: "t" };
  const statuses = (resourceClaimName?: string) => ({ resourceClaimStatuses: [{ name: "dev", resourceClaimName }] });
  const many = Array.from({ length: 256 }, (_, i) => ({ resource: "pods", name: `p${i}`, uid: `p${i}` }));
  const elsewhere = {
    ...allocation,
    nodeSelector: {
      nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["m"] }] }],
    },
  };
  it.each<[string, readonly ResourceClaim[], Pod, string | undefined]>([
    ["that can be served", [claimOf()], podOf("x"), undefined],
    ["that is not there", [], podOf("x"), 'could not find ResourceClaim "ns/c"'],
    ["that was not made yet", [], podOf("x", {}, template), 'pod "ns/x": ResourceClaim not created yet'],
    ["that turned out not to be needed", [], podOf("x", statuses(), template), undefined],
    [
      "that is another's",
      [claimOf()],
      podOf("x", statuses("c"), template),
      "ResourceClaim ns/c was not created for pod ns/x (pod is not owner)",
    ],
    [
      "that is going",
      [claimOf({}, { deletionTimestamp: "2026-01-01T00:00:00Z" })],
      podOf("x"),
      'resourceclaim "c" is being deleted',
    ],
    [
      "that has no class",
      [claimOf({ spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: "no" } }] } } })],
      podOf("x"),
      "request r: device class no does not exist",
    ],
    [
      "that as many as may use",
      [claimOf({ status: { allocation, reservedFor: many } })],
      podOf("x"),
      "resourceclaim in use",
    ],
    ["that it uses already", [claimOf({ status: { allocation, reservedFor: many } })], podOf("p7"), undefined],
    [
      "whose devices are elsewhere",
      [claimOf({ status: { allocation: elsewhere } })],
      podOf("x"),
      "resourceclaim not available on the node",
    ],
    [
      "whose devices are others'",
      [claimOf(), claimOf({ status: { allocation } }, { name: "d", uid: "d" })],
      podOf("x"),
      "cannot allocate all claims",
    ],
  ])("%s", (_, claims, pod, expected) => expect(worldOf(...claims).attempt(pod).reason).toBe(expected));

  it("fails where a claim is at fault, whatever the node", () => {
    const claim = claimOf({
      spec: { devices: { requests: [{ name: "r", exactly: { deviceClassName: "any", count: 33 } }] } },
    });
    const world = worldOf(claim);
    expect(() => world.attempt(podOf("p"))).toThrow(
      'running "DynamicResources" filter plugin: claim ns/c: number of requested devices 33 exceeds the claim limit of 32',
    );
  });

  it("gets devices and becomes their user, also after a conflict", async () => {
    const world = worldOf(claimOf());
    world.failTimes(1);
    const pod = podOf("x");
    const { state } = world.attempt(pod);
    expect(world.plugin.reserve?.(state, pod, "n")).toBeUndefined();
    await world.plugin.preBind?.(state, pod, "n");
    expect(world.claims.get("c")?.status).toEqual({
      allocation: { ...allocation, nodeSelector: expect.anything() as never },
      reservedFor: [{ resource: "pods", name: "x", uid: "x" }],
    });
    expect(world.claims.get("c")?.metadata.finalizers).toEqual(["resource.kubernetes.io/delete-protection"]);
  });

  it("keeps its devices from others as soon as its node is chosen, and gives them back", () => {
    const world = worldOf(claimOf(), claimOf({}, { name: "d", uid: "d" }));
    const [first, second] = [podOf("x"), podOf("y", {}, { resourceClaimName: "d" })];
    const { state } = world.attempt(first);
    expect(world.plugin.reserve?.(state, first, "n")).toBeUndefined();
    expect(world.attempt(second).reason).toBe("cannot allocate all claims");
    expect(world.attempt(podOf("z")).reason).toBe("resource claim ns/c is in the process of being allocated");
    world.plugin.unreserve?.(state, first, "n");
    expect(world.attempt(second).reason).toBeUndefined();
  });

  it("has a claim's devices taken away where nobody uses them and they are elsewhere", () => {
    const world = worldOf(claimOf({ status: { allocation: elsewhere } }));
    const { state } = world.attempt(podOf("x"));
    expect(world.roomFor(podOf("x"), state)).toMatchObject({ message: "deallocation of ResourceClaim completed" });
    expect(world.log).toEqual(["deallocate"]);
    const used = worldOf(
      claimOf({ status: { allocation: elsewhere, reservedFor: [{ resource: "pods", name: "y", uid: "y" }] } }),
    );
    expect(used.roomFor(podOf("x"), used.attempt(podOf("x")).state)).toMatchObject({
      message: "still not schedulable",
    });
    const without: Pod = { ...podOf("x"), spec: { containers: [] } };
    expect(used.roomFor(without, used.attempt(without).state)).toMatchObject({
      message: "no new claims to deallocate",
    });
    // Another plugin rejected the pod before this one was asked.
    expect(used.roomFor(without, new Map())).toMatchObject({ message: "not found", isFailure: true });
  });
});

describe("a device that must be made ready on the node of its pod", () => {
  const features = { ...DEFAULT_DEVICE_FEATURES, bindingConditions: true };
  const conditions = { bindingConditions: ["Attached"], bindingFailureConditions: ["Broken"] };
  const device = { name: "only", ...conditions, bindsToNode: true };
  const say = (world: ReturnType<typeof worldWith>, type: string) => {
    const claim = world.claims.get("c") ?? claimOf();
    const said = { type, status: "True", reason: "R", message: "m", lastTransitionTime: "2026-01-01T00:00:00Z" };
    const devices = [{ driver: "d.io", pool: "p", device: "only", conditions: [said] }];
    world.claims.set("c", { ...claim, status: { ...claim.status, devices } });
  };
  const reserved = (world: ReturnType<typeof worldWith>) => {
    const { state, reason } = world.attempt(podOf("x"));
    expect(reason).toBeUndefined();
    expect(world.plugin.reserve?.(state, podOf("x"), "n")).toBeUndefined();
    return state;
  };

  it("is not taken where the feature is off", () =>
    expect(worldWith({ devices: [device] }, claimOf()).attempt(podOf("x")).reason).toBe("cannot allocate all claims"));

  it("is taken where the feature is on", () => {
    const world = worldWith({ features, devices: [device] }, claimOf());
    expect(world.attempt(podOf("x")).reason).toBeUndefined();
  });

  it("is waited for, then the pod is bound", async () => {
    const world = worldWith({ features, devices: [device] }, claimOf());
    const state = reserved(world);
    world.whileWaiting(() => say(world, "Attached"));
    await world.plugin.preBind?.(state, podOf("x"), "n");
    expect(world.log).toEqual(["update", "status", "waiting on n"]);
    expect(world.claims.get("c")?.status?.allocation).toMatchObject({
      allocationTimestamp: "1970-01-01T00:00:00Z",
      devices: { results: [conditions] },
      nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ values: ["n"] }] }] },
    });
  });

  it("that cannot be made ready is given up, and taken away from the claim", async () => {
    const world = worldWith({ features, devices: [device] }, claimOf());
    const state = reserved(world);
    world.whileWaiting(() => say(world, "Broken"));
    await expect(world.plugin.preBind?.(state, podOf("x"), "n")).rejects.toThrow(
      'claim c binding failed: reason=R, message="m"',
    );
    const next = world.attempt(podOf("x"));
    expect(next.reason).toBe("resourceclaim not available on the node");
    expect(world.roomFor(podOf("x"), next.state)).toMatchObject({ message: "deallocation of ResourceClaim completed" });
  });

  it("has ten minutes", async () => {
    const world = worldWith({ features, devices: [device] }, claimOf());
    const state = reserved(world);
    world.whileWaiting(() => world.passTime(300_001));
    await expect(world.plugin.preBind?.(state, podOf("x"), "n")).rejects.toThrow("claim c binding timeout");
    expect(world.attempt(podOf("x")).reason).toBe("resourceclaim not available on the node");
  });
});

describe("a pod that asks for devices by the name of a resource", () => {
  const features = { ...DEFAULT_DEVICE_FEATURES, extendedResources: true };
  const asking: Pod = {
    metadata: { name: "x", namespace: "ns", uid: "x" },
    spec: { containers: [{ name: "c", resources: { requests: { cpu: "1", "x.io/gpu": "1" } } }] },
  };

  it("is nobody's business here where the feature is off", () =>
    expect(worldOf().plugin.preFilter?.(new Map(), asking, new ClusterState())).toEqual({ skip: true }));

  it("gets a claim of its own, which its status names", async () => {
    const world = worldWith({ features });
    const { state, reason } = world.attempt(asking);
    expect(reason).toBeUndefined();
    expect(world.plugin.reserve?.(state, asking, "n")).toBeUndefined();
    expect(world.attempt({ ...asking, metadata: { ...asking.metadata, uid: "y" } }).reason).toBe(
      "cannot allocate all claims",
    );
    await world.plugin.preBind?.(state, asking, "n");
    expect(world.log).toEqual(["update", "status", "made: container-0-request-1"]);
    const made = world.claims.get("made");
    expect(made?.metadata).toMatchObject({
      generateName: "x-extended-resources-",
      annotations: { "resource.kubernetes.io/extended-resource-claim": "true" },
      ownerReferences: [{ kind: "Pod", uid: "x", controller: true }],
    });
    expect(made?.spec.devices?.requests).toEqual([
      {
        name: "container-0-request-1",
        exactly: { deviceClassName: "any", allocationMode: "ExactCount", count: 1 },
      },
    ]);
    expect(made?.status?.reservedFor).toEqual([{ resource: "pods", name: "x", uid: "x" }]);
    world.plugin.unreserve?.(state, asking, "n");
    expect(world.log.at(-1)).toBe("remove made");
  });

  it("is not placed as long as there is a claim of an attempt before", async () => {
    const world = worldWith({ features });
    const { state } = world.attempt(asking);
    await world.plugin.reserve?.(state, asking, "n");
    await world.plugin.preBind?.(state, asking, "n");
    const next = world.attempt(asking);
    expect(next.reason).toBe("cannot schedule extended resource claim");
    expect(world.roomFor(asking, next.state)).toMatchObject({ message: "deletion of ResourceClaim completed" });
    expect(world.log.at(-1)).toBe("remove made");
  });
});
