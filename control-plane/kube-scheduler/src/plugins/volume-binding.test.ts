import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from "@coracle/api/core/v1";
import type { CSIStorageCapacity, StorageClass } from "@coracle/api/storage/v1";
import { SELECTED_NODE } from "@coracle/apimachinery/storage";
import { describe, expect, it } from "vitest";
import { createProfile } from "../framework/profile.ts";
import { firstRefusal, prepareFilters } from "../framework/filtering.ts";
import type { CycleState } from "../framework/plugin.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { AssumedStorage, type VolumeWriter } from "../storage/bind-volumes.ts";
import type { StorageView } from "../storage/storage-view.ts";
import { createVolumeBinding } from "./volume-binding.ts";

const node = (name: string): Node => ({ metadata: { name, labels: { host: name } }, spec: {}, status: {} });
const podOf = (name: string, ...claims: string[]): Pod => ({
  metadata: { name, namespace: "default", uid: name },
  spec: {
    containers: [{ name: "c" }],
    volumes: claims.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } })),
  },
});
const user = podOf("p", "data");
const claim = (
  spec: PersistentVolumeClaim["spec"],
  part: Partial<PersistentVolumeClaim> = {},
  name = "data",
): PersistentVolumeClaim => ({
  spec,
  ...part,
  metadata: { name, namespace: "default", uid: name, resourceVersion: "1", ...part.metadata },
});
const waiting = (name = "data", spec: PersistentVolumeClaim["spec"] = {}): PersistentVolumeClaim =>
  claim(
    { storageClassName: "later", accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "5Gi" } }, ...spec },
    {},
    name,
  );
const on = (...hosts: string[]) => ({
  required: { nodeSelectorTerms: [{ matchExpressions: [{ key: "host", operator: "In", values: hosts }] }] },
});
const volume = (name: string, spec: PersistentVolume["spec"] = {}, labels = {}): PersistentVolume => ({
  metadata: { name, uid: name, resourceVersion: "1", labels },
  spec: { storageClassName: "later", accessModes: ["ReadWriteOnce"], capacity: { storage: "5Gi" }, ...spec },
  status: { phase: "Available" },
});
const bound = claim({ volumeName: "pv" }, { metadata: { annotations: { "pv.kubernetes.io/bind-completed": "yes" } } });
const storageClass = (name: string, part: Partial<StorageClass> = {}): StorageClass => ({
  metadata: { name },
  provisioner: "kubernetes.io/no-provisioner",
  volumeBindingMode: name === "now" ? "Immediate" : "WaitForFirstConsumer",
  ...part,
});

interface World {
  readonly claims?: readonly PersistentVolumeClaim[];
  readonly volumes?: readonly PersistentVolume[];
  readonly classes?: readonly StorageClass[];
  readonly tracksCapacity?: boolean;
  readonly capacities?: readonly CSIStorageCapacity[];
}

function viewOf({ claims = [], volumes = [], classes = [], tracksCapacity, capacities = [] }: World): StorageView {
  const all = [storageClass("now"), storageClass("later"), ...classes];
  return {
    claim: (_, name) => claims.find(({ metadata }) => metadata.name === name),
    volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
    storageClass: (name) => all.findLast(({ metadata }) => metadata.name === name),
    volumesOfClass: (name) => volumes.filter(({ spec }) => spec?.storageClassName === name),
    csiDriver: (name) => ({ metadata: { name }, spec: { storageCapacity: tracksCapacity } }),
    capacitiesOfClass: (name) => capacities.filter(({ storageClassName }) => storageClassName === name),
  };
}

const cluster = new ClusterState();
for (const name of ["a", "b"]) cluster.setNode(node(name));

/** Nodes that fit, or why not: everywhere, or by node. */
function tryAll(world: World, pod = user): string {
  const plugin = createVolumeBinding(viewOf(world));
  const state: CycleState = new Map();
  const { filters, rejection } = prepareFilters([{ plugin, weight: 0 }], state, pod, cluster);
  if (rejection !== undefined) return rejection.unfit.reasons.join();
  const answers = ["a", "b"].map((name) => {
    const target = cluster.node(name);
    const refusal = target === undefined ? undefined : firstRefusal(filters, state, pod, target);
    return refusal === undefined ? name : refusal.unfit.reasons.join("; ");
  });
  return answers.join(", ");
}

