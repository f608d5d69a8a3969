import { EXTENSION_POINTS } from "./configuration.ts";
import type { Shape } from "./strict-decoding.ts";

const TYPE_META = { apiVersion: "string", kind: "string" } as const;
const choices: Shape = { list: { fields: { name: "string", weight: "int32" } } };
const pluginSet: Shape = { fields: { enabled: choices, disabled: choices } };
const labelRequirement: Shape = { fields: { key: "string", operator: "string", values: { list: "string" } } };
const nodeTerm: Shape = {
  fields: { matchExpressions: { list: labelRequirement }, matchFields: { list: labelRequirement } },
};
const resources: Shape = { list: { fields: { name: "string", weight: "int64" } } };
const shapePoints: Shape = { list: { fields: { utilization: "int32", score: "int32" } } };

/** The fields of KubeSchedulerConfiguration v1. */
export const CONFIGURATION_SHAPE: Shape = {
  fields: {
    ...TYPE_META,
    parallelism: "int32",
    leaderElection: {
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
        fields: {
          schedulerName: "string",
          percentageOfNodesToScore: "int32",
          plugins: {
            fields: Object.fromEntries([...EXTENSION_POINTS, "multiPoint"].map((point) => [point, pluginSet])),
          },
          pluginConfig: { list: { fields: { name: "string", args: "any" } } },
        },
      },
    },
    extenders: {
      list: {
        fields: {
          urlPrefix: "string",
          filterVerb: "string",
          preemptVerb: "string",
          prioritizeVerb: "string",
          weight: "int64",
          bindVerb: "string",
          enableHTTPS: "boolean",
          tlsConfig: {
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
          managedResources: { list: { fields: { name: "string", ignoredByScheduler: "boolean" } } },
          ignorable: "boolean",
        },
      },
    },
  },
};

/** The fields of each plugin's arguments, by the plugin's name. */
export const ARGS_SHAPES: Readonly<Record<string, Shape>> = {
  DefaultPreemption: {
    fields: { ...TYPE_META, minCandidateNodesPercentage: "int32", minCandidateNodesAbsolute: "int32" },
  },
  DynamicResources: { fields: { ...TYPE_META, filterTimeout: "duration", bindingTimeout: "duration" } },
  InterPodAffinity: {
    fields: { ...TYPE_META, hardPodAffinityWeight: "int32", ignorePreferredTermsOfExistingPods: "boolean" },
  },
  NodeAffinity: {
    fields: {
      ...TYPE_META,
      addedAffinity: {
        fields: {
          requiredDuringSchedulingIgnoredDuringExecution: { fields: { nodeSelectorTerms: { list: nodeTerm } } },
          preferredDuringSchedulingIgnoredDuringExecution: {
            list: { fields: { weight: "int32", preference: nodeTerm } },
          },
        },
      },
    },
  },
  NodeResourcesBalancedAllocation: { fields: { ...TYPE_META, resources } },
  NodeResourcesFit: {
    fields: {
      ...TYPE_META,
      ignoredResources: { list: "string" },
      ignoredResourceGroups: { list: "string" },
      scoringStrategy: {
        fields: { type: "string", resources, requestedToCapacityRatio: { fields: { shape: shapePoints } } },
      },
    },
  },
  PodTopologySpread: {
    fields: {
      ...TYPE_META,
      defaultingType: "string",
      defaultConstraints: {
        list: {
          fields: {
            maxSkew: "int32",
            topologyKey: "string",
            whenUnsatisfiable: "string",
            minDomains: "int32",
            nodeAffinityPolicy: "string",
            nodeTaintsPolicy: "string",
            matchLabelKeys: { list: "string" },
            labelSelector: { fields: { matchLabels: { map: "string" }, matchExpressions: { list: labelRequirement } } },
          },
        },
      },
    },
  },
  VolumeBinding: { fields: { ...TYPE_META, bindTimeoutSeconds: "int64", shape: shapePoints } },
};
