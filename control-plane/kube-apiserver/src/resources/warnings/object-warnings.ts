import type { DaemonSet, StatefulSet } from "@coracle/api/apps/v1";
import type { CronJob, Job, JobSpec } from "@coracle/api/batch/v1";
import type {
  Endpoints,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodTemplate,
  PodTemplateSpec,
  ReplicationController,
  ResourceQuota,
  Secret,
} from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import type { Ingress, NetworkPolicy } from "@coracle/api/networking/v1";
import type { RuntimeClass } from "@coracle/api/node/v1";
import type { CSIStorageCapacity, StorageClass } from "@coracle/api/storage/v1";
import { equalJson, isDns1123Label, formatQuantity, parseQuantity } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition, UpdateStrategy } from "../../registry/resource-definition.ts";
import { as, text, type Decoded } from "../validation/decoded.ts";
import { warningsForCidr, warningsForIp } from "./address-warnings.ts";
import { warningsForClaimSpec } from "./amount-warnings.ts";
import { warningsForKeyPair } from "./key-pair-warnings.ts";
import { oldLabelMessage, warningsForNodeSelector, warningsForTerm } from "./node-label-warnings.ts";
import { warningsForPod, warningsForTemplate } from "./pod-warnings.ts";
import { ingressAddressWarnings, warningsForService } from "./service-warnings.ts";

/** What a kind's objects may be warned of: what is sound, but old, or surely not meant. */
interface KindWarnings {
  readonly create?: (object: ApiObject) => string[];
  readonly update?: (object: ApiObject, old: ApiObject) => string[];
  /** Of the subresource `status`. */
  readonly status?: (object: ApiObject) => string[];
}

const always = (rule: (object: ApiObject) => string[]): KindWarnings => ({ create: rule, update: rule });

const isNewGeneration = (object: ApiObject, old: ApiObject): boolean =>
  object.metadata["generation"] !== old.metadata["generation"];

function nameWarnings({ metadata }: ApiObject, use = "Pod names and hostnames"): string[] {
  const messages = isDns1123Label((metadata["name"] as string | undefined) ?? "");
  return messages.length === 0
    ? []
    : [
        `metadata.name: this is used in ${use}, which can result in surprising behavior; a DNS label is recommended: [${messages.join(" ")}]`,
      ];
}

const SPEC_TEMPLATE = "spec.template";

interface WithTemplate {
  readonly spec?: { readonly template?: Decoded<PodTemplateSpec> | undefined } | undefined;
}

const templateWarnings = (object: ApiObject): string[] =>
  warningsForTemplate(SPEC_TEMPLATE, as<WithTemplate>(object).spec?.template);

/** Kinds that make pods of a template. */
const workload: KindWarnings = {
  create: (object) => [...nameWarnings(object), ...templateWarnings(object)],
  update: (object, old) => (isNewGeneration(object, old) ? templateWarnings(object) : []),
};

const MANY_COMPLETIONS = 100_000;
const MUCH_PARALLELISM = 10_000;

function jobWarnings(path: string, spec: Decoded<JobSpec> | undefined): string[] {
  const isTooMuch =
    spec?.completionMode === "Indexed" &&
    (spec.completions ?? 0) > MANY_COMPLETIONS &&
    (spec.parallelism ?? 0) > MUCH_PARALLELISM;
  return [
    ...(isTooMuch
      ? [
          `${path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail`,
        ]
      : []),
    ...warningsForTemplate(`${path}.template`, spec?.template),
  ];
}

const jobSpecWarnings = (object: ApiObject): string[] => jobWarnings("spec", as<Job>(object).spec);
const cronJobSpecWarnings = (object: ApiObject): string[] =>
  jobWarnings("spec.jobTemplate.spec", as<CronJob>(object).spec?.jobTemplate?.spec);

/** `below`: what upstream puts between a template and its members at updates. */
function claimTemplateWarnings(object: ApiObject, below: string): string[] {
  const { volumeClaimTemplates, revisionHistoryLimit } = as<StatefulSet>(object).spec ?? {};
  return [
    ...(volumeClaimTemplates ?? []).flatMap(({ spec }, i) =>
      warningsForClaimSpec(`spec.volumeClaimTemplates[${i}]${below}`, spec),
    ),
    ...((revisionHistoryLimit ?? 0) < 0
      ? ["spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"]
      : []),
  ];
}

