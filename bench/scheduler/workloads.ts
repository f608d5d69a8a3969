import type { Node, Pod } from "@coracle/api/core/v1";
import { benchNode, benchPod, INIT_NAMESPACE } from "./bench-objects.ts";

/** A workload of upstream's own benchmark. */
export interface Workload {
  /** Upstream's name of case and workload. */
  readonly name: string;
  readonly nodes: number;
  node(index: number): Node;
  /** Namespaces with these labels, besides those of pods. */
  readonly namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Pods that are there before measuring begins. */
  readonly initPods: number;
  initPod(index: number): Pod;
  readonly measured: number;
  pod(index: number): Pod;
  /** Others must go for these pods. */
  readonly byForce: boolean;
  /** One of these comes five times a second while others are measured. */
  readonly intruder?: (() => Pod) | undefined;
}

const ZONE = "topology.kubernetes.io/zone";
const HOSTNAME = "kubernetes.io/hostname";
const NODES = 5_000;

interface Shape {
  readonly nodes?: number;
  /** Zones in turn; absent: nodes have none. */
  readonly zones?: readonly string[];
  readonly initPods?: number;
  readonly initPod?: (index: number) => Pod;
  readonly measured: number;
  readonly pod?: (index: number) => Pod;
  readonly byForce?: boolean;
  readonly node?: (index: number) => Node["spec"];
  readonly namespaces?: Workload["namespaces"];
  readonly intruder?: () => Pod;
}

function workload(name: string, shape: Shape): Workload {
  const { zones, pod = () => benchPod() } = shape;
  return {
    name,
    nodes: shape.nodes ?? NODES,
    node: (i) => benchNode(i, zones === undefined ? {} : { [ZONE]: zones[i % zones.length] ?? "" }, shape.node?.(i)),
    namespaces: shape.namespaces ?? {},
    initPods: shape.initPods ?? 0,
    initPod: shape.initPod ?? pod,
    measured: shape.measured,
    pod,
    byForce: shape.byForce ?? false,
    intruder: shape.intruder,
  };
}

const BOTH = { namespaces: ["sched-1", "sched-0"] };
const term = (topologyKey: string, color: string, where: object) => ({
  topologyKey,
  labelSelector: { matchLabels: { color } },
  ...where,
});
const near = (color: string, namespace?: string) =>
  benchPod(
    { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(ZONE, color, BOTH)] } } },
    { color },
    namespace,
  );
const apart = (color: string, namespace?: string, where: object = BOTH) =>
  benchPod(
    {
      affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(HOSTNAME, color, where)] } },
    },
    { color },
    namespace,
  );
const preferring = (kind: "podAffinity" | "podAntiAffinity", color: string, namespace?: string) =>
  benchPod(
    {
      affinity: {
        [kind]: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 1, podAffinityTerm: term(HOSTNAME, color, BOTH) },
          ],
        },
      },
    },
    { color },
    namespace,
  );
const inZones = (values: readonly string[]) =>
  benchPod({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: ZONE, operator: "In", values: [...values] }] }],
        },
      },
    },
  });
const spreading = (whenUnsatisfiable: string, more = {}) =>
  benchPod(
    {
      topologySpreadConstraints: [
        {
          maxSkew: 5,
          topologyKey: ZONE,
          whenUnsatisfiable,
          labelSelector: { matchLabels: { color: "blue" } },
          ...more,
        },
      ],
    },
    { color: "blue" },
  );
const requesting = (cpu: string, spec: Partial<Pod["spec"]>) => {
  const pod = benchPod(spec);
  const [container] = pod.spec.containers;
  const quantities = { cpu, memory: "500Mi" };
  const containers = [{ ...container, name: "pause", resources: { requests: quantities, limits: quantities } }];
  return { ...pod, spec: { ...pod.spec, containers } };
};
const lowly = () => requesting("900m", { terminationGracePeriodSeconds: 0 });
const mighty = () => requesting("3000m", { priority: 10 });

const MOONS = ["moon-1", "moon-2", "moon-3"];
const OTHER_TEAMS = { namespaceSelector: { matchLabels: { team: "devops" } } };
const TEAMS = Object.fromEntries(
  ["sched-1", ...Array.from({ length: 100 }, (_, i) => `init-${i}`)].map((name) => [name, { team: "devops" }]),
);

