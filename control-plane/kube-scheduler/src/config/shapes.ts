import { EXTENSION_POINTS } from "./configuration.ts";
import type { Shape } from "./strict-decoding.ts";

const TYPE_META = { apiVersion: "string", kind: "string" } as const;
const choices: Shape = { list: { type: "v1.Plugin", fields: { name: "string", weight: "int32" } } };
const pluginSet: Shape = { type: "v1.PluginSet", fields: { enabled: choices, disabled: choices } };
const nodeRequirement: Shape = {
  type: "v1.NodeSelectorRequirement",
  fields: { key: "string", operator: { word: "v1.NodeSelectorOperator" }, values: { list: "string" } },
};
const labelRequirement: Shape = {
  type: "v1.LabelSelectorRequirement",
  fields: { key: "string", operator: { word: "v1.LabelSelectorOperator" }, values: { list: "string" } },
};
const nodeTerm: Shape = {
  type: "v1.NodeSelectorTerm",
  fields: { matchExpressions: { list: nodeRequirement }, matchFields: { list: nodeRequirement } },
};
const resources: Shape = { list: { type: "v1.ResourceSpec", fields: { name: "string", weight: "int64" } } };
const shapePoints: Shape = {
  list: { type: "v1.UtilizationShapePoint", fields: { utilization: "int32", score: "int32" } },
};

/** The fields of KubeSchedulerConfiguration v1. */
export const CONFIGURATION_SHAPE: Shape = {
  embedded: { enableProfiling: "DebuggingConfiguration", enableContentionProfiling: "DebuggingConfiguration" },
  type: "v1.KubeSchedulerConfiguration",
  fields: {
    ...TYPE_META,
    parallelism: "int32",
    leaderElection: {
      type: "v1alpha1.LeaderElectionConfiguration",
      fields: {
        leaderElect: "boolean",
        leaseDuration: "duration",
        renewDeadline: "duration",
        retryPeriod: "duration",
        resourceLock: "string",
        resourceName: "string",
        resourceNamespace: "string",
      },
    },
    clientConnection: {
      type: "v1alpha1.ClientConnectionConfiguration",
      fields: {
        kubeconfig: "string",
        acceptContentTypes: "string",
        contentType: "string",
        qps: "float32",
        burst: "int32",
      },
    },
    enableProfiling: "boolean",
    enableContentionProfiling: "boolean",
    percentageOfNodesToScore: "int32",
    podInitialBackoffSeconds: "int64",
    podMaxBackoffSeconds: "int64",
    delayCacheUntilActive: "boolean",
    profiles: {
      list: {
        type: "v1.KubeSchedulerProfile",
        fields: {
          schedulerName: "string",
          percentageOfNodesToScore: "int32",
          plugins: {
            type: "v1.Plugins",
            fields: Object.fromEntries([...EXTENSION_POINTS, "multiPoint"].map((point) => [point, pluginSet])),
          },
          pluginConfig: { list: { type: "v1.PluginConfig", fields: { name: "string", args: "any" } } },
        },
      },
    },
    extenders: {
      list: {
        type: "v1.Extender",
        fields: {
          urlPrefix: "string",
          filterVerb: "string",
          preemptVerb: "string",
          prioritizeVerb: "string",
          weight: "int64",
          bindVerb: "string",
          enableHTTPS: "boolean",
          tlsConfig: {
            type: "v1.ExtenderTLSConfig",
            fields: {
              insecure: "boolean",
              serverName: "string",
              certFile: "string",
              keyFile: "string",
              caFile: "string",
              certData: "string",
              keyData: "string",
              caData: "string",
            },
          },
          httpTimeout: "duration",
          nodeCacheCapable: "boolean",
          managedResources: {
            list: { type: "v1.ExtenderManagedResource", fields: { name: "string", ignoredByScheduler: "boolean" } },
          },
          ignorable: "boolean",
        },
      },
    },
  },
};

const constraint: Shape = {
  type: "v1.TopologySpreadConstraint",
  fields: {
    maxSkew: "int32",
    topologyKey: "string",
    whenUnsatisfiable: { word: "v1.UnsatisfiableConstraintAction" },
    minDomains: "int32",
    nodeAffinityPolicy: { word: "v1.NodeInclusionPolicy" },
    nodeTaintsPolicy: { word: "v1.NodeInclusionPolicy" },
    matchLabelKeys: { list: "string" },
    labelSelector: {
      type: "v1.LabelSelector",
      fields: { matchLabels: { map: "string" }, matchExpressions: { list: labelRequirement } },
    },
  },
};
const addedAffinity: Shape = {
  type: "v1.NodeAffinity",
  fields: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      type: "v1.NodeSelector",
      fields: { nodeSelectorTerms: { list: nodeTerm } },
    },
    preferredDuringSchedulingIgnoredDuringExecution: {
      list: { type: "v1.PreferredSchedulingTerm", fields: { weight: "int32", preference: nodeTerm } },
    },
  },
};
const scoringStrategy: Shape = {
  type: "v1.ScoringStrategy",
  fields: {
    type: { word: "v1.ScoringStrategyType" },
    resources,
    requestedToCapacityRatio: { type: "v1.RequestedToCapacityRatioParam", fields: { shape: shapePoints } },
  },
};

/** The fields of each plugin's arguments, by the plugin's name. */
const ARGS_FIELDS: Readonly<Record<string, Readonly<Record<string, Shape>>>> = {
  DefaultPreemption: { minCandidateNodesPercentage: "int32", minCandidateNodesAbsolute: "int32" },
  DynamicResources: { filterTimeout: "duration", bindingTimeout: "duration" },
  InterPodAffinity: { hardPodAffinityWeight: "int32", ignorePreferredTermsOfExistingPods: "boolean" },
  NodeAffinity: { addedAffinity },
  NodeResourcesBalancedAllocation: { resources },
  NodeResourcesFit: {
    ignoredResources: { list: "string" },
    ignoredResourceGroups: { list: "string" },
    scoringStrategy,
  },
  PodTopologySpread: {
    defaultingType: { word: "v1.PodTopologySpreadConstraintsDefaulting" },
    defaultConstraints: { list: constraint },
  },
  VolumeBinding: { bindTimeoutSeconds: "int64", shape: shapePoints },
};

/** Kind of arguments → what they may hold. */
export const ARGS_SHAPES: Readonly<Record<string, Shape>> = Object.fromEntries(
  Object.entries(ARGS_FIELDS).map(([name, fields]) => [
    `${name}Args`,
    { type: `v1.${name}Args`, fields: { ...TYPE_META, ...fields } },
  ]),
);
