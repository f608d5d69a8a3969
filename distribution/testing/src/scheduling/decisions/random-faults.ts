import type { Draw } from "./draw.ts";
import { randomConfiguration } from "./random-configuration.ts";

interface Profile {
  schedulerName?: string;
  plugins?: Record<string, unknown>;
  pluginConfig?: { name: string; args?: unknown }[];
  [member: string]: unknown;
}
interface Configuration {
  profiles: Profile[];
  [member: string]: unknown;
}
type Fault = (draw: Draw, config: Configuration) => void;

const set =
  (member: string, ...values: readonly [unknown, ...unknown[]]): Fault =>
  (draw, config) => {
    config[member] = draw.pick(values);
  };
const inProfile =
  (change: (draw: Draw, profile: Profile) => void): Fault =>
  (draw, { profiles }) => {
    const profile = profiles[draw.between(0, profiles.length - 1)];
    if (typeof profile === "object") change(draw, profile);
  };
/** Arguments of a plugin, in place of those that are there. */
const args = (name: string, ...values: readonly [unknown, ...unknown[]]): Fault =>
  inProfile((draw, profile) => {
    const others = (profile.pluginConfig ?? []).filter((each) => each.name !== name);
    profile.pluginConfig = [...others, { name, args: draw.pick(values) }];
  });
const plugins = (point: string, ...values: readonly [unknown, ...unknown[]]): Fault =>
  inProfile((draw, profile) => {
    profile.plugins = { ...profile.plugins, [point]: draw.pick(values) };
  });
const enabled = (...names: string[]): object => ({ enabled: names.map((name) => ({ name })) });
const points = (...shape: readonly (readonly [number, number])[]): object => ({
  scoringStrategy: {
    type: "RequestedToCapacityRatio",
    resources: [{ name: "cpu", weight: 1 }],
    requestedToCapacityRatio: { shape: shape.map(([utilization, score]) => ({ utilization, score })) },
  },
});
const constraint = (part: object): object => ({
  defaultingType: "List",
  defaultConstraints: [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway", ...part }],
});
const must = (...matchExpressions: object[]): object => ({
  addedAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] },
  },
});
const elect = (part: object): object => ({ leaderElect: true, ...part });
const extender = (part: object): object => ({ urlPrefix: "http://127.0.0.1:1", filterVerb: "filter", ...part });