const STORAGE_CLASS = "volume.beta.kubernetes.io/storage-class";
const MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options";
const INGRESS_CLASS = "kubernetes.io/ingress.class";
const MOUNTABLE_SECRETS = "kubernetes.io/enforce-mountable-secrets";

const annotation = (object: ApiObject, key: string): string | undefined =>
  (object.metadata["annotations"] as Readonly<Record<string, string>> | undefined)?.[key];

const OLD_VOLUMES = [
  ["cephfs", "deprecated in v1.28, non-functional in v1.31+"],
  ["photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"],
  ["scaleIO", "deprecated in v1.16, non-functional in v1.22+"],
  ["storageos", "deprecated in v1.22, non-functional in v1.25+"],
  ["glusterfs", "deprecated in v1.25, non-functional in v1.26+"],
  ["rbd", "deprecated in v1.28, non-functional in v1.31+"],
] as const;

function volumeWarnings(object: ApiObject): string[] {
  const spec = as<PersistentVolume>(object).spec ?? {};
  const out: string[] = [];
  const old = (key: string, message: string): void => {
    if (annotation(object, key) !== undefined) out.push(`metadata.annotations[${key}]: ${message}`);
  };
  old(STORAGE_CLASS, 'deprecated since v1.8; use "storageClassName" attribute instead');
  old(MOUNT_OPTIONS, 'deprecated since v1.31; use "mountOptions" attribute instead');
  if (spec.persistentVolumeReclaimPolicy === "Recycle")
    out.push(
      "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
    );
  spec.nodeAffinity?.required?.nodeSelectorTerms?.forEach((term, i) =>
    out.push(...warningsForTerm(`spec.nodeAffinity.required.nodeSelectorTerms[${i}]`, term)),
  );
  for (const [source, message] of OLD_VOLUMES)
    if (spec[source] !== undefined) out.push(`spec.${source === "storageos" ? "storageOS" : source}: ${message}`);
  return out;
}

function claimWarnings(object: ApiObject): string[] {
  return [
    ...(annotation(object, STORAGE_CLASS) === undefined
      ? []
      : [`metadata.annotations[${STORAGE_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead`]),
    ...warningsForClaimSpec("spec", as<PersistentVolumeClaim>(object).spec),
  ];
}

function nodeWarnings(object: ApiObject): string[] {
  const { configSource, externalID, podCIDRs } = as<Node>(object).spec ?? {};
  return [
    ...(configSource === undefined ? [] : ["spec.configSource: the feature is removed"]),
    ...(text(externalID) === "" ? [] : ["spec.externalID: this field is deprecated, and is unused by Kubernetes"]),
    ...(podCIDRs ?? []).flatMap((cidr, i) => warningsForCidr(`spec.podCIDRs[${i}]`, cidr)),
  ];
}

function policyWarnings(object: ApiObject): string[] {
  const { ingress, egress } = as<NetworkPolicy>(object).spec ?? {};
  const sides = [
    ...(ingress ?? []).map(({ from }, i) => ({ path: `spec.ingress[${i}].from`, peers: from ?? [] })),
    ...(egress ?? []).map(({ to }, i) => ({ path: `spec.egress[${i}].to`, peers: to ?? [] })),
  ];
  return sides.flatMap(({ path, peers }) =>
    peers.flatMap(({ ipBlock }, i) =>
      ipBlock === undefined
        ? []
        : [
            ...warningsForCidr(`${path}[${i}].ipBlock.cidr`, text(ipBlock.cidr)),
            ...(ipBlock.except ?? []).flatMap((cidr, k) => warningsForCidr(`${path}[${i}].ipBlock.except[${k}]`, cidr)),
          ],
    ),
  );
}

/** Addresses that controllers of Kubernetes wrote are as they should be. */
const WRITERS: ReadonlySet<string | undefined> = new Set([
  "endpointslice-controller.k8s.io",
  "endpointslicemirroring-controller.k8s.io",
]);

