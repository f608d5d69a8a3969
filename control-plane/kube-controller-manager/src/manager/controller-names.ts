import { isSelected, readSelection as readNames } from "@coracle/controller-kit";

/** Every controller that upstream's manager knows, with the name it had in former versions. */
const FORMER_NAMES: Readonly<Record<string, string | undefined>> = {
  "bootstrap-signer-controller": "bootstrapsigner",
  "certificatesigningrequest-approving-controller": "csrapproving",
  "certificatesigningrequest-cleaner-controller": "csrcleaner",
  "certificatesigningrequest-signing-controller": "csrsigning",
  "cloud-node-lifecycle-controller": "cloud-node-lifecycle",
  "clusterrole-aggregation-controller": "clusterrole-aggregation",
  "cronjob-controller": "cronjob",
  "daemonset-controller": "daemonset",
  "deployment-controller": "deployment",
  "device-taint-eviction-controller": undefined,
  "disruption-controller": "disruption",
  "endpoints-controller": "endpoint",
  "endpointslice-controller": "endpointslice",
  "endpointslice-mirroring-controller": "endpointslicemirroring",
  "ephemeral-volume-controller": "ephemeral-volume",
  "garbage-collector-controller": "garbagecollector",
  "horizontal-pod-autoscaler-controller": "horizontalpodautoscaling",
  "job-controller": "job",
  "kube-apiserver-serving-clustertrustbundle-publisher-controller": undefined,
  "legacy-serviceaccount-token-cleaner-controller": "legacy-service-account-token-cleaner",
  "namespace-controller": "namespace",
  "node-ipam-controller": "nodeipam",
  "node-lifecycle-controller": "nodelifecycle",
  "node-route-controller": "route",
  "persistentvolume-attach-detach-controller": "attachdetach",
  "persistentvolume-binder-controller": "persistentvolume-binder",
  "persistentvolume-expander-controller": "persistentvolume-expander",
  "persistentvolume-protection-controller": "pv-protection",
  "persistentvolumeclaim-protection-controller": "pvc-protection",
  "pod-garbage-collector-controller": "podgc",
  "podcertificaterequest-cleaner-controller": undefined,
  "replicaset-controller": "replicaset",
  "replicationcontroller-controller": "replicationcontroller",
  "resourceclaim-controller": "resource-claim-controller",
  "resourcequota-controller": "resourcequota",
  "root-ca-certificate-publisher-controller": "root-ca-cert-publisher",
  "selinux-warning-controller": undefined,
  "service-cidr-controller": undefined,
  "service-lb-controller": "service",
  "serviceaccount-controller": "serviceaccount",
  "serviceaccount-token-controller": "serviceaccount-token",
  "statefulset-controller": "statefulset",
  "storage-version-migrator-controller": "svm",
  "storageversion-garbage-collector-controller": "storage-version-gc",
  "taint-eviction-controller": undefined,
  "token-cleaner-controller": "tokencleaner",
  "ttl-after-finished-controller": "ttl-after-finished",
  "ttl-controller": "ttl",
  "validatingadmissionpolicy-status-controller": undefined,
  "volumeattributesclass-protection-controller": undefined,
};

/** `*` does not mean these. */
const OFF_BY_DEFAULT: ReadonlySet<string> = new Set([
  "bootstrap-signer-controller",
  "selinux-warning-controller",
  "token-cleaner-controller",
]);

/** Reads `--controllers`: former names become today's. Throws UsageError for what nobody knows. */
export const readSelection = (selection: readonly string[]): readonly string[] => readNames(selection, FORMER_NAMES);

/** True when a selection asks for `name`: the first mention counts, `*` for those that are on by default. */
export const isEnabled = (name: string, selection: readonly string[]): boolean =>
  isSelected(name, selection, OFF_BY_DEFAULT);