const CONFLICT = "node(s) didn't match PersistentVolume's node affinity";
const NONE = "node(s) didn't find available persistent volumes to bind";
const FULL = "node(s) did not have enough free storage";

describe("a pod that uses a claim", () => {
  it.each<[string, World, string]>([
    ["it is not there", {}, 'persistentvolumeclaim "data" not found'],
    [
      "it is being deleted",
      { claims: [claim({}, { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } })] },
      'persistentvolumeclaim "data" is being deleted',
    ],
    ["it is not bound", { claims: [claim({})] }, "pod has unbound immediate PersistentVolumeClaims"],
    [
      "its class binds at once",
      { claims: [claim({ storageClassName: "now" })] },
      "pod has unbound immediate PersistentVolumeClaims",
    ],
    [
      "it is being bound",
      { claims: [claim({ volumeName: "pv" })], volumes: [volume("pv")] },
      "pod has unbound immediate PersistentVolumeClaims",
    ],
    [
      "it lost its volume",
      { claims: [claim({ volumeName: "pv" }, { status: { phase: "Lost" } })] },
      'persistentvolumeclaim "data" bound to non-existent persistentvolume "pv"',
    ],
    [
      "its volume is gone",
      { claims: [bound] },
      Array(2).fill("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)").join(", "),
    ],
    [
      "its volume is on one node",
      { claims: [bound], volumes: [volume("pv", { nodeAffinity: on("b") })] },
      `${CONFLICT}, b`,
    ],
    ["it waits for the pod's node, and no volume is there", { claims: [waiting()] }, `${NONE}, ${NONE}`],
    [
      "it waits, and a volume is on one node",
      { claims: [waiting()], volumes: [volume("pv", { nodeAffinity: on("a") })] },
      `a, ${NONE}`,
    ],
    [
      "the volume is too small",
      { claims: [waiting()], volumes: [volume("pv", { capacity: { storage: "4Gi" } })] },
      `${NONE}, ${NONE}`,
    ],
    [
      "the volume allows other access",
      { claims: [waiting("data", { accessModes: ["ReadWriteMany"] })], volumes: [volume("pv")] },
      `${NONE}, ${NONE}`,
    ],
    [
      "the volume is a block device",
      { claims: [waiting()], volumes: [volume("pv", { volumeMode: "Block" })] },
      `${NONE}, ${NONE}`,
    ],
    [
      "the volume is another's",
      {
        claims: [waiting()],
        volumes: [volume("pv", { claimRef: { namespace: "default", name: "other" } })],
      },
      `${NONE}, ${NONE}`,
    ],
    [
      "the selector wants other labels",
      {
        claims: [waiting("data", { selector: { matchLabels: { disk: "fast" } } })],
        volumes: [volume("slow"), volume("fast", { nodeAffinity: on("b") }, { disk: "fast" })],
      },
      `${NONE}, b`,
    ],
    [
      "a volume names it, elsewhere than others that would do",
      {
        claims: [waiting()],
        volumes: [
          volume("any"),
          volume("own", { nodeAffinity: on("b"), claimRef: { namespace: "default", name: "data" } }),
        ],
      },
      `${NONE}, b`,
    ],
    [
      "it can be made, in allowed places",
      {
        claims: [waiting()],
        classes: [
          storageClass("later", {
            provisioner: "csi",
            allowedTopologies: [{ matchLabelExpressions: [{ key: "host", values: ["b"] }] }],
          }),
        ],
      },
      `${NONE}, b`,
    ],
    [
      "it can be made where there is room",
      {
        claims: [waiting()],
        classes: [storageClass("later", { provisioner: "csi" })],
        tracksCapacity: true,
        capacities: [
          {
            metadata: {},
            storageClassName: "later",
            nodeTopology: { matchLabels: { host: "a" } },
            capacity: "9Gi",
            maximumVolumeSize: "4Gi",
          },
          { metadata: {}, storageClassName: "later", nodeTopology: { matchLabels: { host: "b" } }, capacity: "5Gi" },
        ],
      },
      `${FULL}, b`,
    ],
    [
      "it is being made for a node already",
      {
        claims: [{ ...waiting(), metadata: { ...waiting().metadata, annotations: { [SELECTED_NODE]: "b" } } }],
        classes: [storageClass("later", { provisioner: "csi" })],
      },
      `${NONE}, b`,
    ],
  ])("%s", (_, world, expected) => expect(tryAll(world)).toBe(expected));

  it("needs a volume for each of its claims", () => {
    const world = {
      claims: [waiting("x"), waiting("y")],
      volumes: [volume("one"), volume("two", { nodeAffinity: on("b") })],
    };
    expect(tryAll(world, podOf("p", "x", "y"))).toBe(`${NONE}, b`);
  });

  it("waits for its ephemeral claim, which must be its own", () => {
    const pod: Pod = { ...user, spec: { ...user.spec, volumes: [{ name: "data", ephemeral: {} }] } };
    expect(tryAll({}, pod)).toBe(
      'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-data"',
    );
    expect(tryAll({ claims: [claim({}, {}, "p-data")] }, pod)).toBe(
      "PVC default/p-data was not created for pod default/p (pod is not owner)",
    );
  });
});

