import { readFeatureGates } from "@coracle/apimachinery";
import {
  fileFlag as file,
  flag,
  flagsWithoutEffect,
  parseFlags,
  refusedFlag as refused,
  refusedManagerFlags,
  servingFlags,
  UsageError,
  type FlagValues,
} from "@coracle/base";
import { leaderElectionFlags } from "@coracle/client";
import { readSelection } from "./manager/controller-names.ts";

const FLAGS = {
  kubeconfig: file("kubeconfig"),
  ...leaderElectionFlags("kube-controller-manager"),
  /** `*`, names, and `-name` for those left out. */
  controllers: flag.list("controllers", ["*"]),
  allocateNodeCidrs: flag.boolean("allocate-node-cidrs", false),
  clusterCidr: flag.list("cluster-cidr"),
  nodeCidrMaskSize: flag.number(["node-cidr-mask-size", "node-cidr-mask-size-ipv4"], 24),
  nodeCidrMaskSizeIpv6: flag.number("node-cidr-mask-size-ipv6", 64),
  serviceClusterIpRange: flag.list("service-cluster-ip-range"),
  /** PEM file published as kube-root-ca.crt; absent: nothing is published. */
  rootCaFile: file("root-ca-file"),
  /** Signs the tokens of secrets of type kubernetes.io/service-account-token; absent: none are made. */
  serviceAccountPrivateKeyFile: file("service-account-private-key-file"),
  useServiceAccountCredentials: flag.boolean("use-service-account-credentials", false),
  clusterName: flag.string("cluster-name", "kubernetes"),
  /** With its key: approved requests for certificates are signed by it; absent: none are. */
  clusterSigningCertFile: file("cluster-signing-cert-file"),
  clusterSigningKeyFile: file("cluster-signing-key-file"),
  /** Each signer may have a pair of its own instead. */
  kubeletServingCertFile: file("cluster-signing-kubelet-serving-cert-file"),
  kubeletServingKeyFile: file("cluster-signing-kubelet-serving-key-file"),
  kubeletClientCertFile: file("cluster-signing-kubelet-client-cert-file"),
  kubeletClientKeyFile: file("cluster-signing-kubelet-client-key-file"),
  kubeApiserverClientCertFile: file("cluster-signing-kube-apiserver-client-cert-file"),
  kubeApiserverClientKeyFile: file("cluster-signing-kube-apiserver-client-key-file"),
  legacyUnknownCertFile: file("cluster-signing-legacy-unknown-cert-file"),
  legacyUnknownKeyFile: file("cluster-signing-legacy-unknown-key-file"),
  clusterSigningDurationMs: flag.durationMs("cluster-signing-duration", 365 * 86_400_000),
  nodeMonitorGracePeriodMs: flag.durationMs("node-monitor-grace-period", 50_000),
  nodeMonitorPeriodMs: flag.durationMs("node-monitor-period", 5000),
  nodeStartupGracePeriodMs: flag.durationMs("node-startup-grace-period", 60_000),
  nodeEvictionRate: flag.number("node-eviction-rate", 0.1),
  secondaryNodeEvictionRate: flag.number("secondary-node-eviction-rate", 0.01),
  largeClusterSizeThreshold: flag.number("large-cluster-size-threshold", 50),
  unhealthyZoneThreshold: flag.number("unhealthy-zone-threshold", 0.55),
  terminatedPodGcThreshold: flag.number("terminated-pod-gc-threshold", 12_500),
  concurrentDeploymentSyncs: flag.number("concurrent-deployment-syncs", 5),
  concurrentReplicasetSyncs: flag.number("concurrent-replicaset-syncs", 5),
  concurrentRcSyncs: flag.number("concurrent-rc-syncs", 5),
  concurrentStatefulsetSyncs: flag.number("concurrent-statefulset-syncs", 5),
  concurrentDaemonsetSyncs: flag.number("concurrent-daemonset-syncs", 2),
  concurrentJobSyncs: flag.number("concurrent-job-syncs", 5),
  concurrentCronJobSyncs: flag.number("concurrent-cron-job-syncs", 5),
  concurrentEndpointSyncs: flag.number("concurrent-endpoint-syncs", 5),
  concurrentServiceEndpointSyncs: flag.number("concurrent-service-endpoint-syncs", 5),
  concurrentResourceQuotaSyncs: flag.number("concurrent-resource-quota-syncs", 5),
  resourceQuotaSyncPeriodMs: flag.durationMs("resource-quota-sync-period", 300_000),
  concurrentNamespaceSyncs: flag.number("concurrent-namespace-syncs", 10),
  concurrentServiceaccountTokenSyncs: flag.number("concurrent-serviceaccount-token-syncs", 5),
  concurrentGcSyncs: flag.number("concurrent-gc-syncs", 20),
  concurrentTtlAfterFinishedSyncs: flag.number("concurrent-ttl-after-finished-syncs", 5),
  maxEndpointsPerSlice: flag.number("max-endpoints-per-slice", 100),
  mirroringConcurrentServiceEndpointSyncs: flag.number("mirroring-concurrent-service-endpoint-syncs", 5),
  mirroringMaxEndpointsPerSubset: flag.number("mirroring-max-endpoints-per-subset", 1000),
  pvClaimBinderSyncPeriodMs: flag.durationMs("pvclaimbinder-sync-period", 15_000),
  enableDynamicProvisioning: flag.boolean("enable-dynamic-provisioning", true),
  /** YAML or JSON files; absent: the built-in pod. */
  pvRecyclerPodTemplateFilepathHostpath: file("pv-recycler-pod-template-filepath-hostpath"),
  pvRecyclerPodTemplateFilepathNfs: file("pv-recycler-pod-template-filepath-nfs"),
  pvRecyclerMinimumTimeoutHostpath: flag.number("pv-recycler-minimum-timeout-hostpath", 60),
  pvRecyclerTimeoutIncrementHostpath: flag.number("pv-recycler-timeout-increment-hostpath", 30),
  pvRecyclerMinimumTimeoutNfs: flag.number("pv-recycler-minimum-timeout-nfs", 300),
  pvRecyclerIncrementTimeoutNfs: flag.number("pv-recycler-increment-timeout-nfs", 30),
  concurrentEphemeralvolumeSyncs: flag.number("concurrent-ephemeralvolume-syncs", 5),
  concurrentResourceClaimSyncs: flag.number("concurrent-resource-claim-syncs", 50),
  concurrentDeviceTaintEvictionSyncs: flag.number("concurrent-device-taint-eviction-syncs", 8),
  attachDetachReconcileSyncPeriodMs: flag.durationMs("attach-detach-reconcile-sync-period", 60_000),
  disableAttachDetachReconcileSync: flag.boolean("disable-attach-detach-reconcile-sync", false),
  disableForceDetachOnTimeout: flag.boolean("disable-force-detach-on-timeout", false),
  concurrentHorizontalPodAutoscalerSyncs: flag.number("concurrent-horizontal-pod-autoscaler-syncs", 5),
  hpaSyncPeriodMs: flag.durationMs("horizontal-pod-autoscaler-sync-period", 15_000),
  hpaTolerance: flag.number("horizontal-pod-autoscaler-tolerance", 0.1),
  hpaDownscaleStabilizationMs: flag.durationMs("horizontal-pod-autoscaler-downscale-stabilization", 300_000),
  hpaCpuInitializationPeriodMs: flag.durationMs("horizontal-pod-autoscaler-cpu-initialization-period", 300_000),
  hpaInitialReadinessDelayMs: flag.durationMs("horizontal-pod-autoscaler-initial-readiness-delay", 30_000),
  legacyTokenCleanUpPeriodMs: flag.durationMs("legacy-service-account-token-clean-up-period", 8760 * 3_600_000),
  concurrentValidatingAdmissionPolicyStatusSyncs: flag.number("concurrent-validating-admission-policy-status-syncs", 5),
  enableGarbageCollector: flag.boolean("enable-garbage-collector", true),
  /** Between the starts of two controllers. */
  controllerStartIntervalMs: flag.durationMs("controller-start-interval", 0),
  /** Changes of pods and slices wait so long for others. */
  endpointUpdatesBatchPeriodMs: flag.durationMs("endpoint-updates-batch-period", 0),
  endpointsliceUpdatesBatchPeriodMs: flag.durationMs("endpointslice-updates-batch-period", 0),
  mirroringUpdatesBatchPeriodMs: flag.durationMs("mirroring-endpointslice-updates-batch-period", 0),
  cloudProvider: flag.choice("cloud-provider", "", ["", "external"]),
  emulatedVersion: flag.choice("emulated-version", "", ["", "1.35", "kube=1.35"]),
  ...refusedManagerFlags(),
  enableHostpathProvisioner: refused(
    flag.boolean("enable-hostpath-provisioner", false),
    "is not supported: claims get hostPath volumes from nobody",
  ),
  /** Also what is about a cloud's controllers. */
  ...flagsWithoutEffect(
    [
      "cloud-config",
      "concurrent-service-syncs",
      "route-reconciliation-period",
      "controller-shutdown-timeout",
      "min-resync-period",
      "namespace-sync-period",
      "flex-volume-plugin-dir",
    ],
    ["configure-cloud-routes"],
  ),
  /** `NAME=true|false`. */
  featureGates: flag.list("feature-gates"),
  ...servingFlags(10_257),
  /** Level of the log as upstream counts it. */
  verbosity: flag.number("v", 0),
};

