import type { Node, Pod } from "@coracle/api/core/v1";
import type { ResourceClaim, ResourceSlice } from "@coracle/api/resource/v1";
import { conflict } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import type { ClaimWriter } from "../devices/bind-claim.ts";
import { AllocatedDevices } from "../devices/devices-in-use.ts";
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

function worldOf(...initial: ResourceClaim[]) {
  const claims = new Map(initial.map((claim) => [claim.metadata.name ?? "", claim]));
  const log: string[] = [];
  let conflicts = 0;
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
    changed: () => Promise.resolve(),
    deallocate: () => void log.push("deallocate"),
    giveUp: () => void log.push("giveUp"),
  };
  const plugin = createDynamicResources({
    view: {
      claim: (_, name) => claims.get(name),
      deviceClass: (name) => (name === "any" ? { metadata: { name }, spec: {} } : undefined),
      slices: () => [slice],
      inUse() {
        const devices = new AllocatedDevices();
        for (const claim of claims.values()) devices.add(claim);
        return devices;
      },
      selectors: () => undefined,
    },
    writer,
    nowMs: () => 0,
    now: () => 0,
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