/** A cluster of one claim that waits, and the API server's part played by the test. */
function binding(world: World) {
  const claims = [...(world.claims ?? [])];
  const volumes = [...(world.volumes ?? [])];
  let now = 0;
  let version = 1;
  let onWait = (): void => undefined;
  const replace = <T extends { metadata: { name?: string | undefined } }>(list: T[], object: T): T => {
    const next = { ...object, metadata: { ...object.metadata, resourceVersion: String(++version) } };
    list[list.findIndex(({ metadata }) => metadata.name === object.metadata.name)] = next;
    return next;
  };
  const writer: VolumeWriter = {
    assumed: new AssumedStorage(),
    updateVolume: (object) => Promise.resolve(replace(volumes, object)),
    updateClaim: (object) => Promise.resolve(replace(claims, object)),
    node: (name) => cluster.node(name)?.node,
    hasPod: () => true,
    nowMs: () => now,
    changed: (maxWaitMs) => {
      now += maxWaitMs;
      onWait();
      return Promise.resolve();
    },
  };
  const plugin = createVolumeBinding(viewOf({ ...world, claims, volumes }), { writer, bindTimeoutSeconds: 30 });
  const { at } = createProfile("s", [{ plugin, weight: 0 }]);
  return {
    claims,
    volumes,
    assumed: writer.assumed,
    plugin: at.reserve[0] ?? plugin,
    start(pod: Pod): CycleState {
      const state: CycleState = new Map();
      plugin.preFilter?.(state, pod, cluster);
      return state;
    },
    whenWaited: (action: () => void) => void (onWait = action),
    finish(name: string, volumeName: string): void {
      const found = claims.find(({ metadata }) => metadata.name === name);
      if (found === undefined) return;
      const annotations = { ...found.metadata.annotations, "pv.kubernetes.io/bind-completed": "yes" };
      replace(claims, {
        ...found,
        metadata: { ...found.metadata, annotations },
        spec: { ...found.spec, volumeName },
      });
    },
  };
}