/** Upstream's names, pods and sizes. */
export function workloads(): readonly Workload[] {
  return [
    workload("SchedulingBasic 5000Nodes_10000Pods", { initPods: 1_000, measured: 10_000 }),
    workload("SchedulingNodeAffinity 5000Nodes_10000Pods", {
      zones: ["zone1"],
      initPods: 5_000,
      initPod: () => benchPod(),
      measured: 10_000,
      pod: () => inZones(["zone1", "zone2"]),
    }),
    workload("SchedulingTaints 5000Nodes_10000Pods", {
      node: (i) => ({
        taints: [{ key: "team", value: `t${i % 4}`, effect: i % 8 < 4 ? "PreferNoSchedule" : "NoSchedule" }],
      }),
      measured: 10_000,
      pod: () => benchPod({ tolerations: [{ key: "team", operator: "Equal", value: "t1" }] }),
    }),
    workload("TopologySpreading 5000Nodes_5000Pods", {
      zones: MOONS,
      initPods: 5_000,
      initPod: () => benchPod(),
      measured: 5_000,
      pod: () => spreading("DoNotSchedule"),
    }),
    workload("PreferredTopologySpreading 5000Nodes_5000Pods", {
      zones: MOONS,
      initPods: 5_000,
      initPod: () => benchPod(),
      measured: 5_000,
      pod: () => spreading("ScheduleAnyway"),
    }),
    workload("SchedulingWithNodeInclusionPolicy 5000Nodes", {
      node: (i) => (i < 1_000 ? { taints: [{ key: "foo", effect: "NoSchedule" }] } : {}),
      measured: 4_000,
      pod: () => spreading("DoNotSchedule", { topologyKey: HOSTNAME, maxSkew: 1, nodeTaintsPolicy: "Honor" }),
    }),
    workload("SchedulingPodAffinity 5000Nodes_5000Pods", {
      zones: ["zone1"],
      initPods: 5_000,
      initPod: () => near("blue", INIT_NAMESPACE),
      measured: 5_000,
      pod: () => near("blue"),
    }),
    workload("SchedulingPodAntiAffinity 5000Nodes_2000Pods", {
      initPods: 1_000,
      initPod: () => apart("green", INIT_NAMESPACE),
      measured: 2_000,
      pod: () => apart("green"),
    }),
    workload("SchedulingPodMatchingAntiAffinity 5000Nodes_5000Pods", {
      initPods: 1_000,
      initPod: () => apart("green", INIT_NAMESPACE),
      measured: 5_000,
      pod: () => benchPod({}, { color: "green" }),
    }),
    workload("SchedulingPreferredPodAffinity 5000Nodes_5000Pods", {
      initPods: 5_000,
      initPod: () => preferring("podAffinity", "red", INIT_NAMESPACE),
      measured: 5_000,
      pod: () => preferring("podAffinity", "red"),
    }),
    workload("SchedulingPreferredPodAntiAffinity 5000Nodes_5000Pods", {
      initPods: 5_000,
      initPod: () => preferring("podAntiAffinity", "yellow", INIT_NAMESPACE),
      measured: 5_000,
      pod: () => preferring("podAntiAffinity", "yellow"),
    }),
    workload("SchedulingRequiredPodAntiAffinityWithNSSelector 5000Nodes_2000Pods", {
      nodes: 6_000,
      namespaces: TEAMS,
      initPods: 4_000,
      initPod: (i) => apart("green", `init-${i % 100}`, OTHER_TEAMS),
      measured: 2_000,
      pod: () => apart("green", undefined, OTHER_TEAMS),
    }),
    workload("MixedSchedulingBasePod 5000Nodes_5000Pods", {
      zones: ["zone1"],
      initPods: 10_000,
      initPod: (i) =>
        [
          () => benchPod({}, undefined, INIT_NAMESPACE),
          () => near("blue", INIT_NAMESPACE),
          () => apart("green", INIT_NAMESPACE),
          () => preferring("podAffinity", "red", INIT_NAMESPACE),
          () => preferring("podAntiAffinity", "yellow", INIT_NAMESPACE),
        ][i % 5]?.() ?? benchPod(),
      measured: 5_000,
      pod: () => benchPod(),
    }),
    workload("SchedulingDaemonset 15000Nodes", {
      nodes: 15_000,
      measured: 30_000,
      pod: (i) =>
        benchPod({
          affinity: {
            nodeAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: {
                nodeSelectorTerms: [
                  { matchFields: [{ key: "metadata.name", operator: "In", values: [`node-${i % 15_000}`] }] },
                ],
              },
            },
          },
        }),
    }),
    workload("PreemptionBasic 5000Nodes", {
      initPods: 20_000,
      initPod: lowly,
      measured: 5_000,
      pod: mighty,
      byForce: true,
    }),
    workload("PreemptionBasic 1000Nodes", {
      nodes: 1_000,
      initPods: 4_000,
      initPod: lowly,
      measured: 1_000,
      pod: mighty,
      byForce: true,
    }),
    workload("PreemptionAsync 5000Nodes", {
      initPods: 20_000,
      initPod: lowly,
      measured: 5_000,
      intruder: mighty,
    }),
    workload("Unschedulable 5kNodes/100Init/10kPods", {
      initPods: 100,
      measured: 10_000,
      intruder: () => requesting("9", { priority: 10 }),
    }),
  ];
}
