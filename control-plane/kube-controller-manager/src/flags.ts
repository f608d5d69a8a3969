/** What kube-controller-manager is told on its command line, as `runControllerManager` takes it. */
export interface ControllerManagerFlags {
  readonly kubeconfig: string | undefined;
  readonly leaderElect: boolean;
  readonly leaderElectLeaseDurationMs: number;
  readonly leaderElectRenewDeadlineMs: number;
  readonly leaderElectRetryPeriodMs: number;
  readonly leaderElectResourceName: string;
  readonly leaderElectResourceNamespace: string;
  /** `*`, names, and `-name` for those left out. */
  readonly controllers: readonly string[];
  readonly allocateNodeCidrs: boolean;
  readonly clusterCidr: readonly string[];
  readonly nodeCidrMaskSize: number;
  readonly nodeCidrMaskSizeIpv6: number;
  readonly serviceClusterIpRange: readonly string[];
  /** PEM file published as kube-root-ca.crt; absent: nothing is published. */
  readonly rootCaFile: string | undefined;
  readonly serviceAccountPrivateKeyFile: string | undefined;
  readonly useServiceAccountCredentials: boolean;
  readonly clusterName: string;
  readonly clusterSigningCertFile: string | undefined;
  readonly clusterSigningKeyFile: string | undefined;
  readonly clusterSigningDurationMs: number;
  readonly nodeMonitorGracePeriodMs: number;
  readonly nodeMonitorPeriodMs: number;
  readonly nodeStartupGracePeriodMs: number;
  readonly nodeEvictionRate: number;
  readonly secondaryNodeEvictionRate: number;
  readonly largeClusterSizeThreshold: number;
  readonly unhealthyZoneThreshold: number;
  readonly terminatedPodGcThreshold: number;
  readonly concurrentDeploymentSyncs: number;
  readonly concurrentReplicasetSyncs: number;
  readonly concurrentRcSyncs: number;
  readonly concurrentStatefulsetSyncs: number;
  readonly concurrentDaemonsetSyncs: number;
  readonly concurrentJobSyncs: number;
  readonly concurrentCronJobSyncs: number;
  readonly concurrentEndpointSyncs: number;
  readonly concurrentServiceEndpointSyncs: number;
  readonly concurrentNamespaceSyncs: number;
  readonly concurrentServiceaccountTokenSyncs: number;
  readonly concurrentGcSyncs: number;
  readonly concurrentTtlAfterFinishedSyncs: number;
  readonly maxEndpointsPerSlice: number;
  readonly securePort: number;
  readonly bindAddress: string;
  /** Level of the log as upstream counts it. */
  readonly verbosity: number;
}

/** A command line that cannot be obeyed; the message is for the user. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

type Kind = "string" | "list" | "boolean" | "number" | "duration";
type Field = { readonly [K in keyof ControllerManagerFlags]: ControllerManagerFlags[K] };

/** Upstream's defaults. */
export const defaultFlags: ControllerManagerFlags = {
  kubeconfig: undefined,
  leaderElect: true,
  leaderElectLeaseDurationMs: 15_000,
  leaderElectRenewDeadlineMs: 10_000,
  leaderElectRetryPeriodMs: 2000,
  leaderElectResourceName: "kube-controller-manager",
  leaderElectResourceNamespace: "kube-system",
  controllers: ["*"],
  allocateNodeCidrs: false,
  clusterCidr: [],
  nodeCidrMaskSize: 24,
  nodeCidrMaskSizeIpv6: 64,
  serviceClusterIpRange: [],
  rootCaFile: undefined,
  serviceAccountPrivateKeyFile: undefined,
  useServiceAccountCredentials: false,
  clusterName: "kubernetes",
  clusterSigningCertFile: undefined,
  clusterSigningKeyFile: undefined,
  clusterSigningDurationMs: 365 * 86_400_000,
  nodeMonitorGracePeriodMs: 50_000,
  nodeMonitorPeriodMs: 5000,
  nodeStartupGracePeriodMs: 60_000,
  nodeEvictionRate: 0.1,
  secondaryNodeEvictionRate: 0.01,
  largeClusterSizeThreshold: 50,
  unhealthyZoneThreshold: 0.55,
  terminatedPodGcThreshold: 12_500,
  concurrentDeploymentSyncs: 5,
  concurrentReplicasetSyncs: 5,
  concurrentRcSyncs: 5,
  concurrentStatefulsetSyncs: 5,
  concurrentDaemonsetSyncs: 2,
  concurrentJobSyncs: 5,
  concurrentCronJobSyncs: 5,
  concurrentEndpointSyncs: 5,
  concurrentServiceEndpointSyncs: 5,
  concurrentNamespaceSyncs: 10,
  concurrentServiceaccountTokenSyncs: 5,
  concurrentGcSyncs: 20,
  concurrentTtlAfterFinishedSyncs: 5,
  maxEndpointsPerSlice: 100,
  securePort: 10_257,
  bindAddress: "0.0.0.0",
  verbosity: 0,
};

