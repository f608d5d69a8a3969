import { describe, expect, it } from "vitest";
import type { Node, Pod } from "@coracle/api/core/v1";
import type { ResourceClaim } from "@coracle/api/resource/v1";
import type { ClusterChange, ClusterEvent } from "../framework/plugin.ts";
import { nodeChanges, placedPodChanges, podChanges } from "../informers/object-changes.ts";
import { eventLabel } from "../queue/event-label.ts";
import { defaultPlugins } from "./index.ts";

const entries = defaultPlugins({
  binder: () => Promise.resolve(),
  budgets: () => [],
  volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
  owners: { selectorOf: () => undefined },
  devices: {
    view: {
      claim: () => undefined,
      deviceClass: () => undefined,
      slices: () => [],
      inUse: () => new Map(),
      selectors: () => undefined,
    },
    nowMs: () => 0,
    newShareId: () => "",
  },
} as unknown as Parameters<typeof defaultPlugins>[0]);

type PodChange = Partial<Pod["spec"]> & { readonly labels?: Record<string, string>; readonly namespace?: string };

const pod = (name: string, { labels = {}, namespace = "d", ...spec }: PodChange = {}): Pod => ({
  metadata: { name, namespace, uid: name, labels },
  spec: { containers: [], ...spec },
});
const placed = (change: PodChange = {}): Pod => pod("other", { nodeName: "a", ...change });
const node = (labels: Record<string, string> = {}, spec: Node["spec"] = {}, cpu = "4", pods = "110"): Node => ({
  metadata: { name: "a", labels },
  spec,
  status: { allocatable: { cpu, pods } },
});
const requests = (cpu: string): PodChange => ({ containers: [{ name: "c", resources: { requests: { cpu } } }] });
const port = (hostPort: number): PodChange => ({
  containers: [{ name: "c", ports: [{ containerPort: 1, hostPort }] }],
});
const toleration = { key: "k", operator: "Exists" };
const taint = { key: "k", effect: "NoSchedule" };

/** Whether the queue would try a pod again that the plugin rejected. */
function wakes(plugin: string, waiting: Pod, change: ClusterChange): boolean {
  const found = entries.find((each) => each.plugin.name === plugin)?.plugin;
  if (found === undefined) throw new Error(`no plugin ${plugin}`);
  if (found.events?.includes(change.event) === false) return false;
  return found.isHelpful?.(waiting, change) ?? true;
}

const NODE: readonly ClusterEvent[] = ["node-added"];

describe("events that the default plugins register", () => {
  it.each<[string, readonly ClusterEvent[] | undefined]>([
    ["SchedulingGates", ["pod-gates-removed"]],
    ["PrioritySort", undefined],
    ["NodeUnschedulable", [...NODE, "node-taints-changed", "pod-tolerations-changed"]],
    ["NodeName", NODE],
    ["TaintToleration", [...NODE, "node-taints-changed", "pod-tolerations-changed"]],
    ["NodeAffinity", [...NODE, "node-labels-changed"]],
    ["NodePorts", [...NODE, "assigned-pod-deleted"]],
    [
      "NodeResourcesFit",
      [...NODE, "node-allocatable-changed", "assigned-pod-deleted", "assigned-pod-scaled-down", "pod-scaled-down"],
    ],
    ["VolumeRestrictions", [...NODE, "assigned-pod-deleted", "volume-claim-changed"]],
    [
      "NodeVolumeLimits",
      ["csi-node-changed", "assigned-pod-deleted", "volume-claim-changed", "volume-attachment-deleted"],
    ],
    [
      "VolumeBinding",
      [
        ...NODE,
        "node-labels-changed",
        "volume-claim-changed",
        "volume-changed",
        "storage-class-changed",
        "csi-node-changed",
        "csi-driver-changed",
        "csi-capacity-changed",
      ],
    ],
    ["VolumeZone", [...NODE, "node-labels-changed", "storage-class-changed", "volume-claim-changed", "volume-changed"]],
    [
      "PodTopologySpread",
      [
        ...NODE,
        "node-deleted",
        "node-labels-changed",
        "node-taints-changed",
        "assigned-pod-added",
        "assigned-pod-labels-changed",
        "assigned-pod-deleted",
        "pod-labels-changed",
        "pod-tolerations-changed",
      ],
    ],
    [
      "InterPodAffinity",
      [
        ...NODE,
        "node-labels-changed",
        "assigned-pod-added",
        "assigned-pod-labels-changed",
        "assigned-pod-deleted",
        "pod-labels-changed",
      ],
    ],
    [
      "DynamicResources",
      [
        ...NODE,
        "node-labels-changed",
        "node-allocatable-changed",
        "resource-claim-changed",
        "pod-claims-changed",
        "device-class-changed",
        "resource-slice-changed",
      ],
    ],
  ])("%s", (name, events) => {
    const registered = entries.find(({ plugin }) => plugin.name === name)?.plugin.events;
    expect(registered === undefined ? undefined : [...registered].sort()).toEqual(
      events === undefined ? undefined : [...events].sort(),
    );
  });
});