describe("binding", () => {
  it("takes the smallest volume that fits, tells the API server, and waits for its controllers", async () => {
    const world = binding({
      claims: [waiting()],
      volumes: [volume("large", { capacity: { storage: "50Gi" } }), volume("small", { capacity: { storage: "6Gi" } })],
    });
    const state = world.start(user);
    expect(await world.plugin.reserve?.(state, user, "a")).toBeUndefined();
    world.whenWaited(() => world.finish("data", "small"));
    expect(world.assumed.volumes.size).toBe(1);
    await world.plugin.preBind?.(state, user, "a");
    expect(world.assumed.volumes.size).toBe(0);
    expect(world.volumes.map(({ spec }) => spec?.claimRef?.name)).toEqual([undefined, "data"]);
    expect(world.volumes[1]?.metadata.annotations).toEqual({ "pv.kubernetes.io/bound-by-controller": "yes" });
  });

  it("keeps a volume that is set aside from others, and gives it back", async () => {
    const world = binding({ claims: [waiting("x"), waiting("y")], volumes: [volume("only")] });
    const [first, second] = [podOf("first", "x"), podOf("second", "y")];
    const state = world.start(first);
    await world.plugin.reserve?.(state, first, "a");
    const target = cluster.node("a");
    if (target === undefined) throw new Error("no node");
    expect(world.plugin.filter?.(world.start(second), second, target)?.reasons).toEqual([NONE]);
    world.plugin.unreserve?.(state, first, "a");
    expect(world.plugin.filter?.(world.start(second), second, target)).toBeUndefined();
  });

  it("asks for a volume on the node where none is there", async () => {
    const world = binding({ claims: [waiting()], classes: [storageClass("later", { provisioner: "csi" })] });
    const state = world.start(user);
    await world.plugin.reserve?.(state, user, "b");
    world.whenWaited(() => world.finish("data", "made"));
    world.volumes.push(volume("made", { nodeAffinity: on("b") }));
    await world.plugin.preBind?.(state, user, "b");
    expect(world.claims[0]?.metadata.annotations?.[SELECTED_NODE]).toBe("b");
  });

  it("fails when the provisioner gives the claim back, or nothing comes in time", async () => {
    const world = binding({ claims: [waiting()], classes: [storageClass("later", { provisioner: "csi" })] });
    const state = world.start(user);
    await world.plugin.reserve?.(state, user, "b");
    await expect(world.plugin.preBind?.(state, user, "b")).rejects.toThrow(
      "binding volumes: context deadline exceeded",
    );
    world.whenWaited(() => {
      const [before] = world.claims;
      if (before === undefined) return;
      world.claims[0] = { ...before, metadata: { ...before.metadata, annotations: {}, resourceVersion: "99" } };
    });
    await expect(world.plugin.preBind?.(state, user, "b")).rejects.toThrow(
      'binding volumes: provisioning failed for PVC "data"',
    );
  });
});

describe("events", () => {
  const plugin = createVolumeBinding(viewOf({}));
  it.each([
    ["the pod's claim changed", { event: "volume-claim-changed", current: claim({}) }, true],
    ["another claim changed", { event: "volume-claim-changed", current: claim({}, {}, "x") }, false],
    ["a class came", { event: "storage-class-changed", current: storageClass("x") }, true],
    [
      "a class changed, not its topologies",
      { event: "storage-class-changed", old: storageClass("x"), current: storageClass("x", { mountOptions: ["a"] }) },
      false,
    ],
    [
      "there is more room",
      {
        event: "csi-capacity-changed",
        old: { metadata: {}, storageClassName: "x", capacity: "1Gi" },
        current: { metadata: {}, storageClassName: "x", capacity: "2Gi" },
      },
      true,
    ],
    [
      "there is less room",
      {
        event: "csi-capacity-changed",
        old: { metadata: {}, storageClassName: "x", capacity: "2Gi" },
        current: { metadata: {}, storageClassName: "x", capacity: "1Gi" },
      },
      false,
    ],
  ] as const)("%s", (_, change, expected) => expect(plugin.isHelpful?.(user, change)).toBe(expected));
});

describe("scores by capacity, where asked for", () => {
  it("are those of the shape at the share that is used", () => {
    const shape = [
      { utilization: 0, score: 0 },
      { utilization: 100, score: 10 },
    ];
    const world = { claims: [waiting()], volumes: [volume("pv", { capacity: { storage: "10Gi" } })] };
    const plugin = createVolumeBinding(viewOf(world), { shape });
    const state: CycleState = new Map();
    plugin.preFilter?.(state, user, cluster);
    const target = cluster.node("a");
    if (target === undefined) throw new Error("no node");
    expect(plugin.preScore?.(state, user, [target], cluster)).toEqual({ skip: false });
    expect(plugin.score?.(state, user, target)).toBe(50);
  });
});
