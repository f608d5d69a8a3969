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
import { readSelection } from "@coracle/controller-kit";

/** Names of the controllers, and those that they had. */
export const CONTROLLERS: Readonly<Record<string, string>> = {
  "cloud-node-controller": "cloud-node",
  "cloud-node-lifecycle-controller": "cloud-node-lifecycle",
  "service-lb-controller": "service",
  "node-route-controller": "route",
};

const FLAGS = {
  kubeconfig: file("kubeconfig"),
  ...leaderElectionFlags("cloud-controller-manager"),
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
  /** Between the starts of two controllers. */
  controllerStartIntervalMs: flag.durationMs("controller-start-interval", 0),
  /** `NAME=true|false`. */
  featureGates: flag.list("feature-gates"),
  ...refusedManagerFlags(),
  webhooks: refused(flag.string("webhooks", ""), "is not supported: a provider has no webhooks here"),
  /** Webhooks would be served there, were there any. */
  ...flagsWithoutEffect([
    "min-resync-period",
    "webhook-bind-address",
    "webhook-secure-port",
    "webhook-cert-dir",
    "webhook-tls-cert-file",
    "webhook-tls-private-key-file",
  ]),
  ...servingFlags(10_258),
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
  if (flags.concurrentNodeSyncs < 1) throw new UsageError("concurrent-node-syncs must be a positive number");
  if (readFeatureGates(flags.featureGates).get("CloudControllerManagerWebhook") === true)
    throw new UsageError(
      "feature gate CloudControllerManagerWebhook is not supported: a provider has no webhooks here",
    );
  return { ...flags, controllers: readSelection(flags.controllers, CONTROLLERS) };
}
