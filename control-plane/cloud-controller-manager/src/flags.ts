import { flag, parseFlags, UsageError, type Flag, type FlagValues } from "@coracle/base";

/** The name of a file; an empty one is none. */
const file = (name: string): Flag<string | undefined> => ({
  ...flag.string<string | undefined>(name, undefined),
  parse: (text) => (text === "" ? undefined : text),
});

/** Names of the controllers, and those that they had. */
export const CONTROLLERS: Readonly<Record<string, string>> = {
  "cloud-node-controller": "cloud-node",
  "cloud-node-lifecycle-controller": "cloud-node-lifecycle",
  "service-lb-controller": "service",
  "node-route-controller": "route",
};

const FLAGS = {
  kubeconfig: file("kubeconfig"),
  leaderElect: flag.boolean("leader-elect", true),
  leaderElectLeaseDurationMs: flag.durationMs("leader-elect-lease-duration", 15_000),
  leaderElectRenewDeadlineMs: flag.durationMs("leader-elect-renew-deadline", 10_000),
  leaderElectRetryPeriodMs: flag.durationMs("leader-elect-retry-period", 2000),
  leaderElectResourceName: flag.string("leader-elect-resource-name", "cloud-controller-manager"),
  leaderElectResourceNamespace: flag.string("leader-elect-resource-namespace", "kube-system"),
  /** `*`, names, and `-name` for those left out. */
  controllers: flag.list("controllers", ["*"]),
  /** `local`, or an npm package or module file whose default export makes the provider. */
  cloudProvider: flag.string("cloud-provider", ""),
  /** Handed to the provider as it is. */
  cloudConfig: file("cloud-config"),
  allowUntaggedCloud: flag.boolean("allow-untagged-cloud", false),
  clusterName: flag.string("cluster-name", "kubernetes"),
  clusterCidr: flag.list("cluster-cidr"),
  /** Who gives nodes their ranges is kube-controller-manager; routes need somebody to. */
  allocateNodeCidrs: flag.boolean("allocate-node-cidrs", false),
  configureCloudRoutes: flag.boolean("configure-cloud-routes", true),
  routeReconciliationPeriodMs: flag.durationMs("route-reconciliation-period", 10_000),
  nodeMonitorPeriodMs: flag.durationMs("node-monitor-period", 5000),
  nodeStatusUpdateFrequencyMs: flag.durationMs("node-status-update-frequency", 300_000),
  concurrentNodeSyncs: flag.number("concurrent-node-syncs", 1),
  concurrentServiceSyncs: flag.number("concurrent-service-syncs", 1),
  useServiceAccountCredentials: flag.boolean("use-service-account-credentials", false),
  /** Serves health and metrics; 0: nothing is served. */
  securePort: flag.number("secure-port", 10_258),
  bindAddress: flag.string("bind-address", "0.0.0.0"),
  /** PEM files; absent: a certificate of its own. */
  tlsCertFile: file("tls-cert-file"),
  tlsPrivateKeyFile: file("tls-private-key-file"),
  /** Level of the log as upstream counts it. */
  verbosity: flag.number("v", 0),
};

/** What cloud-controller-manager is told on its command line, as `runCloudControllerManager` takes it. */
export type CloudControllerManagerFlags = FlagValues<typeof FLAGS>;

/** Upstream's defaults; no provider. */
export const defaultFlags: CloudControllerManagerFlags = parseFlags(FLAGS, []);

/** Reads upstream's flags. Throws UsageError. */
export function parseCloudControllerManagerFlags(argv: readonly string[]): CloudControllerManagerFlags {
  const flags = parseFlags(FLAGS, argv);
  if (flags.cloudProvider === "") throw new UsageError("--cloud-provider cannot be empty");
  for (const selected of flags.controllers) {
    const name = selected.replace(/^-/, "");
    if (selected !== "*" && !(name in CONTROLLERS) && !Object.values(CONTROLLERS).includes(name))
      throw new UsageError(`"${name}" is not in the list of known controllers`);
  }
  return flags;
}