const near = (key: string, labels: Record<string, string>) => ({
  requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: key, labelSelector: { matchLabels: labels } }],
});
const affine = pod("p", { affinity: { podAffinity: near("zone", { app: "db" }) } });
const averse = pod("p", { affinity: { podAntiAffinity: near("zone", { app: "db" }) } });
const spread = (more: object = {}): Pod =>
  pod("p", {
    labels: { app: "web" },
    topologySpreadConstraints: [
      {
        topologyKey: "zone",
        maxSkew: 1,
        whenUnsatisfiable: "DoNotSchedule",
        labelSelector: { matchLabels: { app: "web" } },
        ...more,
      },
    ],
  });
const selecting = pod("p", { nodeSelector: { disk: "ssd" } });
const web = { labels: { app: "web" } };
const db = { labels: { app: "db" } };

describe("hints", () => {
  it.each<[string, string, Pod, ClusterChange, boolean]>([
    [
      "NodeUnschedulable",
      "a node is uncordoned",
      pod("p"),
      change("node-taints-changed", node({}, { unschedulable: true }), node()),
      true,
    ],
    [
      "NodeUnschedulable",
      "a node is cordoned",
      pod("p"),
      change("node-taints-changed", node(), node({}, { unschedulable: true })),
      false,
    ],
    ["NodeUnschedulable", "an open node comes", pod("p"), change("node-added", undefined, node()), true],
    [
      "NodeUnschedulable",
      "a cordoned node comes",
      pod("p"),
      change("node-added", undefined, node({}, { unschedulable: true })),
      false,
    ],
    [
      "NodeUnschedulable",
      "the pod tolerates it now",
      pod("p"),
      change("pod-tolerations-changed", pod("p"), pod("p", { tolerations: [{ operator: "Exists" }] })),
      true,
    ],
    [
      "NodeUnschedulable",
      "the pod tolerates something else",
      pod("p"),
      change("pod-tolerations-changed", pod("p"), pod("p", { tolerations: [toleration] })),
      false,
    ],
    [
      "NodeUnschedulable",
      "another pod tolerates it",
      pod("p"),
      change("pod-tolerations-changed", pod("q"), pod("q", { tolerations: [{ operator: "Exists" }] })),
      false,
    ],
    ["NodeName", "a node comes", pod("p", { nodeName: "a" }), change("node-added", undefined, node()), true],
    [
      "NodeName",
      "a label changes",
      pod("p", { nodeName: "a" }),
      change("node-labels-changed", node(), node({ a: "b" })),
      false,
    ],
    [
      "TaintToleration",
      "a taint goes",
      pod("p"),
      change("node-taints-changed", node({}, { taints: [taint] }), node()),
      true,
    ],
    [
      "TaintToleration",
      "a taint comes",
      pod("p"),
      change("node-taints-changed", node(), node({}, { taints: [taint] })),
      false,
    ],
    [
      "TaintToleration",
      "a taint goes that it tolerated",
      pod("p", { tolerations: [toleration] }),
      change("node-taints-changed", node({}, { taints: [taint] }), node()),
      false,
    ],
    [
      "TaintToleration",
      "a tainted node comes",
      pod("p"),
      change("node-added", undefined, node({}, { taints: [taint] })),
      false,
    ],
    [
      "TaintToleration",
      "its own tolerations change",
      pod("p"),
      change("pod-tolerations-changed", pod("p"), pod("p", { tolerations: [toleration] })),
      true,
    ],
    [
      "TaintToleration",
      "another's tolerations change",
      pod("p"),
      change("pod-tolerations-changed", pod("q"), pod("q", { tolerations: [toleration] })),
      false,
    ],
    [
      "NodeAffinity",
      "a node with the label comes",
      selecting,
      change("node-added", undefined, node({ disk: "ssd" })),
      true,
    ],
    ["NodeAffinity", "a node without the label comes", selecting, change("node-added", undefined, node()), false],
    [
      "NodeAffinity",
      "a node gets the label",
      selecting,
      change("node-labels-changed", node(), node({ disk: "ssd" })),
      true,
    ],
    [
      "NodeAffinity",
      "a node that had the label gets another",
      selecting,
      change("node-labels-changed", node({ disk: "ssd" }), node({ disk: "ssd", a: "b" })),
      false,
    ],
    [
      "NodePorts",
      "the pod with the port goes",
      pod("p", port(80)),
      change("assigned-pod-deleted", placed(port(80))),
      true,
    ],
    [
      "NodePorts",
      "a pod with another port goes",
      pod("p", port(80)),
      change("assigned-pod-deleted", placed(port(81))),
      false,
    ],
    ["NodePorts", "a pod without ports goes", pod("p", port(80)), change("assigned-pod-deleted", placed()), false],
    ["NodePorts", "a node comes", pod("p", port(80)), change("node-added", undefined, node()), true],
    [
      "NodeResourcesFit",
      "any placed pod goes",
      pod("p", requests("1")),
      change("assigned-pod-deleted", placed()),
      true,
    ],
    [
      "NodeResourcesFit",
      "a placed pod takes less of what it needs",
      pod("p", requests("1")),
      change("assigned-pod-scaled-down", placed(requests("2")), placed(requests("1"))),
      true,
    ],
    [
      "NodeResourcesFit",
      "a placed pod takes less of something else",
      pod("p", requests("1")),
      change(
        "assigned-pod-scaled-down",
        placed({ containers: [{ name: "c", resources: { requests: { memory: "2Gi" } } }] }),
        placed(),
      ),
      false,
    ],
    [
      "NodeResourcesFit",
      "it asks for less itself",
      pod("p", requests("1")),
      change("pod-scaled-down", pod("p", requests("2")), pod("p", requests("1"))),
      true,
    ],
    [
      "NodeResourcesFit",
      "another that waits asks for less",
      pod("p", requests("1")),
      change("pod-scaled-down", pod("q", requests("2")), pod("q", requests("1"))),
      false,
    ],
    [
      "NodeResourcesFit",
      "a node that is large enough comes",
      pod("p", requests("4")),
      change("node-added", undefined, node()),
      true,
    ],
    [
      "NodeResourcesFit",
      "a node that is too small comes",
      pod("p", requests("5")),
      change("node-added", undefined, node()),
      false,
    ],
    [
      "NodeResourcesFit",
      "a node grows",
      pod("p", requests("5")),
      change("node-allocatable-changed", node(), node({}, {}, "8")),
      true,
    ],
    [
      "NodeResourcesFit",
      "a node takes more pods",
      pod("p", requests("1")),
      change("node-allocatable-changed", node(), node({}, {}, "4", "200")),
      true,
    ],
    [
      "NodeResourcesFit",
      "a node shrinks",
      pod("p", requests("1")),
      change("node-allocatable-changed", node(), node({}, {}, "2")),
      false,
    ],
    [
      "NodeResourcesFit",
      "a node's labels change",
      pod("p", requests("1")),
      change("node-labels-changed", node(), node({ a: "b" })),
      false,
    ],
    ["SchedulingGates", "its last gate goes", pod("p"), change("pod-gates-removed", pod("p"), pod("p")), true],
    ["SchedulingGates", "another's last gate goes", pod("p"), change("pod-gates-removed", pod("q"), pod("q")), false],
    [
      "PodTopologySpread",
      "a pod that counts comes",
      spread(),
      change("assigned-pod-added", undefined, placed(web)),
      true,
    ],
    [
      "PodTopologySpread",
      "a pod that does not count comes",
      spread(),
      change("assigned-pod-added", undefined, placed(db)),
      false,
    ],
    [
      "PodTopologySpread",
      "a pod of another namespace comes",
      spread(),
      change("assigned-pod-added", undefined, placed({ ...web, namespace: "e" })),
      false,
    ],
    ["PodTopologySpread", "a pod that counts goes", spread(), change("assigned-pod-deleted", placed(web)), true],
    [
      "PodTopologySpread",
      "a pod ceases to count",
      spread(),
      change("assigned-pod-labels-changed", placed(web), placed(db)),
      true,
    ],
    [
      "PodTopologySpread",
      "a pod counts as before",
      spread(),
      change("assigned-pod-labels-changed", placed(web), placed({ labels: { app: "web", a: "b" } })),
      false,
    ],
    [
      "PodTopologySpread",
      "it tolerates more, and taints count",
      spread({ nodeTaintsPolicy: "Honor" }),
      change("pod-tolerations-changed", spread(), spread()),
      true,
    ],
    [
      "PodTopologySpread",
      "it tolerates more, and taints do not count",
      spread(),
      change("pod-tolerations-changed", spread(), spread()),
      false,
    ],
    [
      "PodTopologySpread",
      "a node of a domain comes",
      spread(),
      change("node-added", undefined, node({ zone: "1" })),
      true,
    ],
    ["PodTopologySpread", "a node of no domain comes", spread(), change("node-added", undefined, node()), false],
    ["PodTopologySpread", "a node of a domain goes", spread(), change("node-deleted", node({ zone: "1" })), true],
    [
      "PodTopologySpread",
      "a node changes its domain",
      spread(),
      change("node-labels-changed", node({ zone: "1" }), node({ zone: "2" })),
      true,
    ],
    [
      "PodTopologySpread",
      "a node gets another label",
      spread(),
      change("node-labels-changed", node({ zone: "1" }), node({ zone: "1", a: "b" })),
      false,
    ],
    [
      "PodTopologySpread",
      "a node of a domain loses a taint",
      spread(),
      change("node-taints-changed", node({ zone: "1" }, { taints: [taint] }), node({ zone: "1" })),
      true,
    ],
    [
      "InterPodAffinity",
      "a pod that was wanted comes",
      affine,
      change("assigned-pod-added", undefined, placed(db)),
      true,
    ],
    ["InterPodAffinity", "another pod comes", affine, change("assigned-pod-added", undefined, placed(web)), false],
    [
      "InterPodAffinity",
      "a pod becomes one that was wanted",
      affine,
      change("assigned-pod-labels-changed", placed(web), placed(db)),
      true,
    ],
    ["InterPodAffinity", "a pod that was not wanted goes", averse, change("assigned-pod-deleted", placed(db)), true],
    ["InterPodAffinity", "a pod that did not matter goes", averse, change("assigned-pod-deleted", placed(web)), false],
    [
      "InterPodAffinity",
      "a pod ceases to be unwanted",
      averse,
      change("assigned-pod-labels-changed", placed(db), placed(web)),
      true,
    ],
    [
      "InterPodAffinity",
      "a pod that wanted to be alone goes",
      pod("p", db),
      change("assigned-pod-deleted", placed({ affinity: averse.spec.affinity })),
      true,
    ],
    [
      "InterPodAffinity",
      "a pod that wanted to be without others goes",
      pod("p", web),
      change("assigned-pod-deleted", placed({ affinity: averse.spec.affinity })),
      false,
    ],
    [
      "InterPodAffinity",
      "a node with the key comes",
      affine,
      change("node-added", undefined, node({ zone: "1" })),
      true,
    ],
    ["InterPodAffinity", "a node without the key comes", affine, change("node-added", undefined, node()), false],
    [
      "InterPodAffinity",
      "any node comes for who wants to be alone",
      averse,
      change("node-added", undefined, node()),
      true,
    ],
    [
      "InterPodAffinity",
      "a node gets the key",
      affine,
      change("node-labels-changed", node(), node({ zone: "1" })),
      true,
    ],
    [
      "InterPodAffinity",
      "a node loses the key",
      affine,
      change("node-labels-changed", node({ zone: "1" }), node()),
      false,
    ],
    [
      "InterPodAffinity",
      "a node loses the key that kept it out",
      averse,
      change("node-labels-changed", node({ zone: "1" }), node()),
      true,
    ],
    [
      "DynamicResources",
      "a node's labels change",
      pod("p"),
      change("node-labels-changed", node(), node({ a: "b" })),
      true,
    ],
    ["DynamicResources", "a node's taints change", pod("p"), change("node-taints-changed", node(), node()), false],
    [
      "DynamicResources",
      "somebody's claim is free again",
      pod("p"),
      change("resource-claim-changed", claim({ allocation: {} }), claim({})),
      true,
    ],
    [
      "DynamicResources",
      "somebody's claim changes",
      pod("p"),
      change("resource-claim-changed", claim({}), claim({})),
      false,
    ],
    ["VolumeZone", "a node's taints change", pod("p"), change("node-taints-changed", node(), node()), false],
  ])("%s: %s", (plugin, _, waiting, what, expected) => {
    expect(wakes(plugin, waiting, what)).toBe(expected);
  });
});

