import type { Pod } from "@coracle/api/core/v1";
import { benchNode, benchPod, type CoreCluster } from "./core-cluster.ts";

/** A workload of upstream's own benchmark, as far as the core is concerned. */
export interface CoreWorkload {
  /** Upstream's name of case and workload. */
  readonly name: string;
  readonly measured: number;
  setUp(cluster: CoreCluster): void;
  pod(index: number): Pod;
  /** Others must go for these pods. */
  readonly byForce?: boolean;
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
  readonly node?: (index: number) => Parameters<typeof benchNode>[2];
  /** Runs after nodes are there. */
  readonly before?: (cluster: CoreCluster) => void;
}

function workload(name: string, shape: Shape): CoreWorkload {
  const { nodes = NODES, zones, initPods = 0, measured, before } = shape;
  const pod = shape.pod ?? (() => benchPod());
  const initPod = shape.initPod ?? pod;
  return {
    name,
    measured,
    pod,
    byForce: shape.byForce ?? false,
    setUp(cluster) {
      for (let i = 0; i < nodes; i++) {
        const labels = zones === undefined ? {} : { [ZONE]: zones[i % zones.length] ?? "" };
        cluster.state.setNode(benchNode(i, { labels }, shape.node?.(i)));
      }
      before?.(cluster);
      for (let i = 0; i < initPods; i++) cluster.place(initPod(i));
    },
  };
}

const term = (topologyKey: string, color: string, more = {}) => ({
  topologyKey,
  labelSelector: { matchLabels: { color } },
  ...more,
});
const near = (color: string, more = {}) =>
  benchPod(
    { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(ZONE, color, more)] } } },
    { color },
  );
const apart = (color: string, more = {}) =>
  benchPod(
    {
      affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(HOSTNAME, color, more)] } },
    },
    { color },
  );
const preferring = (kind: "podAffinity" | "podAntiAffinity", color: string) =>
  benchPod(
    {
      affinity: {
        [kind]: {
          preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: term(HOSTNAME, color) }],
        },
      },
    },
    { color },
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
const requesting = (cpu: string, priority: number) => {
  const pod = benchPod();
  const [container] = pod.spec.containers;
  const containers = [{ ...container, name: "pause", resources: { requests: { cpu, memory: "500Mi" } } }];
  return { ...pod, spec: { ...pod.spec, containers, priority } };
};

const MOONS = ["moon-1", "moon-2", "moon-3"];
const OTHER_TEAMS = { namespaceSelector: { matchLabels: { team: "devops" } } };
const teams = (cluster: CoreCluster): void => {
  for (let i = 0; i < 100; i++) cluster.state.setNamespace(`init-${i}`, { team: "devops" });
  cluster.state.setNamespace("measured", { team: "devops" });
};

/** Workloads on `nodes` nodes; the names say upstream's sizes. */
export function coreWorkloads(): readonly CoreWorkload[] {
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
      measured: 5_000,
      pod: () => near("blue"),
    }),
    workload("SchedulingPodAntiAffinity 5000Nodes_2000Pods", {
      initPods: 1_000,
      measured: 2_000,
      pod: () => apart("green"),
    }),
    workload("SchedulingPodMatchingAntiAffinity 5000Nodes_5000Pods", {
      initPods: 1_000,
      initPod: () => apart("green"),
      measured: 5_000,
      pod: () => benchPod({}, { color: "green" }),
    }),
    workload("SchedulingPreferredPodAffinity 5000Nodes_5000Pods", {
      initPods: 5_000,
      measured: 5_000,
      pod: () => preferring("podAffinity", "red"),
    }),
    workload("SchedulingPreferredPodAntiAffinity 5000Nodes_5000Pods", {
      initPods: 5_000,
      measured: 5_000,
      pod: () => preferring("podAntiAffinity", "yellow"),
    }),
    workload("SchedulingRequiredPodAntiAffinityWithNSSelector 5000Nodes_2000Pods", {
      nodes: 6_000,
      before: teams,
      initPods: 4_000,
      initPod: (i) => ({
        ...apart("green", OTHER_TEAMS),
        metadata: { name: `i${i}`, namespace: `init-${i % 100}`, uid: `i${i}`, labels: { color: "green" } },
      }),
      measured: 2_000,
      pod: () => apart("green", OTHER_TEAMS),
    }),
    workload("MixedSchedulingBasePod 5000Nodes_5000Pods", {
      zones: ["zone1"],
      initPods: 10_000,
      initPod: (i) =>
        [
          () => benchPod(),
          () => near("blue"),
          () => apart("green"),
          () => preferring("podAffinity", "red"),
          () => preferring("podAntiAffinity", "yellow"),
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
    workload("PreemptionAsync 5000Nodes", {
      initPods: 20_000,
      initPod: () => requesting("900m", 1),
      measured: 5_000,
      pod: () => requesting("3000m", 10),
      byForce: true,
    }),
  ];
}
