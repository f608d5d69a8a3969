import { flag, parseFlags, type FlagValues } from "@coracle/base";

const FLAGS = {
  kubeconfig: flag.string("kubeconfig", undefined),
  leaderElect: flag.boolean("leader-elect", true),
  leaderElectLeaseDurationMs: flag.durationMs("leader-elect-lease-duration", 15_000),
  leaderElectRenewDeadlineMs: flag.durationMs("leader-elect-renew-deadline", 10_000),
  leaderElectRetryPeriodMs: flag.durationMs("leader-elect-retry-period", 2000),
  leaderElectResourceName: flag.string("leader-elect-resource-name", "kube-scheduler"),
  leaderElectResourceNamespace: flag.string("leader-elect-resource-namespace", "kube-system"),
  /** Serves health and metrics; 0: nothing is served. */
  securePort: flag.number("secure-port", 10_259),
  bindAddress: flag.string("bind-address", "0.0.0.0"),
  tlsCertFile: flag.string("tls-cert-file", undefined),
  tlsPrivateKeyFile: flag.string("tls-private-key-file", undefined),
  verbosity: flag.number("v", 0),
};

/** What kube-scheduler is told on its command line. */
export type SchedulerFlags = FlagValues<typeof FLAGS>;

/** Reads upstream's flags. Throws UsageError. */
export const parseSchedulerFlags = (argv: readonly string[]): SchedulerFlags => parseFlags(FLAGS, argv);