/** What kube-controller-manager is told on its command line, as `runControllerManager` takes it. */
export type ControllerManagerFlags = FlagValues<typeof FLAGS>;

/** Upstream's defaults. */
export const defaultFlags: ControllerManagerFlags = parseFlags(FLAGS, []);

/** Reads upstream's flags. Throws UsageError. */
export function parseControllerManagerFlags(argv: readonly string[]): ControllerManagerFlags {
  const flags = parseFlags(FLAGS, argv);
  readFeatureGates(flags.featureGates);
  checkSigningFiles(flags);
  if (flags.legacyTokenCleanUpPeriodMs <= 0)
    throw new UsageError("--legacy-service-account-token-clean-up-period must be greater than 0");
  return { ...flags, controllers: readSelection(flags.controllers) };
}

/** A pair for all signers, or pairs for some; never half of one. */
function checkSigningFiles(flags: ControllerManagerFlags): void {
  const pairs = [
    [flags.clusterSigningCertFile, flags.clusterSigningKeyFile],
    [flags.kubeletServingCertFile, flags.kubeletServingKeyFile],
    [flags.kubeletClientCertFile, flags.kubeletClientKeyFile],
    [flags.kubeApiserverClientCertFile, flags.kubeApiserverClientKeyFile],
    [flags.legacyUnknownCertFile, flags.legacyUnknownKeyFile],
  ] as const;
  const [all, ...some] = pairs.map(([cert, key]) => {
    if (cert === undefined && key !== undefined) throw new UsageError("cannot specify key without cert");
    if (cert !== undefined && key === undefined) throw new UsageError("cannot specify cert without key");
    return cert !== undefined;
  });
  if (all === true && some.includes(true))
    throw new UsageError(
      "cannot specify --cluster-signing-{cert,key}-file and other --cluster-signing-*-file flags at the same time",
    );
}
