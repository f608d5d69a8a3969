import type {
  Affinity,
  Container,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  Pod,
  PodAffinityTerm,
  PodSpec,
  ResourceRequirements,
  Toleration,
  TopologySpreadConstraint,
} from "@coracle/api/core/v1";
import type { LabelSelector } from "@coracle/api/meta/v1";
import type { Draw } from "./draw.ts";

/** Namespaces by name, with their labels. */
export const NAMESPACES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  default: {},
  "team-a": { team: "a", stage: "test" },
  "team-b": { team: "b", stage: "test" },
};

/** Classes by name. */
export const PRIORITIES = {
  low: { value: 10, preemptionPolicy: "PreemptLowerPriority" },
  middle: { value: 100, preemptionPolicy: "PreemptLowerPriority" },
  high: { value: 1000, preemptionPolicy: "PreemptLowerPriority" },
  polite: { value: 1000, preemptionPolicy: "Never" },
} as const;

export const APPS = ["web", "db", "cache"] as const;
const TIERS = ["front", "back"] as const;
const TOPOLOGY_KEYS = ["kubernetes.io/hostname", "topology.kubernetes.io/zone", "rack"] as const;
const HASHES = ["h1", "h2"] as const;

export const randomLabels = (draw: Draw): Record<string, string> => ({
  ...draw.maybe(90, () => ({ app: draw.pick(APPS) })),
  ...draw.maybe(50, () => ({ tier: draw.pick(TIERS) })),
  ...draw.maybe(50, () => ({ hash: draw.pick(HASHES) })),
});

export function randomSelector(draw: Draw): LabelSelector {
  if (draw.chance(60)) return { matchLabels: { app: draw.pick(APPS) } };
  if (draw.chance(15)) return {};
  const operator = draw.pick(["In", "NotIn", "Exists", "DoesNotExist"]);
  const values = operator.endsWith("In") ? { values: draw.some(TIERS, 1, 2) } : {};
  return { matchExpressions: [{ key: "tier", operator, ...values }] };
}

export function randomTerm(draw: Draw): PodAffinityTerm {
  const keys = draw.chance(12)
    ? { matchLabelKeys: ["hash"] }
    : draw.chance(12)
      ? { mismatchLabelKeys: ["hash"] }
      : undefined;
  const where = draw.chance(15)
    ? { namespaces: draw.some(Object.keys(NAMESPACES), 1, 2) }
    : draw.chance(20)
      ? { namespaceSelector: draw.chance(30) ? {} : { matchLabels: { team: draw.pick(["a", "b"]) } } }
      : {};
  return {
    topologyKey: draw.pick(TOPOLOGY_KEYS),
    ...(draw.chance(4) && keys === undefined ? {} : { labelSelector: randomSelector(draw) }),
    ...keys,
    ...where,
  };
}

export function randomRequests(draw: Draw): ResourceRequirements {
  const amounts = {
    ...draw.maybe(75, () => ({ cpu: draw.pick(["50m", "100m", "300m", "500m", "1", "2", "1500m"]) })),
    ...draw.maybe(65, () => ({ memory: draw.pick(["64Mi", "200M", "500Mi", "1Gi", "3Gi"]) })),
    ...draw.maybe(15, () => ({ "ephemeral-storage": draw.pick(["1Gi", "4Gi"]) })),
  };
  const counted = {
    ...draw.maybe(12, () => ({ "example.com/gpu": String(draw.between(1, 2)) })),
    ...draw.maybe(8, () => ({ "hugepages-2Mi": "64Mi", cpu: "100m", memory: "64Mi" })),
  };
  if (draw.chance(10)) return { limits: { ...amounts, ...counted } };
  return { requests: { ...amounts, ...counted }, limits: counted };
}

function requirement(draw: Draw): NodeSelectorRequirement {
  const key = draw.pick(["disk", "rack", "generation", "topology.kubernetes.io/zone"]);
  if (key === "generation" && draw.chance(70))
    return { key, operator: draw.pick(["Gt", "Lt"]), values: [String(draw.between(1, 9))] };
  const operator = draw.pick(["In", "In", "NotIn", "Exists", "DoesNotExist"]);
  const known: Readonly<Record<string, readonly string[]>> = {
    disk: ["ssd", "hdd"],
    rack: ["r1", "r2", "r3", "r9"],
    generation: ["1", "4", "7"],
    "topology.kubernetes.io/zone": ["a", "b", "c", "d"],
  };
  return { key, operator, ...(operator.endsWith("In") ? { values: draw.some(known[key] ?? [], 1, 2) } : {}) };
}

