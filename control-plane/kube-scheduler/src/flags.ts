import { flag, flagsWithoutEffect, parseFlags, servingFlags, type FlagValues } from "@coracle/base";

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
  ...servingFlags(10_259),
  /** `NAME=true|false`; those about devices count, see `deviceFeatures`. */
  featureGates: flag.list("feature-gates"),
  verbosity: flag.number(["v", "verbosity"], 0),
  ...flagsWithoutEffect(["emulated-version"]),
};

/** What kube-scheduler is told on its command line. */
export type SchedulerFlags = FlagValues<typeof FLAGS>;

/** Reads upstream's flags. Throws UsageError. */
export const parseSchedulerFlags = (argv: readonly string[]): SchedulerFlags => parseFlags(FLAGS, argv);
