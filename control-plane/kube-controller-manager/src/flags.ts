import { flag, parseFlags, type Flag, type FlagValues } from "@coracle/base";

/** The name of a file; an empty one is none. */
const file = (name: string): Flag<string | undefined> => ({
  ...flag.string<string | undefined>(name, undefined),
  parse: (text) => (text === "" ? undefined : text),
});

const FLAGS = {
  kubeconfig: file("kubeconfig"),
  leaderElect: flag.boolean("leader-elect", true),
  leaderElectLeaseDurationMs: flag.durationMs("leader-elect-lease-duration", 15_000),
  leaderElectRenewDeadlineMs: flag.durationMs("leader-elect-renew-deadline", 10_000),
  leaderElectRetryPeriodMs: flag.durationMs("leader-elect-retry-period", 2000),
  leaderElectResourceName: flag.string("leader-elect-resource-name", "kube-controller-manager"),
  leaderElectResourceNamespace: flag.string("leader-elect-resource-namespace", "kube-system"),
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
  /** `NAME=true|false`. */
  featureGates: flag.list("feature-gates"),
  /** Serves health and metrics; 0: nothing is served. */
  securePort: flag.number("secure-port", 10_257),
  bindAddress: flag.string("bind-address", "0.0.0.0"),
  /** PEM files; absent: a certificate of its own. */
  tlsCertFile: file("tls-cert-file"),
  tlsPrivateKeyFile: file("tls-private-key-file"),
  /** Level of the log as upstream counts it. */
  verbosity: flag.number("v", 0),
};

/** What kube-controller-manager is told on its command line, as `runControllerManager` takes it. */
export type ControllerManagerFlags = FlagValues<typeof FLAGS>;

/** Upstream's defaults. */
export const defaultFlags: ControllerManagerFlags = parseFlags(FLAGS, []);

/** Reads upstream's flags. Throws UsageError. */
export const parseControllerManagerFlags = (argv: readonly string[]): ControllerManagerFlags => parseFlags(FLAGS, argv);
