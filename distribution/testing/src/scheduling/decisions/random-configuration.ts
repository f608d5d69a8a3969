import type { Draw } from "./draw.ts";

export interface WrittenConfiguration {
  readonly apiVersion: string;
  readonly kind: string;
  readonly leaderElection: { readonly leaderElect: boolean };
  readonly percentageOfNodesToScore?: number;
  readonly profiles: readonly { readonly schedulerName: string }[];
}

const HEAD = { apiVersion: "kubescheduler.config.k8s.io/v1", kind: "KubeSchedulerConfiguration" };

/** A sound configuration: upstream's default, or one of up to three profiles that are not. */
export function randomConfiguration(draw: Draw, isConfigured: boolean): WrittenConfiguration & object {
  const leaderElection = { leaderElect: false };
  if (!isConfigured) return { ...HEAD, leaderElection, profiles: [{ schedulerName: "default-scheduler" }] };
  const profiles = draw.times(1, 3, (i) => ({
    schedulerName: i === 0 ? "default-scheduler" : `scheduler-${i}`,
    ...draw.maybe(85, () => ({ plugins: plugins(draw) })),
    ...draw.maybe(85, () => ({ pluginConfig: pluginConfig(draw) })),
  }));
  return { ...HEAD, leaderElection, percentageOfNodesToScore: draw.pick([0, 100]), profiles };
}

const SCORERS = [
  "TaintToleration",
  "NodeAffinity",
  "PodTopologySpread",
  "InterPodAffinity",
  "NodeResourcesFit",
  "NodeResourcesBalancedAllocation",
  "ImageLocality",
] as const;
const FILTERS = [
  "NodeUnschedulable",
  "NodeName",
  "TaintToleration",
  "NodeAffinity",
  "NodePorts",
  "NodeResourcesFit",
  "VolumeRestrictions",
  "NodeVolumeLimits",
  "VolumeZone",
  "PodTopologySpread",
  "InterPodAffinity",
] as const;

function plugins(draw: Draw): object {
  const scorers = draw.some(SCORERS, 1, 4);
  const score = draw.chance(25)
    ? { disabled: [{ name: "*" }], enabled: scorers.map((name) => ({ name, weight: draw.between(1, 9) })) }
    : {
        disabled: scorers.map((name) => ({ name })),
        enabled: scorers
          .filter(() => draw.chance(70))
          .map((name) => ({ name, ...draw.maybe(80, () => ({ weight: draw.between(1, 20) })) })),
      };
  const without = (percent: number, names: readonly string[]): object =>
    draw.maybe(percent, () => ({ disabled: names.map((name) => ({ name })) }));
  return {
    ...draw.maybe(80, () => ({ score })),
    ...draw.maybe(30, () => ({ filter: without(100, draw.some(FILTERS, 1, 2)) })),
    ...draw.maybe(12, () => ({ postFilter: without(100, ["*"]) })),
    ...draw.maybe(20, () => ({ multiPoint: without(100, [draw.pick(["ImageLocality", "NodePorts", "VolumeZone"])]) })),
  };
}

const RESOURCES = ["cpu", "memory", "ephemeral-storage", "example.com/gpu"] as const;

function pluginConfig(draw: Draw): object[] {
  const resources = (): object[] => draw.some(RESOURCES, 1, 3).map((name) => ({ name, weight: draw.between(1, 10) }));
  const shape = (): object[] => {
    const points = [...new Set(draw.times(1, 5, () => draw.between(0, 100)))].sort((a, b) => a - b);
    return points.map((utilization) => ({ utilization, score: draw.between(0, 10) }));
  };
  const type = draw.pick(["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]);
  const requirement = { key: "disk", operator: draw.pick(["In", "NotIn"]), values: ["ssd"] };
  const made: Readonly<Record<string, () => object>> = {
    NodeResourcesFit: () => ({
      ...draw.maybe(25, () => ({ ignoredResources: ["example.com/gpu"] })),
      ...draw.maybe(15, () => ({ ignoredResourceGroups: ["example.com"] })),
      scoringStrategy: {
        type,
        resources: resources(),
        ...(type === "RequestedToCapacityRatio" ? { requestedToCapacityRatio: { shape: shape() } } : {}),
      },
    }),
    NodeResourcesBalancedAllocation: () => ({
      resources: draw.some(RESOURCES, 1, 4).map((name) => ({ name, weight: 1 })),
    }),
    InterPodAffinity: () => ({
      hardPodAffinityWeight: draw.pick([0, 1, 5, 100]),
      ...draw.maybe(40, () => ({ ignorePreferredTermsOfExistingPods: true })),
    }),
    NodeAffinity: () => ({
      addedAffinity: {
        ...draw.maybe(50, () => ({
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [requirement] }] },
        })),
        ...draw.maybe(70, () => ({
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: draw.between(1, 100), preference: { matchExpressions: [{ key: "rack", operator: "Exists" }] } },
          ],
        })),
      },
    }),
    PodTopologySpread: () =>
      draw.chance(30)
        ? { defaultingType: "System" }
        : {
            defaultingType: "List",
            defaultConstraints: draw
              .some(["kubernetes.io/hostname", "topology.kubernetes.io/zone", "rack"], 0, 2)
              .map((topologyKey) => ({
                topologyKey,
                maxSkew: draw.between(1, 3),
                whenUnsatisfiable: draw.pick(["DoNotSchedule", "ScheduleAnyway"]),
              })),
          },
    DefaultPreemption: () => ({
      minCandidateNodesPercentage: draw.pick([10, 100]),
      minCandidateNodesAbsolute: draw.pick([100, 1000]),
    }),
    VolumeBinding: () => ({ bindTimeoutSeconds: draw.pick([60, 600]) }),
  };
  return draw.some(Object.keys(made), 1, 4).map((name) => ({ name, args: made[name]?.() }));
}