const FLAGS: Readonly<Record<string, readonly [keyof Field, Kind]>> = {
  kubeconfig: ["kubeconfig", "string"],
  "leader-elect": ["leaderElect", "boolean"],
  "leader-elect-lease-duration": ["leaderElectLeaseDurationMs", "duration"],
  "leader-elect-renew-deadline": ["leaderElectRenewDeadlineMs", "duration"],
  "leader-elect-retry-period": ["leaderElectRetryPeriodMs", "duration"],
  "leader-elect-resource-name": ["leaderElectResourceName", "string"],
  "leader-elect-resource-namespace": ["leaderElectResourceNamespace", "string"],
  controllers: ["controllers", "list"],
  "allocate-node-cidrs": ["allocateNodeCidrs", "boolean"],
  "cluster-cidr": ["clusterCidr", "list"],
  "node-cidr-mask-size": ["nodeCidrMaskSize", "number"],
  "node-cidr-mask-size-ipv4": ["nodeCidrMaskSize", "number"],
  "node-cidr-mask-size-ipv6": ["nodeCidrMaskSizeIpv6", "number"],
  "service-cluster-ip-range": ["serviceClusterIpRange", "list"],
  "root-ca-file": ["rootCaFile", "string"],
  "service-account-private-key-file": ["serviceAccountPrivateKeyFile", "string"],
  "use-service-account-credentials": ["useServiceAccountCredentials", "boolean"],
  "cluster-name": ["clusterName", "string"],
  "cluster-signing-cert-file": ["clusterSigningCertFile", "string"],
  "cluster-signing-key-file": ["clusterSigningKeyFile", "string"],
  "cluster-signing-duration": ["clusterSigningDurationMs", "duration"],
  "node-monitor-grace-period": ["nodeMonitorGracePeriodMs", "duration"],
  "node-monitor-period": ["nodeMonitorPeriodMs", "duration"],
  "node-startup-grace-period": ["nodeStartupGracePeriodMs", "duration"],
  "node-eviction-rate": ["nodeEvictionRate", "number"],
  "secondary-node-eviction-rate": ["secondaryNodeEvictionRate", "number"],
  "large-cluster-size-threshold": ["largeClusterSizeThreshold", "number"],
  "unhealthy-zone-threshold": ["unhealthyZoneThreshold", "number"],
  "terminated-pod-gc-threshold": ["terminatedPodGcThreshold", "number"],
  "concurrent-deployment-syncs": ["concurrentDeploymentSyncs", "number"],
  "concurrent-replicaset-syncs": ["concurrentReplicasetSyncs", "number"],
  "concurrent-rc-syncs": ["concurrentRcSyncs", "number"],
  "concurrent-statefulset-syncs": ["concurrentStatefulsetSyncs", "number"],
  "concurrent-daemonset-syncs": ["concurrentDaemonsetSyncs", "number"],
  "concurrent-job-syncs": ["concurrentJobSyncs", "number"],
  "concurrent-cron-job-syncs": ["concurrentCronJobSyncs", "number"],
  "concurrent-endpoint-syncs": ["concurrentEndpointSyncs", "number"],
  "concurrent-service-endpoint-syncs": ["concurrentServiceEndpointSyncs", "number"],
  "concurrent-namespace-syncs": ["concurrentNamespaceSyncs", "number"],
  "concurrent-serviceaccount-token-syncs": ["concurrentServiceaccountTokenSyncs", "number"],
  "concurrent-gc-syncs": ["concurrentGcSyncs", "number"],
  "concurrent-ttl-after-finished-syncs": ["concurrentTtlAfterFinishedSyncs", "number"],
  "max-endpoints-per-slice": ["maxEndpointsPerSlice", "number"],
  "secure-port": ["securePort", "number"],
  "bind-address": ["bindAddress", "string"],
  v: ["verbosity", "number"],
};

/** Reads upstream's flags: `--name=value`, `--name value`, booleans also alone. Throws `UsageError`. */
export function parseControllerManagerFlags(argv: readonly string[]): ControllerManagerFlags {
  const values: Record<string, unknown> = { ...defaultFlags };
  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    const match = /^--?([a-z0-9-]+)(?:=(.*))?$/s.exec(argument);
    if (match === null) throw new UsageError(`unexpected argument ${JSON.stringify(argument)}`);
    const name = match[1] ?? "";
    const flag = FLAGS[name];
    if (flag === undefined) throw new UsageError(`unknown flag: --${name}`);
    const [field, kind] = flag;
    const text = match[2] ?? (kind === "boolean" ? "true" : rest.shift());
    if (text === undefined) throw new UsageError(`flag needs an argument: --${name}`);
    values[field] = valueOf(name, kind, text);
  }
  return values as unknown as ControllerManagerFlags;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function valueOf(name: string, kind: Kind, text: string): unknown {
  const fail = (): never => {
    throw new UsageError(`invalid argument ${JSON.stringify(text)} for "--${name}" flag`);
  };
  switch (kind) {
    case "string":
      return text === "" ? undefined : text;
    case "list":
      return text === "" ? [] : text.split(",");
    case "boolean":
      return text === "true" || text === "1" ? true : text === "false" || text === "0" ? false : fail();
    case "number":
      return text !== "" && Number.isFinite(Number(text)) ? Number(text) : fail();
    case "duration": {
      if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return text === "0" ? 0 : fail();
      let total = 0;
      for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
        total += Number(amount) * (UNIT_MS[unit ?? "s"] ?? 0);
      return total;
    }
  }
}
