import type { Clock, Logger, Random } from "@coracle/base";
import type { Authorizer } from "../authorization/authorizer.ts";
import type { RbacAuthorizer } from "../authorization/rbac.ts";
import type { OutboundClient } from "../outbound/outbound-client.ts";
import type { TargetDeps } from "../outbound/target.ts";
import type { RegistryReader } from "../registry/registry-reader.ts";
import type { Registry } from "../registry/registry.ts";
import { alwaysAdmit, alwaysDeny } from "./always.ts";
import { alwaysPullImages } from "./always-pull-images.ts";
import { defaultIngressClass, defaultStorageClass } from "./default-class.ts";
import { defaultTolerationSeconds } from "./default-toleration-seconds.ts";
import { denyServiceExternalIps } from "./deny-service-external-ips.ts";
import { eventRateLimit } from "./event-rate-limit.ts";
import { extendedResourceToleration } from "./extended-resource-toleration.ts";
import { limitPodHardAntiAffinityTopology } from "./limit-pod-hard-anti-affinity-topology.ts";
import { imagePolicyWebhook } from "./image-policy-webhook.ts";
import { limitRanger } from "./limit-ranger.ts";
import { namespaceAutoProvision, namespaceExists } from "./namespace-existence.ts";
import { namespaceLifecycle } from "./namespace-lifecycle.ts";
import { nodeDeclaredFeatureValidator } from "./node-declared-features.ts";
import { nodeRestriction } from "./node-restriction/node-restriction.ts";
import { ownerReferencesPermissionEnforcement } from "./owner-references-permission-enforcement.ts";
import { persistentVolumeClaimResize } from "./persistent-volume-claim-resize.ts";
import type { PluginConfigurations } from "./plugin-configurations.ts";
import { podNodeSelector } from "./pod-node-selector.ts";
import { podSecurity } from "./pod-security/pod-security.ts";
import { podTolerationRestriction } from "./pod-toleration-restriction.ts";
import { podTopologyLabels } from "./pod-topology-labels.ts";
import { mutatingAdmissionPolicies } from "./policy/mutating-policies.ts";
import { validatingAdmissionPolicies } from "./policy/validating-policies.ts";
import { priority } from "./priority.ts";
import { rbacEscalation } from "./rbac-escalation.ts";
import { resourceQuota } from "./resource-quota/resource-quota.ts";
import { runtimeClass } from "./runtime-class.ts";
import { serviceAccount } from "./service-account.ts";
import {
  certificateApproval,
  certificateSigning,
  certificateSubjectRestriction,
  clusterTrustBundleAttest,
} from "./signers.ts";
import { storageObjectInUseProtection } from "./storage-object-in-use-protection.ts";
import { taintNodesByCondition } from "./taint-nodes-by-condition.ts";
import { mutatingAdmissionWebhook, validatingAdmissionWebhook } from "./webhook/webhook-plugins.ts";
import type { AdmissionPlugin } from "./plugin.ts";

/** What plugins may use. */
export interface AdmissionDeps {
  readonly objects: RegistryReader;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** How webhooks are called. */
  readonly outbound: { readonly client: OutboundClient; readonly targets: TargetDeps };
  /** Calls `action` when the registry is open: for what follows objects. What it returns ends with the server. */
  readonly whenOpen: (action: (registry: Registry) => Disposable) => void;
  /** Adds lines to what `/metrics` serves. */
  readonly addMetrics: (lines: () => string) => void;
  readonly authorizer: Authorizer;
  /** Undefined while RBAC is off. */
  readonly rbac: () => RbacAuthorizer | undefined;
}

export interface AdmissionSettings {
  readonly enable: readonly string[];
  readonly disable: readonly string[];
  /** `--admission-control-config-file`, read when the server starts. */
  readonly configurationFile?: string | undefined;
  /** What that file says to plugins, read. */
  readonly configurations?: PluginConfigurations | undefined;
}

interface Entry {
  readonly name: string;
  readonly isOnByDefault: boolean;
  readonly make: (deps: AdmissionDeps, configurations: PluginConfigurations) => AdmissionPlugin;
}

const NO_EVENT_LIMITS = { limits: [] };

