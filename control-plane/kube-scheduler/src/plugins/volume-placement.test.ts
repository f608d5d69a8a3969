import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, Volume } from "@coracle/api/core/v1";
import type { CSINode, StorageClass, VolumeAttachment } from "@coracle/api/storage/v1";
import { describe, expect, it } from "vitest";
import { firstRefusal, prepareFilters, tryOn } from "../framework/filtering.ts";
import type { CycleState, Plugin } from "../framework/plugin.ts";
import { ClusterState } from "../state/cluster-state.ts";
import type { StorageView } from "../storage/storage-view.ts";
import { createNodeVolumeLimits } from "./node-volume-limits.ts";
import { createVolumeRestrictions } from "./volume-restrictions.ts";
import { createVolumeZone } from "./volume-zone.ts";

const nodeOf = (name: string, labels: Record<string, string> = {}): Node => ({
  metadata: { name, labels },
  spec: {},
  status: {},
});
const podOf = (name: string, volumes: readonly Partial<Volume>[], nodeName?: string): Pod => ({
  metadata: { name, namespace: "default", uid: name },
  spec: {
    containers: [{ name: "c" }],
    volumes: volumes.map((volume, i) => ({ name: `v${i}`, ...volume })),
    ...(nodeName === undefined ? {} : { nodeName }),
  },
});
const using = (claimName: string): Partial<Volume> => ({ persistentVolumeClaim: { claimName } });
const claimOf = (name: string, spec: PersistentVolumeClaim["spec"]): PersistentVolumeClaim => ({
  metadata: { name, namespace: "default" },
  spec,
});
const find = <T extends { metadata: { name?: string | undefined } }>(all: readonly T[] = [], name: string) =>
  all.find(({ metadata }) => metadata.name === name);

interface World {
  readonly nodes?: readonly Node[];
  readonly pods?: readonly Pod[];
  readonly claims?: readonly PersistentVolumeClaim[];
  readonly volumes?: readonly PersistentVolume[];
  readonly classes?: readonly StorageClass[];
  readonly csiNode?: CSINode;
  readonly attachments?: readonly VolumeAttachment[];
}

function clusterOf({ nodes = [nodeOf("n")], pods = [] }: World): ClusterState {
  const state = new ClusterState();
  for (const node of nodes) state.setNode(node);
  for (const pod of pods) state.setPod(pod);
  return state;
}

const viewOf = ({ claims, volumes, classes, csiNode, attachments = [] }: World): StorageView => ({
  claim: (_, name) => find(claims, name),
  volume: (name) => find(volumes, name),
  storageClass: (name) => find(classes, name),
  csiNode: () => csiNode,
  attachmentsTo: () => attachments,
});

/** What stands against each node; "": nothing. */
function ask(make: (view: StorageView) => Plugin, world: World, pod: Pod): readonly string[] {
  const state: CycleState = new Map();
  const cluster = clusterOf(world);
  const plugins = [{ plugin: make(viewOf(world)), weight: 0 }];
  const { filters, rejection } = prepareFilters(plugins, state, pod, cluster);
  if (rejection !== undefined) return [rejection.unfit.reasons.join()];
  return cluster.nodes().map((node) => firstRefusal(filters, state, pod, node)?.unfit.reasons.join() ?? "");
}

describe("disks that cannot be shared", () => {
  const DISK = "node(s) had no available disk";
  const gce = (pdName: string, readOnly = false) => ({ gcePersistentDisk: { pdName, readOnly } });
  const ebs = (volumeID: string, readOnly = false) => ({ awsElasticBlockStore: { volumeID, readOnly } });
  const iscsi = (iqn: string, readOnly = false) => ({ iscsi: { iqn, lun: 0, targetPortal: "p", readOnly } });
  const rbd = (image: string, readOnly = false, pool = "p") => ({
    rbd: { monitors: ["a", "b"], image, pool, readOnly },
  });
  it.each<[string, Partial<Volume>, Partial<Volume>, string]>([
    ["the same disk of GCE", gce("x"), gce("x"), DISK],
    ["the same disk of GCE, read by both", gce("x", true), gce("x", true), ""],
    ["the same disk of GCE, written by one", gce("x"), gce("x", true), DISK],
    ["another disk of GCE", gce("x"), gce("y"), ""],
    ["the same EBS volume, even read by both", ebs("x", true), ebs("x", true), DISK],
    ["the same iSCSI target", iscsi("x"), iscsi("x"), DISK],
    ["the same iSCSI target, read by both", iscsi("x", true), iscsi("x", true), ""],
    ["the same RBD image", rbd("x"), { rbd: { monitors: ["b", "c"], image: "x", pool: "p" } }, DISK],
    ["the same RBD image of other monitors", rbd("x"), { rbd: { monitors: ["c"], image: "x", pool: "p" } }, ""],
    ["the same RBD image of another pool", rbd("x"), rbd("x", false, "q"), ""],
  ])("%s", (_, theirs, ours, expected) => {
    const world = { pods: [podOf("old", [theirs], "n")] };
    expect(ask(createVolumeRestrictions, world, podOf("new", [ours]))).toEqual([expected]);
  });

  it("a claim for one pod alone is not for a second one, unless the first can be driven away", () => {
    const world: World = {
      nodes: [nodeOf("n"), nodeOf("m")],
      claims: [claimOf("alone", { accessModes: ["ReadWriteOncePod"] })],
      pods: [podOf("old", [using("alone")], "n")],
    };
    const second = podOf("new", [using("alone")]);
    const inUse =
      "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";
    expect(ask(createVolumeRestrictions, world, second)).toEqual([inUse, inUse]);
    const cluster = clusterOf(world);
    const copy = cluster.node("n")?.clone();
    const [old] = world.pods ?? [];
    if (copy === undefined || old === undefined) throw new Error("no node");
    copy.removePod(old);
    const plugins = [{ plugin: createVolumeRestrictions(viewOf(world)), weight: 0 }];
    expect(tryOn(plugins, second, copy, cluster)()).toBeUndefined();
  });
});

