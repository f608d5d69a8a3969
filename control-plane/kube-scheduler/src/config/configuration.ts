import type { NodeAffinity, TopologySpreadConstraint } from "@coracle/api/core/v1";

/** Group and version of the configuration file. */
export const CONFIG_VERSION = "kubescheduler.config.k8s.io/v1";

/** A plugin at an extension point. */
export interface PluginChoice {
  readonly name: string;
  readonly weight?: number;
}

/** What is turned on and off at one extension point. */
export interface PluginSet {
  readonly enabled?: readonly PluginChoice[];
  readonly disabled?: readonly PluginChoice[];
}

/** Upstream's extension points, as the file names them. */
export const EXTENSION_POINTS = [
  "preEnqueue",
  "queueSort",
  "preFilter",
  "filter",
  "postFilter",
  "preScore",
  "score",
  "reserve",
  "permit",
  "preBind",
  "bind",
  "postBind",
] as const;

export type ExtensionPoint = (typeof EXTENSION_POINTS)[number];

/** Plugins by extension point; `multiPoint`: at all that they have. */
export type PluginSets = Readonly<Partial<Record<ExtensionPoint | "multiPoint", PluginSet>>>;

export interface ResourceWeight {
  readonly name: string;
  /** From 1 on; written as 0 or not at all it is 1. */
  readonly weight: number;
}

export interface ShapePoint {
  readonly utilization: number;
  readonly score: number;
}

/** Arguments of the plugins that take any, by the plugin's name. */
export interface PluginArgs {
  readonly DefaultPreemption?: {
    readonly minCandidateNodesPercentage?: number;
    readonly minCandidateNodesAbsolute?: number;
  };
  /** Durations in the file's words: `10s`. */
  readonly DynamicResources?: { readonly filterTimeout?: string; readonly bindingTimeout?: string };
  readonly InterPodAffinity?: {
    readonly hardPodAffinityWeight?: number;
    readonly ignorePreferredTermsOfExistingPods?: boolean;
  };
  readonly NodeAffinity?: { readonly addedAffinity?: NodeAffinity };
  readonly NodeResourcesBalancedAllocation?: { readonly resources?: readonly ResourceWeight[] };
  readonly NodeResourcesFit?: {
    readonly ignoredResources?: readonly string[];
    readonly ignoredResourceGroups?: readonly string[];
    readonly scoringStrategy?: {
      readonly type: "LeastAllocated" | "MostAllocated" | "RequestedToCapacityRatio";
      readonly resources?: readonly ResourceWeight[];
      readonly requestedToCapacityRatio?: { readonly shape?: readonly ShapePoint[] };
    };
  };
  readonly PodTopologySpread?: {
    readonly defaultingType?: "System" | "List";
    readonly defaultConstraints?: readonly TopologySpreadConstraint[];
  };
  readonly VolumeBinding?: { readonly bindTimeoutSeconds?: number; readonly shape?: readonly ShapePoint[] };
}

/** Arguments of one plugin; those of a user's plugin are whatever it takes. */
export interface PluginConfig {
  readonly name: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface ProfileConfiguration {
  readonly schedulerName?: string;
  readonly percentageOfNodesToScore?: number;
  readonly plugins: PluginSets;
  readonly pluginConfig: readonly PluginConfig[];
}

/** A service that is asked about nodes over HTTP. */
export interface ExtenderConfiguration {
  readonly urlPrefix: string;
  readonly filterVerb?: string;
  readonly preemptVerb?: string;
  readonly prioritizeVerb?: string;
  readonly weight?: number;
  readonly bindVerb?: string;
  readonly enableHTTPS?: boolean;
  readonly tlsConfig?: {
    readonly insecure?: boolean;
    readonly serverName?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
    readonly caFile?: string;
    readonly certData?: string;
    readonly keyData?: string;
    readonly caData?: string;
  };
  readonly httpTimeout?: string;
  readonly nodeCacheCapable?: boolean;
  readonly managedResources?: readonly { readonly name: string; readonly ignoredByScheduler?: boolean }[];
  readonly ignorable?: boolean;
}

/** KubeSchedulerConfiguration v1 with its defaults filled in. */
export interface SchedulerConfiguration {
  readonly parallelism: number;
  readonly leaderElection: {
    readonly leaderElect: boolean;
    readonly leaseDuration: string;
    readonly renewDeadline: string;
    readonly retryPeriod: string;
    readonly resourceLock: string;
    readonly resourceName: string;
    readonly resourceNamespace: string;
  };
  readonly clientConnection: {
    readonly kubeconfig: string;
    readonly acceptContentTypes: string;
    readonly contentType: string;
    readonly qps: number;
    readonly burst: number;
  };
  readonly enableProfiling: boolean;
  readonly enableContentionProfiling: boolean;
  readonly percentageOfNodesToScore: number;
  readonly podInitialBackoffSeconds: number;
  readonly podMaxBackoffSeconds: number;
  readonly profiles: readonly ProfileConfiguration[];
  readonly extenders?: readonly ExtenderConfiguration[];
  readonly delayCacheUntilActive?: boolean;
}
