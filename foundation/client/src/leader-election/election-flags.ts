import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { flag, type FlagValues } from "@coracle/base";
import type { LeaderElectionOptions } from "./leader-election.ts";

/** Upstream's flags of leader election, of a component whose lease has this name unless told otherwise. */
export const leaderElectionFlags = (leaseName: string) => ({
  leaderElect: flag.boolean("leader-elect", true),
  leaderElectLeaseDurationMs: flag.durationMs("leader-elect-lease-duration", 15_000),
  leaderElectRenewDeadlineMs: flag.durationMs("leader-elect-renew-deadline", 10_000),
  leaderElectRetryPeriodMs: flag.durationMs("leader-elect-retry-period", 2000),
  leaderElectResourceLock: flag.choice("leader-elect-resource-lock", "leases", ["leases"]),
  leaderElectResourceName: flag.string("leader-elect-resource-name", leaseName),
  leaderElectResourceNamespace: flag.string("leader-elect-resource-namespace", "kube-system"),
});

/** What `leaderElectionFlags` become. */
export type LeaderElectionFlags = FlagValues<ReturnType<typeof leaderElectionFlags>>;

/** Another name for each run: two processes of one host are two candidates. */
const candidateIdentity = (): string => `${hostname()}_${randomUUID()}`;

/** The election that flags ask for; undefined: none. */
export function electionOf(
  flags: LeaderElectionFlags,
  candidate: Pick<LeaderElectionOptions, "client" | "clock" | "random" | "logger" | "metrics"> & {
    readonly identity?: string | undefined;
  },
): LeaderElectionOptions | undefined {
  if (!flags.leaderElect) return undefined;
  return {
    ...candidate,
    identity: candidate.identity ?? candidateIdentity(),
    namespace: flags.leaderElectResourceNamespace,
    name: flags.leaderElectResourceName,
    leaseDurationMs: flags.leaderElectLeaseDurationMs,
    renewDeadlineMs: flags.leaderElectRenewDeadlineMs,
    retryPeriodMs: flags.leaderElectRetryPeriodMs,
  };
}