describe("what changed", () => {
  const generation = (of: Pod, number: number): Pod => ({ ...of, metadata: { ...of.metadata, generation: number } });
  it.each<[string, Node, Node, string[]]>([
    ["heartbeat", node(), { ...node(), status: { ...node().status, conditions: [] } }, []],
    ["allocatable", node(), node({}, {}, "8"), ["NodeUpdateNodeAllocatable"]],
    [
      "labels and taints",
      node(),
      node({ a: "b" }, { taints: [taint] }),
      ["NodeUpdateNodeLabel", "NodeUpdateNodeTaint"],
    ],
    ["cordoned", node(), node({}, { unschedulable: true }), ["NodeUpdateNodeTaint"]],
    [
      "annotations",
      node(),
      { ...node(), metadata: { name: "a", labels: {}, annotations: { a: "b" } } },
      ["NodeUpdateNodeAnnotation"],
    ],
    [
      "conditions",
      node(),
      { ...node(), status: { ...node().status, conditions: [{ type: "Ready", status: "True" }] } },
      ["NodeUpdateNodeCondition"],
    ],
  ])("of a node: %s", (_, old, now, labels) => {
    expect(nodeChanges(old, now).map((event) => eventLabel({ event, old, current: now }))).toEqual(labels);
  });
  it.each<[string, Pod, Pod, string[]]>([
    ["its condition", pod("p"), { ...pod("p"), status: { conditions: [] } }, []],
    ["labels", pod("p"), pod("p", web), ["UnschedulablePodUpdatePodLabel"]],
    ["requests", pod("p", requests("2")), pod("p", requests("1")), ["UnschedulablePodUpdatePodScaleDown"]],
    ["more requests", pod("p", requests("1")), pod("p", requests("2")), ["UnschedulablePodUpdate"]],
    [
      "gates",
      pod("p", { schedulingGates: [{ name: "g" }] }),
      pod("p"),
      ["UnschedulablePodUpdatePodSchedulingGatesEliminated"],
    ],
    ["tolerations", pod("p"), pod("p", { tolerations: [toleration] }), ["UnschedulablePodUpdatePodToleration"]],
    [
      "claims",
      pod("p"),
      { ...pod("p"), status: { resourceClaimStatuses: [{ name: "a" }] } },
      ["UnschedulablePodUpdatePodGeneratedResourceClaim"],
    ],
  ])("of a waiting pod: %s", (_, old, now, labels) => {
    expect(podChanges(old, now).map((event) => eventLabel({ event, old, current: now }))).toEqual(labels);
  });
  it.each<[string, Pod, Pod, string[]]>([
    ["nothing", generation(placed(), 1), generation(placed(), 1), []],
    ["labels", generation(placed(), 1), generation(placed(web), 1), ["AssignedPodUpdatePodLabel"]],
    [
      "requests",
      generation(placed(requests("2")), 1),
      generation(placed(requests("1")), 2),
      ["AssignedPodUpdatePodScaleDown"],
    ],
    ["something else", generation(placed(), 1), generation(placed(), 2), ["AssignedPodUpdate"]],
  ])("of a placed pod: %s", (_, old, now, labels) => {
    expect(placedPodChanges(old, now).map((event) => eventLabel({ event, old, current: now }))).toEqual(labels);
  });
  it("objects come, change and go", () => {
    const event = "volume-claim-changed";
    const labels = [
      eventLabel(change(event, undefined, pod("c"))),
      eventLabel(change(event, pod("c"), pod("c"))),
      eventLabel(change(event, pod("c"))),
    ];
    expect(labels).toEqual(["PersistentVolumeClaimAdd", "PersistentVolumeClaimUpdate", "PersistentVolumeClaimDelete"]);
  });
});

function change(event: ClusterEvent, old?: ClusterChange["old"], current?: ClusterChange["current"]): ClusterChange {
  return { event, old, current };
}

function claim(status: ResourceClaim["status"]): ResourceClaim {
  return { metadata: { name: "c", namespace: "d", uid: "c" }, spec: {}, status };
}