function sliceWarnings(object: ApiObject): string[] {
  const { metadata, endpoints } = as<EndpointSlice>(object);
  if (WRITERS.has(metadata?.labels?.["endpointslice.kubernetes.io/managed-by"])) return [];
  return (endpoints ?? []).flatMap(({ addresses }, i) =>
    (addresses ?? []).flatMap((ip, k) => warningsForIp(`endpoints[${i}].addresses[${k}]`, ip)),
  );
}

function endpointsWarnings(object: ApiObject): string[] {
  const { metadata, subsets } = as<Endpoints>(object);
  if (metadata?.labels?.["endpoints.kubernetes.io/managed-by"] === "endpoint-controller") return [];
  return (subsets ?? []).flatMap((subset, i) =>
    (["addresses", "notReadyAddresses"] as const).flatMap((list) =>
      (subset[list] ?? []).flatMap(({ ip }, k) => warningsForIp(`subsets[${i}].${list}[${k}].ip`, text(ip))),
    ),
  );
}

/** Requests that may be more than the limits. */
function quotaWarnings(object: ApiObject): string[] {
  const { hard = {} } = as<ResourceQuota>(object).spec ?? {};
  return ["cpu", "memory", "storage", "ephemeral-storage"].flatMap((name) => {
    const hasShortForm = name === "cpu" || name === "memory";
    const requests = hard[`requests.${name}`] === undefined && hasShortForm ? name : `requests.${name}`;
    const [request, limit] = [hard[requests], hard[`limits.${name}`]];
    if (request === undefined || limit === undefined) return [];
    const [asked, most] = [parseQuantity(request), parseQuantity(limit)];
    return asked.nano > most.nano
      ? [
          `ResourceQuota ${requests} (${formatQuantity(asked)}) should be less than limits.${name} (${formatQuantity(most)})`,
        ]
      : [];
  });
}

function secretWarnings(object: ApiObject): string[] {
  const { type, data = {} } = as<Secret>(object);
  if (type !== "kubernetes.io/tls") return [];
  const textOf = (key: string): string => Buffer.from(text(data[key]), "base64").toString("latin1");
  return warningsForKeyPair(textOf("tls.crt"), textOf("tls.key"));
}

function accountWarnings(object: ApiObject, old?: ApiObject): string[] {
  if (annotation(object, MOUNTABLE_SECRETS) === undefined) return [];
  if (old !== undefined && annotation(old, MOUNTABLE_SECRETS) !== undefined) return [];
  return [
    `metadata.annotations[${MOUNTABLE_SECRETS}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`,
  ];
}

const topologyWarnings = (object: ApiObject): string[] =>
  (as<StorageClass>(object).allowedTopologies ?? []).flatMap(({ matchLabelExpressions }, i) =>
    (matchLabelExpressions ?? []).flatMap(({ key }, k) => {
      const message = oldLabelMessage(key);
      return message === undefined ? [] : [`allowedTopologies[${i}].matchLabelExpressions[${k}].key: ${message}`];
    }),
  );

const runtimeWarnings = (object: ApiObject): string[] =>
  Object.keys(as<RuntimeClass>(object).scheduling?.nodeSelector ?? {}).flatMap((label) => {
    const message = oldLabelMessage(label);
    return message === undefined ? [] : [`scheduling.nodeSelector: ${message}`];
  });

const podStatusWarnings = (object: ApiObject): string[] => {
  const { podIPs, hostIPs } = as<Pod>(object).status ?? {};
  return [
    ...(podIPs ?? []).flatMap(({ ip }, i) => warningsForIp(`status.podIPs[${i}].ip`, text(ip))),
    ...(hostIPs ?? []).flatMap(({ ip }, i) => warningsForIp(`status.hostIPs[${i}].ip`, text(ip))),
  ];
};

const TEMPLATE_OF_POD_TEMPLATE = "template";

