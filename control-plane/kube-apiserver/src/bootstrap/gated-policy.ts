import type { PolicyRule } from "@coracle/api/rbac/v1";
import type { Feature, Features } from "../features.ts";

const rule = (apiGroups: readonly string[], resources: readonly string[], ...verbs: string[]): PolicyRule => ({
  apiGroups,
  resources,
  verbs,
});
const READ = ["get", "list", "watch"];
const DEVICES = ["resource.k8s.io"];
const CERTIFICATES = ["certificates.k8s.io"];
const EVENTS = rule(["", "events.k8s.io"], ["events"], "create", "patch", "update");
const BUNDLES = rule(CERTIFICATES, ["clustertrustbundles"], ...READ);

/** What a feature adds to the policy of a new cluster. */
interface GatedRules {
  readonly feature: Feature;
  /** Cluster roles, and the rules that they have, or have beside their own. */
  readonly roles?: Readonly<Record<string, readonly PolicyRule[]>>;
  /** The same of controllers, each bound to its service account. */
  readonly controllers?: Readonly<Record<string, readonly PolicyRule[]>>;
  /** Cluster roles that a group has. */
  readonly bindings?: Readonly<Record<string, string>>;
}

const GATED: readonly GatedRules[] = [
  {
    feature: "DRADeviceTaints",
    controllers: {
      "device-taint-eviction-controller": [
        rule([""], ["pods"], "delete", ...READ),
        rule([""], ["pods/status"], "patch", "update"),
        rule(DEVICES, ["resourceclaims"], ...READ),
        rule(DEVICES, ["resourceslices"], ...READ),
        rule(DEVICES, ["deviceclasses"], ...READ),
        EVENTS,
      ],
    },
  },
  {
    feature: "DRADeviceTaintRules",
    roles: { "system:kube-scheduler": [rule(DEVICES, ["devicetaintrules"], ...READ)] },
    controllers: {
      "device-taint-eviction-controller": [
        rule(DEVICES, ["devicetaintrules/status"], "patch", "update"),
        rule(DEVICES, ["devicetaintrules"], ...READ),
      ],
    },
  },
  {
    feature: "DRAExtendedResource",
    roles: { "system:kube-scheduler": [rule(DEVICES, ["resourceclaims"], "create", "delete")] },
  },
  {
    feature: "GenericWorkload",
    roles: { "system:kube-scheduler": [rule(["scheduling.k8s.io"], ["workloads"], ...READ)] },
  },
  {
    feature: "StorageVersionMigrator",
    controllers: {
      "storage-version-migrator-controller": [
        rule(["*"], ["*"], "create", "list", "patch"),
        rule(["storagemigration.k8s.io"], ["storageversionmigrations/status"], "update"),
      ],
    },
  },
  {
    feature: "StorageVersionAPI",
    controllers: {
      "storage-version-garbage-collector": [
        rule(["coordination.k8s.io"], ["leases"], ...READ),
        rule(["internal.apiserver.k8s.io"], ["storageversions"], "delete", "get", "list", "patch", "update", "watch"),
        rule(["internal.apiserver.k8s.io"], ["storageversions/status"], "get", "patch", "update"),
      ],
    },
  },
  {
    feature: "ClusterTrustBundle",
    roles: { "system:node": [BUNDLES], "system:cluster-trust-bundle-discovery": [BUNDLES] },
    controllers: {
      "kube-apiserver-serving-clustertrustbundle-publisher": [
        {
          ...rule(CERTIFICATES, ["signers"], "attest"),
          resourceNames: ["kubernetes.io/kube-apiserver-serving"],
        },
        rule(CERTIFICATES, ["clustertrustbundles"], "create", "delete", "list", "update", "watch"),
        EVENTS,
      ],
    },
    bindings: { "system:cluster-trust-bundle-discovery": "system:serviceaccounts" },
  },
  {
    feature: "PodCertificateRequest",
    roles: { "system:node": [rule(CERTIFICATES, ["podcertificaterequests"], "create", ...READ)] },
    controllers: {
      podcertificaterequestcleaner: [rule(CERTIFICATES, ["podcertificaterequests"], "delete", ...READ)],
    },
  },
];

/** What the features that are on add, in the form of the table's members. */
export interface GatedPolicy {
  readonly roles: ReadonlyMap<string, readonly PolicyRule[]>;
  readonly controllers: ReadonlyMap<string, readonly PolicyRule[]>;
  readonly bindings: ReadonlyMap<string, string>;
}

/** Puts together what features add. */
export function gatedPolicy(features: Features): GatedPolicy {
  const roles = new Map<string, PolicyRule[]>();
  const controllers = new Map<string, PolicyRule[]>();
  const bindings = new Map<string, string>();
  for (const gated of GATED.filter(({ feature }) => features.has(feature))) {
    for (const [to, from] of [
      [roles, gated.roles],
      [controllers, gated.controllers],
    ] as const)
      for (const [name, rules] of Object.entries(from ?? {})) to.set(name, [...(to.get(name) ?? []), ...rules]);
    for (const [role, group] of Object.entries(gated.bindings ?? {})) bindings.set(role, group);
  }
  return { roles, controllers, bindings };
}