const nodeTerm = (draw: Draw): NodeSelectorTerm =>
  draw.chance(12)
    ? {
        matchFields: [
          { key: "metadata.name", operator: draw.pick(["In", "In", "NotIn"]), values: [`n${draw.between(0, 30)}`] },
        ],
        ...draw.maybe(30, () => ({ matchExpressions: [requirement(draw)] })),
      }
    : { matchExpressions: draw.times(1, 2, () => requirement(draw)) };

const nodeAffinity = (draw: Draw): Affinity["nodeAffinity"] => ({
  ...draw.maybe(70, () => ({
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: draw.times(1, 3, () => nodeTerm(draw)) },
  })),
  ...draw.maybe(50, () => ({
    preferredDuringSchedulingIgnoredDuringExecution: draw.times(1, 3, () => ({
      weight: draw.between(1, 100),
      preference: nodeTerm(draw),
    })),
  })),
});

const podAffinity = (draw: Draw): NonNullable<Affinity["podAffinity"]> => ({
  ...draw.maybe(65, () => ({
    requiredDuringSchedulingIgnoredDuringExecution: draw.times(1, 2, () => randomTerm(draw)),
  })),
  ...draw.maybe(50, () => ({
    preferredDuringSchedulingIgnoredDuringExecution: draw.times(1, 2, () => ({
      weight: draw.between(1, 100),
      podAffinityTerm: randomTerm(draw),
    })),
  })),
});

function spreadConstraint(draw: Draw): TopologySpreadConstraint {
  const whenUnsatisfiable = draw.pick(["DoNotSchedule", "DoNotSchedule", "ScheduleAnyway"]);
  return {
    topologyKey: draw.pick(TOPOLOGY_KEYS),
    maxSkew: draw.between(1, 3),
    whenUnsatisfiable,
    labelSelector: randomSelector(draw),
    ...(whenUnsatisfiable === "DoNotSchedule" ? draw.maybe(30, () => ({ minDomains: draw.between(1, 5) })) : {}),
    ...draw.maybe(25, () => ({ nodeAffinityPolicy: draw.pick(["Honor", "Ignore"]) })),
    ...draw.maybe(25, () => ({ nodeTaintsPolicy: draw.pick(["Honor", "Ignore"]) })),
    ...draw.maybe(20, () => ({ matchLabelKeys: ["hash"] })),
  };
}

function toleration(draw: Draw): Toleration {
  if (draw.chance(10)) return { operator: "Exists" };
  const key = draw.pick(["dedicated", "slow", "evict"]);
  const effect = draw.maybe(50, () => ({ effect: draw.pick(["NoSchedule", "PreferNoSchedule", "NoExecute"]) }));
  return draw.chance(50)
    ? { key, operator: "Exists", ...effect }
    : { key, operator: "Equal", value: draw.pick(["x", "y", "1"]), ...effect };
}

/** What a random pod may come upon in its cluster. */
export interface Surroundings {
  /** Claims of volumes for a pod of that number. */
  readonly volumes: (draw: Draw, pod: number) => Partial<PodSpec>;
  readonly devices: (draw: Draw, pod: number) => Partial<PodSpec>;
  readonly schedulerNames: readonly [string, ...string[]];
}

