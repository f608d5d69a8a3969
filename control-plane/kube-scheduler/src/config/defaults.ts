import { DEFAULT_DEVICE_FEATURES, type DeviceFeatures } from "../devices/device-features.ts";
import type {
  PluginArgs,
  PluginChoice,
  PluginConfig,
  PluginSet,
  PluginSets,
  ProfileConfiguration,
  ResourceWeight,
  SchedulerConfiguration,
} from "./configuration.ts";
import { CONFIG_VERSION, EXTENSION_POINTS } from "./configuration.ts";

/** The file as it was written: checked for its shape, nothing filled in. */
export interface WrittenConfiguration extends Omit<
  Partial<SchedulerConfiguration>,
  "leaderElection" | "clientConnection" | "profiles"
> {
  readonly leaderElection?: Partial<SchedulerConfiguration["leaderElection"]>;
  readonly clientConnection?: Partial<SchedulerConfiguration["clientConnection"]>;
  readonly profiles?: readonly Partial<ProfileConfiguration>[];
}

/** The plugins that are on when nothing is said, in calling order. */
export const DEFAULT_PLUGINS: readonly PluginChoice[] = [
  { name: "SchedulingGates" },
  { name: "PrioritySort" },
  { name: "NodeUnschedulable" },
  { name: "NodeName" },
  { name: "TaintToleration", weight: 3 },
  { name: "NodeAffinity", weight: 2 },
  { name: "NodePorts" },
  { name: "NodeResourcesFit", weight: 1 },
  { name: "VolumeRestrictions" },
  { name: "NodeVolumeLimits" },
  { name: "VolumeBinding" },
  { name: "VolumeZone" },
  { name: "PodTopologySpread", weight: 2 },
  { name: "InterPodAffinity", weight: 2 },
  { name: "DynamicResources", weight: 2 },
  { name: "DefaultPreemption" },
  { name: "NodeResourcesBalancedAllocation", weight: 1 },
  { name: "ImageLocality", weight: 1 },
  { name: "DefaultBinder" },
];

const SCORED: readonly ResourceWeight[] = [
  { name: "cpu", weight: 1 },
  { name: "memory", weight: 1 },
];

const weighed = (resources: readonly ResourceWeight[] | undefined): readonly ResourceWeight[] =>
  resources === undefined || resources.length === 0
    ? SCORED
    : resources.map(({ name, weight }) => ({ name, weight: weight === undefined || weight === 0 ? 1 : weight }));

const isWritten = <T extends string>(text: T | undefined): text is T => (text ?? "") !== "";

/** Each plugin's arguments with what was left out. */
const ARGS_DEFAULTS: {
  readonly [K in keyof PluginArgs]-?: (args: NonNullable<PluginArgs[K]>, features: DeviceFeatures) => PluginArgs[K];
} = {
  DefaultPreemption: (args) => ({ minCandidateNodesPercentage: 10, minCandidateNodesAbsolute: 100, ...args }),
  DynamicResources: (args, { filterTimeout, bindingConditions }) => ({
    ...(filterTimeout ? { filterTimeout: "10s" } : {}),
    ...(bindingConditions ? { bindingTimeout: "10m0s" } : {}),
    ...args,
  }),
  InterPodAffinity: (args) => ({ hardPodAffinityWeight: 1, ignorePreferredTermsOfExistingPods: false, ...args }),
  NodeAffinity: (args) => args,
  NodeResourcesBalancedAllocation: (args) => ({ ...args, resources: weighed(args.resources) }),
  NodeResourcesFit: ({ scoringStrategy, ...args }) => ({
    ...args,
    scoringStrategy:
      scoringStrategy === undefined
        ? { type: "LeastAllocated", resources: SCORED }
        : { ...scoringStrategy, resources: weighed(scoringStrategy.resources) },
  }),
  // Written as nothing it is as good as not written.
  PodTopologySpread: (args) => ({
    ...args,
    defaultingType: isWritten(args.defaultingType) ? args.defaultingType : "System",
  }),
  VolumeBinding: (args) => ({ bindTimeoutSeconds: 600, ...args }),
};

/** Names of the plugins whose arguments are known. */
export const isKnownArgs = (name: string): name is keyof PluginArgs => Object.hasOwn(ARGS_DEFAULTS, name);

type Args = Readonly<Record<string, unknown>>;

function argsWithDefaults(name: keyof PluginArgs, features: DeviceFeatures, args: Args = {}): PluginConfig {
  const fill = ARGS_DEFAULTS[name] as (args: Args, features: DeviceFeatures) => Args;
  return { name, args: { apiVersion: CONFIG_VERSION, kind: `${name}Args`, ...fill(args, features) } };
}