/** Every plugin, in the order in which they run. */
const ORDER: readonly Entry[] = [
  { name: "AlwaysAdmit", isOnByDefault: false, make: () => alwaysAdmit },
  { name: "NamespaceAutoProvision", isOnByDefault: false, make: ({ objects }) => namespaceAutoProvision(objects) },
  { name: "NamespaceLifecycle", isOnByDefault: true, make: ({ objects }) => namespaceLifecycle(objects) },
  { name: "NamespaceExists", isOnByDefault: false, make: ({ objects }) => namespaceExists(objects) },
  { name: "LimitPodHardAntiAffinityTopology", isOnByDefault: false, make: () => limitPodHardAntiAffinityTopology },
  { name: "LimitRanger", isOnByDefault: true, make: ({ objects }) => limitRanger(objects) },
  { name: "ServiceAccount", isOnByDefault: true, make: ({ objects, random }) => serviceAccount(objects, random) },
  {
    name: "NodeRestriction",
    isOnByDefault: false,
    make: ({ objects, authorizer }) => nodeRestriction(objects, authorizer),
  },
  { name: "TaintNodesByCondition", isOnByDefault: true, make: () => taintNodesByCondition },
  { name: "AlwaysPullImages", isOnByDefault: false, make: () => alwaysPullImages },
  {
    name: "ImagePolicyWebhook",
    isOnByDefault: false,
    make: (deps, configured) => imagePolicyWebhook(deps, configured.ImagePolicyWebhook),
  },
  {
    name: "PodSecurity",
    isOnByDefault: true,
    make: ({ objects, clock, addMetrics }, configured) =>
      podSecurity(objects, clock, addMetrics, configured.PodSecurity),
  },
  {
    name: "PodNodeSelector",
    isOnByDefault: false,
    make: ({ objects }, configured) => podNodeSelector(objects, configured.PodNodeSelector),
  },
  { name: "Priority", isOnByDefault: true, make: ({ objects }) => priority(objects) },
  {
    name: "DefaultTolerationSeconds",
    isOnByDefault: true,
    make: (_, configured) => defaultTolerationSeconds(configured.DefaultTolerationSeconds),
  },
  {
    name: "PodTolerationRestriction",
    isOnByDefault: false,
    make: ({ objects }, configured) => podTolerationRestriction(objects, configured.PodTolerationRestriction),
  },
  {
    name: "EventRateLimit",
    isOnByDefault: false,
    make: ({ clock }, configured) => eventRateLimit(clock, configured.EventRateLimit ?? NO_EVENT_LIMITS),
  },
  { name: "ExtendedResourceToleration", isOnByDefault: false, make: () => extendedResourceToleration },
  { name: "DefaultStorageClass", isOnByDefault: true, make: ({ objects }) => defaultStorageClass(objects) },
  { name: "StorageObjectInUseProtection", isOnByDefault: true, make: () => storageObjectInUseProtection },
  {
    name: "OwnerReferencesPermissionEnforcement",
    isOnByDefault: false,
    make: ({ objects, authorizer }) => ownerReferencesPermissionEnforcement(objects, authorizer),
  },
  {
    name: "PersistentVolumeClaimResize",
    isOnByDefault: true,
    make: ({ objects }) => persistentVolumeClaimResize(objects),
  },
  { name: "RuntimeClass", isOnByDefault: true, make: ({ objects }) => runtimeClass(objects) },
  { name: "CertificateApproval", isOnByDefault: true, make: ({ authorizer }) => certificateApproval(authorizer) },
  { name: "CertificateSigning", isOnByDefault: true, make: ({ authorizer }) => certificateSigning(authorizer) },
  {
    name: "ClusterTrustBundleAttest",
    isOnByDefault: true,
    make: ({ authorizer }) => clusterTrustBundleAttest(authorizer),
  },
  { name: "CertificateSubjectRestriction", isOnByDefault: true, make: () => certificateSubjectRestriction },
  { name: "DefaultIngressClass", isOnByDefault: true, make: ({ objects }) => defaultIngressClass(objects) },
  { name: "DenyServiceExternalIPs", isOnByDefault: false, make: () => denyServiceExternalIps },
  { name: "PodTopologyLabels", isOnByDefault: true, make: ({ objects }) => podTopologyLabels(objects) },
  { name: "NodeDeclaredFeatureValidator", isOnByDefault: true, make: () => nodeDeclaredFeatureValidator },
  { name: "MutatingAdmissionPolicy", isOnByDefault: true, make: mutatingAdmissionPolicies },
  {
    name: "MutatingAdmissionWebhook",
    isOnByDefault: true,
    make: (deps, configured) => mutatingAdmissionWebhook(deps, configured.MutatingAdmissionWebhook),
  },
  { name: "ValidatingAdmissionPolicy", isOnByDefault: true, make: validatingAdmissionPolicies },
  {
    name: "ValidatingAdmissionWebhook",
    isOnByDefault: true,
    make: (deps, configured) => validatingAdmissionWebhook(deps, configured.ValidatingAdmissionWebhook),
  },
  {
    name: "ResourceQuota",
    isOnByDefault: true,
    make: ({ objects, clock }, configured) => resourceQuota(objects, clock, configured.ResourceQuota),
  },
  { name: "AlwaysDeny", isOnByDefault: false, make: () => alwaysDeny },
  { name: "RBACEscalation", isOnByDefault: true, make: ({ authorizer, rbac }) => rbacEscalation(authorizer, rbac) },
];

/** Rules that are no plugin: they cannot be turned off. */
const ALWAYS: ReadonlySet<string> = new Set(["RBACEscalation"]);

/** Names that may be turned on and off. */
export const ADMISSION_PLUGIN_NAMES: readonly string[] = ORDER.map(({ name }) => name).filter(
  (name) => !ALWAYS.has(name),
);

/** Whether a plugin runs with these settings. */
export function isPluginOn(name: string, settings: Pick<AdmissionSettings, "enable" | "disable">): boolean {
  if (ALWAYS.has(name) || settings.enable.includes(name)) return true;
  return !settings.disable.includes(name) && ORDER.some((entry) => entry.name === name && entry.isOnByDefault);
}

/** The plugins of a server with these settings. */
export function createAdmissionPlugins(deps: AdmissionDeps, settings: AdmissionSettings): AdmissionPlugin[] {
  return ORDER.filter(({ name }) => isPluginOn(name, settings)).map((entry) =>
    entry.make(deps, settings.configurations ?? {}),
  );
}
