import { flag, parseFlags, type FlagValues } from "@coracle/base";

/** Not set: what the configuration says. */
const UNSET = undefined;

const FLAGS = {
  /** A KubeSchedulerConfiguration; what it says counts unless a flag of leader election says otherwise. */
  config: flag.string("config", UNSET),
  /** The configuration is written there, and that is all. */
  writeConfigTo: flag.string("write-config-to", UNSET),
  kubeconfig: flag.string("kubeconfig", UNSET),
  leaderElect: { ...flag.boolean("leader-elect", true), fallback: UNSET as boolean | undefined },
  leaderElectLeaseDuration: flag.string("leader-elect-lease-duration", UNSET),
  leaderElectRenewDeadline: flag.string("leader-elect-renew-deadline", UNSET),
  leaderElectRetryPeriod: flag.string("leader-elect-retry-period", UNSET),
  leaderElectResourceLock: flag.string("leader-elect-resource-lock", UNSET),
  leaderElectResourceName: flag.string("leader-elect-resource-name", UNSET),
  leaderElectResourceNamespace: flag.string("leader-elect-resource-namespace", UNSET),
  podMaxInUnschedulablePodsDurationMs: flag.durationMs("pod-max-in-unschedulable-pods-duration", 300_000),
  /** Serves health and metrics; 0: nothing is served. */
  securePort: flag.number("secure-port", 10_259),
  bindAddress: flag.string("bind-address", "0.0.0.0"),
  tlsCertFile: flag.string("tls-cert-file", UNSET),
  tlsPrivateKeyFile: flag.string("tls-private-key-file", UNSET),
  /** `NAME=true|false`; those about devices count, see `deviceFeatures`. */
  featureGates: flag.list("feature-gates"),
  /** Paths that anybody may see; `*` at the end stands for all below. */
  authorizationAlwaysAllowPaths: flag.list("authorization-always-allow-paths", ["/healthz", "/readyz", "/livez"]),
  verbosity: flag.number(["v", "verbosity"], 0),
  /** What is about Go's client and its log, or about serving in ways that we do not: taken, and of no effect. */
  withoutEffect: flag.string(
    [
      "kube-api-qps",
      "kube-api-burst",
      "kube-api-content-type",
      "cert-dir",
      "http2-max-streams-per-connection",
      "tls-cipher-suites",
      "tls-min-version",
      "authentication-kubeconfig",
      "authentication-token-webhook-cache-ttl",
      "authorization-kubeconfig",
      "authorization-webhook-cache-authorized-ttl",
      "authorization-webhook-cache-unauthorized-ttl",
      "requestheader-allowed-names",
      "requestheader-client-ca-file",
      "requestheader-extra-headers-prefix",
      "requestheader-group-headers",
      "requestheader-uid-headers",
      "requestheader-username-headers",
      "client-ca-file",
      "emulated-version",
      "min-compatibility-version",
      "allow-metric-labels",
      "allow-metric-labels-manifest",
      "disabled-metrics",
      "show-hidden-metrics-for-version",
      "log-flush-frequency",
      "log-json-info-buffer-size",
      "log-text-info-buffer-size",
      "logging-format",
      "vmodule",
    ],
    UNSET,
  ),
  switchesWithoutEffect: flag.boolean(
    [
      "profiling",
      "contention-profiling",
      "disable-http2-serving",
      "permit-address-sharing",
      "permit-port-sharing",
      "authentication-skip-lookup",
      "authentication-tolerate-lookup-failure",
      "log-json-split-stream",
      "log-text-split-stream",
    ],
    false,
  ),
};

/** What kube-scheduler is told on its command line. */
export type SchedulerFlags = FlagValues<typeof FLAGS>;

/** Reads upstream's flags. Throws UsageError. */
export const parseSchedulerFlags = (argv: readonly string[]): SchedulerFlags => parseFlags(FLAGS, argv);