/** Kind of wish → what it puts into the pod. */
const WISHES: Readonly<Record<string, (draw: Draw) => Partial<PodSpec>>> = {
  "node selector": (draw) => ({
    nodeSelector: draw.chance(50) ? { disk: draw.pick(["ssd", "hdd"]) } : { rack: draw.pick(["r1", "r2", "r3"]) },
  }),
  "node affinity": (draw) => ({ affinity: { nodeAffinity: nodeAffinity(draw) } }),
  "pod affinity": (draw) => ({ affinity: { podAffinity: podAffinity(draw) } }),
  "pod anti-affinity": (draw) => ({ affinity: { podAntiAffinity: podAffinity(draw) } }),
  "both affinities": (draw) => ({ affinity: { podAffinity: podAffinity(draw), podAntiAffinity: podAffinity(draw) } }),
  spread: (draw) => ({ topologySpreadConstraints: distinct(draw.times(1, 3, () => spreadConstraint(draw))) }),
  tolerations: (draw) => ({ tolerations: draw.times(1, 3, () => toleration(draw)) }),
  priority: (draw) => ({ priorityClassName: draw.pick(["low", "middle", "high", "high", "polite"]) }),
  overhead: () => ({ runtimeClassName: "heavy" }),
  "runtime's nodes": () => ({ runtimeClassName: "on-ssd" }),
  "pod-level resources": (draw) => ({
    resources: {
      requests: {
        cpu: draw.pick(["500m", "1", "3"]),
        ...draw.maybe(50, () => ({ memory: draw.pick(["1Gi", "3Gi"]) })),
      },
    },
  }),
  gates: (draw) => draw.maybe(15, () => ({ schedulingGates: [{ name: "example.com/wait" }] })),
};

/** A server refuses two constraints of the same key and manner. */
const distinct = (constraints: readonly TopologySpreadConstraint[]): TopologySpreadConstraint[] =>
  constraints.filter(
    (one, i) =>
      constraints.findIndex(
        (other) => other.topologyKey === one.topologyKey && other.whenUnsatisfiable === one.whenUnsatisfiable,
      ) === i,
  );

function containers(draw: Draw): Pick<PodSpec, "containers" | "initContainers"> {
  const container = (name: string): Container => ({
    name,
    image: draw.pick(["registry.local/big:1", "registry.local/small:1", "app", "registry.local/none:1"]),
    resources: randomRequests(draw),
  });
  const first = container("c0");
  const ports = draw.times(1, 2, () => ({
    containerPort: 80,
    hostPort: draw.pick([8080, 8081]),
    ...draw.maybe(30, () => ({ protocol: "UDP" })),
    ...draw.maybe(30, () => ({ hostIP: draw.pick(["127.0.0.1", "10.0.0.1", "0.0.0.0"]) })),
  }));
  return {
    containers: [
      draw.chance(12) ? { ...first, ports } : first,
      ...draw.times(0, draw.chance(25) ? 2 : 0, (i) => container(`c${i + 1}`)),
    ],
    ...draw.maybe(20, () => ({
      initContainers: draw.times(1, 3, (i) => ({
        ...container(`i${i}`),
        ...draw.maybe(50, () => ({ restartPolicy: "Always" })),
      })),
    })),
  };
}

const urgent = (draw: Draw): Partial<PodSpec> => ({
  priorityClassName: draw.pick(["high", "high", "middle"]),
  containers: [
    {
      name: "c",
      image: "app",
      resources: { requests: { cpu: draw.pick(["1", "3", "6"]), memory: draw.pick(["1Gi", "3Gi", "12Gi"]) } },
      ...draw.maybe(30, () => ({ ports: [{ containerPort: 80, hostPort: 8080 }] })),
    },
  ],
});

/** A pod with up to three wishes of its own. */
export function randomPod(draw: Draw, number: number, { volumes, devices, schedulerNames }: Surroundings): Pod {
  // Some are large and urgent, and nothing else.
  const isUrgent = draw.chance(12);
  const wishes = draw.some(Object.keys(WISHES), 0, isUrgent ? 0 : 3).map((kind) => WISHES[kind]?.(draw) ?? {});
  const affinity: Affinity = Object.assign({}, ...wishes.map((wish) => wish.affinity ?? {})) as Affinity;
  const spec: Partial<PodSpec> = Object.assign({}, ...wishes) as Partial<PodSpec>;
  const claims = {
    ...(draw.chance(30) ? volumes(draw, number) : {}),
    ...(draw.chance(12) ? devices(draw, number) : {}),
  };
  // What can be claimed is in the default namespace.
  const namespace = Object.keys(claims).length > 0 || draw.chance(75) ? "default" : "team-a";
  return {
    metadata: {
      namespace,
      name: `p${number}`,
      labels: randomLabels(draw),
    },
    spec: {
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      schedulerName: draw.pick(schedulerNames),
      ...containers(draw),
      ...(isUrgent ? urgent(draw) : {}),
      ...spec,
      affinity,
      ...claims,
    },
  };
}