/** What may be wrong with a configuration. */
const FAULTS: readonly [Fault, ...Fault[]] = [
  set("parallelism", -1, 0, "many", 1.5),
  set("percentageOfNodesToScore", -1, 101, "all"),
  set("podInitialBackoffSeconds", 0, -3),
  set("podMaxBackoffSeconds", 0, -1),
  set("nobodyKnows", 1, {}, [1]),
  set("apiVersion", "kubescheduler.config.k8s.io/v1beta3", "v1", "", 7),
  set("kind", "Scheduler", "", "KubeProxyConfiguration"),
  set("profiles", {}, "x", [1]),
  set("enableProfiling", "yes"),
  set(
    "leaderElection",
    elect({ leaseDuration: "1s" }),
    elect({ renewDeadline: "0s" }),
    elect({ retryPeriod: "-1s" }),
    elect({ resourceLock: "endpoints" }),
    elect({ leaseDuration: "soon" }),
    elect({ resourceName: "", resourceNamespace: "" }),
    elect({ unknown: true }),
    { leaderElect: "no" },
  ),
  set(
    "extenders",
    [extender({ prioritizeVerb: "p" })],
    [extender({ prioritizeVerb: "p", weight: -1 })],
    [extender({ bindVerb: "b" }), extender({ bindVerb: "b" })],
    [extender({ managedResources: [{ name: "cpu" }] })],
    [extender({ managedResources: [{ name: "a b/c" }] })],
    [extender({ managedResources: [{ name: "x.io/y" }, { name: "x.io/y" }] })],
    [extender({ httpTimeout: "x" })],
    [extender({ weight: "heavy", unknown: 1 })],
  ),
  (_, config) => void config.profiles.push({ schedulerName: config.profiles[0]?.schedulerName ?? "" }),
  inProfile((_, profile) => void (profile.schedulerName = "")),
  inProfile((draw, profile) => void (profile["percentageOfNodesToScore"] = draw.pick([-1, 101]))),
  inProfile((draw, profile) => void (profile["unheardOf"] = draw.pick<unknown>([1, "x"]))),
  inProfile((_, profile) => void (profile.pluginConfig = [...(profile.pluginConfig ?? []), { name: "NodeAffinity" }])),
  inProfile(
    (_, profile) =>
      void (profile.pluginConfig = [
        { name: "ImageLocality", args: { x: 1 } },
        { name: "ImageLocality", args: {} },
      ]),
  ),
  plugins("score", enabled("Nobody"), enabled("NodeName"), enabled("NodeAffinity", "NodeAffinity"), "x"),
  plugins("filter", enabled("Nobody"), enabled("ImageLocality"), enabled("NodePorts", "NodePorts"), [1]),
  plugins("preFilter", enabled("NodeName"), enabled("DefaultBinder")),
  plugins("multiPoint", enabled("Nobody"), { disabled: [{ name: "*" }] }, { disabled: [{ name: "Nobody" }] }),
  plugins("queueSort", { disabled: [{ name: "*" }] }, enabled("PrioritySort", "NodeName"), enabled("NodeName")),
  plugins("bind", { disabled: [{ name: "*" }] }, enabled("Nobody")),
  plugins("permit", enabled("NodeName")),
  plugins(
    "score",
    { enabled: [{ name: "NodeAffinity", weight: -1 }] },
    { enabled: [{ name: "NodeAffinity", weight: "x" }] },
  ),
  plugins("score", { enabled: [{ name: "NodeAffinity", weight: 2_147_483_647 }] }, enabled("AzureDiskLimits")),
  args("AzureDiskLimits", {}),
  args("EBSLimits", { x: 1 }),
  args("Nobody", { a: 1 }),
  args("NodeName", { a: 1 }),
  args(
    "DefaultPreemption",
    { minCandidateNodesPercentage: -1 },
    { minCandidateNodesPercentage: 101, minCandidateNodesAbsolute: -1 },
    { minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 0 },
    { minCandidateNodesAbsolute: "few" },
    { unknown: 1 },
    7,
    [],
  ),
  args("InterPodAffinity", { hardPodAffinityWeight: -1 }, { hardPodAffinityWeight: 101 }, { hardPodAffinity: 1 }),
  args(
    "NodeAffinity",
    must({ key: "a b", operator: "In", values: ["x"] }),
    must({ key: "a", operator: "Near", values: ["x"] }),
    must({ key: "a", operator: "In" }),
    must({ key: "a", operator: "Exists", values: ["x"] }),
    must({ key: "a", operator: "Gt", values: ["x"] }),
    must({ key: "a", operator: "Lt", values: ["1", "2"] }),
    must({ key: "a", operator: "In", values: ["x y"] }),
    { addedAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } },
    {
      addedAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 0, preference: { matchExpressions: [{ key: "a", operator: "Exists" }] } },
        ],
      },
    },
    {
      addedAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchFields: [{ key: "x", operator: "In", values: ["a", "b"] }] }],
        },
      },
    },
  ),
  args(
    "NodeResourcesBalancedAllocation",
    { resources: [{ name: "cpu", weight: 2 }] },
    {
      resources: [
        { name: "cpu", weight: 1 },
        { name: "cpu", weight: 1 },
      ],
    },
    { resources: [{ name: "cpu", weight: 0 }] },
    { resources: [{ name: "", weight: -1 }] },
  ),
  args(
    "NodeResourcesFit",
    { scoringStrategy: { type: "Nobody", resources: [{ name: "cpu", weight: 1 }] } },
    { scoringStrategy: { type: "LeastAllocated", resources: [{ name: "cpu", weight: 101 }] } },
    { scoringStrategy: { type: "MostAllocated", resources: [{ name: "cpu", weight: -1 }] } },
    { scoringStrategy: { type: "RequestedToCapacityRatio" } },
    { scoringStrategy: {} },
    { ignoredResources: ["a b"], ignoredResourceGroups: ["x.io/y"] },
    { ignoredResourceGroups: ["x y"] },
    points(),
    points([0, 0], [0, 5]),
    points([50, 3], [20, 4]),
    points([0, 11], [101, 4]),
    points([-1, -1], [100, 4]),
  ),
  args(
    "PodTopologySpread",
    constraint({ maxSkew: 0 }),
    constraint({ topologyKey: "" }),
    constraint({ topologyKey: "a b" }),
    constraint({ whenUnsatisfiable: "" }),
    constraint({ whenUnsatisfiable: "Never" }),
    constraint({ labelSelector: { matchLabels: { a: "b" } } }),
    constraint({ minDomains: 0, nodeTaintsPolicy: "x" }),
    { ...constraint({}), defaultingType: "System" },
    { defaultingType: "Some" },
    { defaultingType: "" },
  ),
  args(
    "VolumeBinding",
    { bindTimeoutSeconds: -1 },
    { shape: [{ utilization: 0, score: 0 }] },
    { bindTimeoutSeconds: "1" },
  ),
  args(
    "DynamicResources",
    { filterTimeout: "-1s" },
    { filterTimeout: "x" },
    { bindingTimeout: "1s" },
    { bindingTimeout: "10ms", filterTimeout: "0s" },
  ),
  args(
    "InterPodAffinity",
    { kind: "NodeAffinityArgs", apiVersion: "kubescheduler.config.k8s.io/v1" },
    { apiVersion: "v9" },
  ),
];

/** A sound configuration with one to three faults, which may be none after all. */
export function randomFaults(draw: Draw): object {
  const config = structuredClone(randomConfiguration(draw, draw.chance(60))) as unknown as Configuration;
  for (const fault of draw.times(1, 3, () => draw.pick(FAULTS)))
    if (Array.isArray(config.profiles)) fault(draw, config);
  return config;
}
