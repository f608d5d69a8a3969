import type { Job } from "@coracle/api/batch/v1";
import type { Instant } from "@coracle/base";
import { conditionOf } from "../job/status.ts";
import { instantOf } from "../time/timestamp.ts";

/** Milliseconds until the Job has outlived its end by what its spec grants (0: it has); undefined: it stays. */
export function msUntilExpiry(job: Job, now: Instant): number | undefined {
  const { ttlSecondsAfterFinished: seconds } = job.spec;
  if (seconds === undefined || job.metadata.deletionTimestamp !== undefined) return undefined;
  const ended = [conditionOf(job, "Complete"), conditionOf(job, "Failed")].find((each) => each?.status === "True");
  const endedAt = instantOf(ended?.lastTransitionTime);
  return endedAt === undefined ? undefined : Math.max(0, endedAt + seconds * 1000 - now);
}