/** Fills in what was not written, as upstream does. */
export function withDefaults(
  written: WrittenConfiguration,
  features: DeviceFeatures = DEFAULT_DEVICE_FEATURES,
): SchedulerConfiguration {
  const { leaderElection = {}, clientConnection = {}, profiles = [] } = written;
  const all = profiles.length === 0 ? [{}] : profiles;
  const enableProfiling = written.enableProfiling ?? true;
  const { delayCacheUntilActive, extenders } = written;
  return {
    parallelism: written.parallelism ?? 16,
    leaderElection: {
      leaderElect: leaderElection.leaderElect ?? true,
      leaseDuration: duration(leaderElection.leaseDuration, "15s"),
      renewDeadline: duration(leaderElection.renewDeadline, "10s"),
      retryPeriod: duration(leaderElection.retryPeriod, "2s"),
      resourceLock: filled(leaderElection.resourceLock, "leases"),
      resourceName: filled(leaderElection.resourceName, "kube-scheduler"),
      resourceNamespace: filled(leaderElection.resourceNamespace, "kube-system"),
    },
    clientConnection: {
      kubeconfig: clientConnection.kubeconfig ?? "",
      acceptContentTypes: clientConnection.acceptContentTypes ?? "",
      contentType: filled(clientConnection.contentType, "application/vnd.kubernetes.protobuf"),
      qps: (clientConnection.qps ?? 0) === 0 ? 50 : (clientConnection.qps ?? 0),
      burst: (clientConnection.burst ?? 0) === 0 ? 100 : (clientConnection.burst ?? 0),
    },
    enableProfiling,
    enableContentionProfiling: written.enableContentionProfiling ?? enableProfiling,
    percentageOfNodesToScore: written.percentageOfNodesToScore ?? 0,
    podInitialBackoffSeconds: written.podInitialBackoffSeconds ?? 1,
    podMaxBackoffSeconds: written.podMaxBackoffSeconds ?? 10,
    profiles: all.map((profile) => profileWithDefaults(profile, all.length === 1, features)),
    ...(extenders === undefined
      ? {}
      : { extenders: extenders.map((each) => ({ ...each, httpTimeout: duration(each.httpTimeout, "5s") })) }),
    ...(delayCacheUntilActive === undefined ? {} : { delayCacheUntilActive }),
  };
}

const filled = (text: string | undefined, fallback: string): string =>
  text === undefined || text === "" ? fallback : text;
const duration = (text: string | undefined, fallback: string): string =>
  text === undefined || /^0+[a-zµ]*$/.test(text) ? fallback : text;

function profileWithDefaults(
  profile: Partial<ProfileConfiguration>,
  isOnly: boolean,
  features: DeviceFeatures,
): ProfileConfiguration {
  const { schedulerName = isOnly ? "default-scheduler" : undefined, percentageOfNodesToScore } = profile;
  const plugins = mergePlugins(profile.plugins);
  const pluginConfig = (profile.pluginConfig ?? []).map(({ name, args }): PluginConfig =>
    isKnownArgs(name) ? argsWithDefaults(name, features, args) : { name, ...(args === undefined ? {} : { args }) },
  );
  const written = new Set(pluginConfig.map(({ name }) => name));
  const used = new Set(Object.values(plugins).flatMap((set) => (set.enabled ?? []).map(({ name }) => name)));
  for (const name of [...used].sort())
    if (isKnownArgs(name) && !written.has(name)) pluginConfig.push(argsWithDefaults(name, features));
  return {
    plugins,
    pluginConfig,
    ...(schedulerName === undefined ? {} : { schedulerName }),
    ...(percentageOfNodesToScore === undefined ? {} : { percentageOfNodesToScore }),
  };
}

/** The default plugins with what the file turns on and off. */
function mergePlugins(custom: PluginSets = {}): PluginSets {
  const merged: Partial<Record<keyof PluginSets, PluginSet>> = {
    multiPoint: mergePluginSet({ enabled: DEFAULT_PLUGINS }, custom.multiPoint),
  };
  for (const point of EXTENSION_POINTS) merged[point] = mergePluginSet({}, custom[point]);
  return merged;
}

function mergePluginSet(defaults: PluginSet, custom: PluginSet = {}): PluginSet {
  const { disabled = [], enabled: chosen = [] } = custom;
  const off = new Set(disabled.map(({ name }) => name));
  const byName = new Map(chosen.map((choice) => [choice.name, choice]));
  const replaced = new Set<PluginChoice>();
  const enabled: PluginChoice[] = [];
  if (!off.has("*")) {
    for (const plugin of defaults.enabled ?? []) {
      if (off.has(plugin.name)) continue;
      const instead = byName.get(plugin.name);
      if (instead !== undefined) replaced.add(instead);
      enabled.push(instead ?? plugin);
    }
  }
  // What replaces no default comes after them.
  enabled.push(...chosen.filter((choice) => !replaced.has(choice)));
  return {
    ...(enabled.length === 0 ? {} : { enabled }),
    ...(disabled.length === 0 ? {} : { disabled: disabled.map(({ name }) => ({ name })) }),
  };
}