/** Kinds by `GROUP/PLURAL`. */
const RULES: Readonly<Record<string, KindWarnings>> = {
  "/pods": {
    // Pods are changed by programs, and often: nobody would hear the warnings.
    create: (object) => [...nameWarnings(object, "the Pod's hostname"), ...warningsForPod(as<Pod>(object))],
    status: podStatusWarnings,
  },
  "/podtemplates": {
    create: (object) => warningsForTemplate(TEMPLATE_OF_POD_TEMPLATE, as<PodTemplate>(object).template),
    update: (object, old) =>
      isNewGeneration(object, old)
        ? warningsForTemplate(TEMPLATE_OF_POD_TEMPLATE, as<PodTemplate>(object).template)
        : [],
  },
  "/replicationcontrollers": {
    create: workload.create as (object: ApiObject) => string[],
    // Upstream looks at the old template here.
    update: (object, old) =>
      isNewGeneration(object, old)
        ? warningsForTemplate(SPEC_TEMPLATE, as<ReplicationController>(old).spec?.template)
        : [],
  },
  "apps/deployments": workload,
  "apps/replicasets": workload,
  "apps/daemonsets": {
    create: templateWarnings,
    update: (object, old) =>
      equalJson(as<DaemonSet>(object).spec?.template ?? {}, as<DaemonSet>(old).spec?.template ?? {})
        ? []
        : templateWarnings(object),
  },
  "apps/statefulsets": {
    create: (object) => [...templateWarnings(object), ...claimTemplateWarnings(object, "")],
    update: (object, old) => [
      ...(isNewGeneration(object, old) ? templateWarnings(object) : []),
      ...claimTemplateWarnings(object, ".Spec"),
    ],
  },
  "batch/jobs": {
    create: (object) => [...nameWarnings(object), ...jobSpecWarnings(object)],
    update: (object, old) => (isNewGeneration(object, old) ? jobSpecWarnings(object) : []),
  },
  "batch/cronjobs": {
    create: (object) => [...nameWarnings(object), ...cronJobSpecWarnings(object)],
    update: (object, old) => [
      ...(isNewGeneration(object, old) ? cronJobSpecWarnings(object) : []),
      ...(text(as<CronJob>(object).spec?.schedule).includes("TZ")
        ? [
            "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details",
          ]
        : []),
    ],
  },
  "/services": { ...always(warningsForService), status: ingressAddressWarnings },
  "/persistentvolumes": always(volumeWarnings),
  "/persistentvolumeclaims": always(claimWarnings),
  "/nodes": always(nodeWarnings),
  "/endpoints": always(endpointsWarnings),
  "/resourcequotas": { create: quotaWarnings },
  "/secrets": always(secretWarnings),
  "/serviceaccounts": { create: (object) => accountWarnings(object), update: accountWarnings },
  "discovery.k8s.io/endpointslices": {
    create: (object) => [
      ...(as<EndpointSlice>(object).addressType === "FQDN" ? ["spec.addressType: FQDN endpoints are deprecated"] : []),
      ...sliceWarnings(object),
    ],
    update: sliceWarnings,
  },
  "networking.k8s.io/ingresses": {
    create: (object) =>
      annotation(object, INGRESS_CLASS) !== undefined && as<Ingress>(object).spec?.ingressClassName === undefined
        ? [`annotation "${INGRESS_CLASS}" is deprecated, please use 'spec.ingressClassName' instead`]
        : [],
    status: ingressAddressWarnings,
  },
  "networking.k8s.io/networkpolicies": always(policyWarnings),
  "node.k8s.io/runtimeclasses": always(runtimeWarnings),
  "storage.k8s.io/storageclasses": always(topologyWarnings),
  "storage.k8s.io/csistoragecapacities": always((object) =>
    warningsForNodeSelector("nodeTopology", as<CSIStorageCapacity>(object).nodeTopology),
  ),
};

/** The kind with what its objects may be warned of. */
export function withWarnings(definition: ResourceDefinition): ResourceDefinition {
  const rules = RULES[`${definition.group}/${definition.plural}`];
  if (rules === undefined) return definition;
  const { create, update, status } = rules;
  const warned = (strategy: UpdateStrategy | undefined, warnings: UpdateStrategy["warnings"]): UpdateStrategy => ({
    ...strategy,
    ...(warnings === undefined ? {} : { warnings }),
  });
  return {
    ...definition,
    ...(create === undefined ? {} : { createWarnings: create }),
    ...(update === undefined ? {} : { update: warned(definition.update, update) }),
    ...(status === undefined
      ? {}
      : { subresources: { ...definition.subresources, status: warned(definition.subresources?.["status"], status) } }),
  };
}