describe("zones of volumes", () => {
  const ZONE = "topology.kubernetes.io/zone";
  const BETA = "failure-domain.beta.kubernetes.io/zone";
  const NONE = "node(s) had no available volume zone";
  const inZone = (labels: Record<string, string>): World => ({
    nodes: [nodeOf("a", { [ZONE]: "a" }), nodeOf("b", { [ZONE]: "b" })],
    claims: [claimOf("data", { volumeName: "pv" })],
    volumes: [{ metadata: { name: "pv", labels }, spec: {} }],
  });
  const user = podOf("p", [using("data")]);
  const only = (claim: PersistentVolumeClaim["spec"], ...classes: StorageClass[]): World => ({
    claims: [claimOf("data", claim)],
    classes,
  });
  it.each<[string, World, readonly string[]]>([
    ["one zone", inZone({ [ZONE]: "b" }), [NONE, ""]],
    ["several zones", inZone({ [ZONE]: "a__b" }), ["", ""]],
    ["the old label for zones means the new one", inZone({ [BETA]: "a" }), ["", NONE]],
    ["a label that cannot be read says nothing", inZone({ [ZONE]: "a__" }), ["", ""]],
    ["nodes without any label", { ...inZone({ [ZONE]: "a" }), nodes: [nodeOf("x")] }, [""]],
    ["no claim", {}, ['persistentvolumeclaim "data" not found']],
    ["no volume", only({ volumeName: "pv" }), ['persistentvolume "pv" not found']],
    ["neither volume nor class", only({}), ["PersistentVolumeClaim had no pv name and storageClass name"]],
    [
      "a class that binds at once",
      only({ storageClassName: "c" }, { metadata: { name: "c" }, provisioner: "p", volumeBindingMode: "Immediate" }),
      ["PersistentVolume had no name"],
    ],
    [
      "a class that waits",
      only(
        { storageClassName: "c" },
        { metadata: { name: "c" }, provisioner: "p", volumeBindingMode: "WaitForFirstConsumer" },
      ),
      [""],
    ],
  ])("%s", (_, world, expected) => expect(ask(createVolumeZone, world, user)).toEqual(expected));
});

describe("limits of drivers", () => {
  const FULL = "node(s) exceed max volume count";
  const csi = (name: string, driver = "d"): PersistentVolume => ({
    metadata: { name },
    spec: { csi: { driver, volumeHandle: `h-${name}` } },
  });
  const limit = (count: number | undefined, driver = "d", annotations = {}): CSINode => ({
    metadata: { name: "n", annotations },
    spec: { drivers: [{ name: driver, nodeID: "n", allocatable: { count } }] },
  });
  const base: World = {
    claims: ["x", "y"].map((name) => claimOf(name, { volumeName: name })),
    volumes: [csi("x"), csi("y")],
    pods: [podOf("old", [using("x")], "n")],
  };
  const migrated = { "storage.alpha.kubernetes.io/migrated-plugins": "kubernetes.io/aws-ebs" };
  it.each<[string, World, Partial<Volume>, string]>([
    ["room for one more", { ...base, csiNode: limit(2) }, using("y"), ""],
    ["no room", { ...base, csiNode: limit(1) }, using("y"), FULL],
    ["a volume that is there already", { ...base, csiNode: limit(1) }, using("x"), ""],
    ["another driver's limit", { ...base, csiNode: limit(1, "other") }, using("y"), ""],
    ["no limit", { ...base, csiNode: limit(undefined) }, using("y"), ""],
    [
      "a volume to be made counts by its class",
      {
        ...base,
        claims: [...(base.claims ?? []), claimOf("new", { storageClassName: "c" })],
        classes: [{ metadata: { name: "c" }, provisioner: "d" }],
        csiNode: limit(1),
      },
      using("new"),
      FULL,
    ],
    [
      "a volume that is attached, and nobody uses",
      {
        ...base,
        pods: [],
        attachments: [{ metadata: {}, spec: { attacher: "d", nodeName: "n", source: { persistentVolumeName: "x" } } }],
        csiNode: limit(1),
      },
      using("y"),
      FULL,
    ],
    [
      "a disk of a built-in kind counts for its driver",
      {
        ...base,
        pods: [podOf("old", [{ awsElasticBlockStore: { volumeID: "aws://z/vol-1" } }], "n")],
        csiNode: limit(1, "ebs.csi.aws.com", migrated),
      },
      { awsElasticBlockStore: { volumeID: "vol-2" } },
      FULL,
    ],
    [
      "the same disk by another name",
      {
        ...base,
        pods: [podOf("old", [{ awsElasticBlockStore: { volumeID: "aws://z/vol-1" } }], "n")],
        csiNode: limit(1, "ebs.csi.aws.com", migrated),
      },
      { awsElasticBlockStore: { volumeID: "vol-1" } },
      "",
    ],
    ["no claim", { csiNode: limit(1) }, using("z"), 'looking up PVC default/z: persistentvolumeclaim "z" not found'],
  ])("%s", (_, world, volume, expected) =>
    expect(ask(createNodeVolumeLimits, world, podOf("new", [volume]))).toEqual([expected]),
  );
});
