import type { Job, JobStatus } from "@coracle/api/batch/v1";
import type { Pod } from "@coracle/api/core/v1";
import { Counter, exponentialBuckets, Histogram } from "@coracle/base";
import { parseIndexes } from "./indexes.ts";
import { countsPerIndex } from "./per-index.ts";
import { TRACKING, type Observation } from "./plan.ts";

/** What a pass over a Job did. */
export type JobSyncAction = "reconciling" | "tracking" | "pods_created" | "pods_deleted";

const PREFIX = "job_controller";

/** What the Job controller counts and measures of itself, under upstream's names. */
export class JobMonitor {
  readonly #syncs = new Counter(`${PREFIX}_job_syncs_total`, "[STABLE] The number of job syncs", [
    "completion_mode",
    "result",
    "action",
  ]);
  readonly #syncSeconds = new Histogram(
    `${PREFIX}_job_sync_duration_seconds`,
    "[STABLE] The time it took to sync a job",
    exponentialBuckets(0.004, 2, 15),
    ["completion_mode", "result", "action"],
  );
  readonly #finished = new Counter(`${PREFIX}_jobs_finished_total`, "[STABLE] The number of finished jobs", [
    "completion_mode",
    "result",
    "reason",
  ]);
  readonly #pods = new Counter(
    `${PREFIX}_job_pods_finished_total`,
    "[STABLE] The number of finished Pods that are fully tracked",
    ["completion_mode", "result"],
  );
  readonly #foreign = new Counter(
    `${PREFIX}_jobs_by_external_controller_total`,
    "[ALPHA] The number of Jobs managed by an external controller",
    ["controller_name"],
  );
  readonly #indexes = new Counter(
    `${PREFIX}_job_finished_indexes_total`,
    '[ALPHA] The number of finished indexes. Possible values for the status label are: "succeeded", "failed". Possible values for the backoffLimit label are: "perIndex" and "global"',
    ["status", "backoffLimit"],
  );
  readonly #creations = new Counter(
    `${PREFIX}_job_pods_creation_total`,
    '[ALPHA] The number of Pods created by the Job controller labelled with a reason for the Pod creation. This metric also distinguishes between Pods created using different PodReplacementPolicy settings. Possible values of the "reason" label are: "new", "recreate_terminating_or_failed", "recreate_failed". Possible values of the "status" label are: "succeeded", "failed".',
    ["reason", "status"],
  );
  readonly #policies = new Counter(
    `${PREFIX}_pod_failures_handled_by_failure_policy_total`,
    '[ALPHA] The number of failed Pods handled by failure policy with respect to the failure policy action applied based on the matched rule. Possible values of the action label correspond to the possible values for the failure policy rule action, which are: "FailJob", "Ignore" and "Count".',
    ["action"],
  );
  readonly #tracked = new Counter(
    `${PREFIX}_terminated_pods_tracking_finalizer_total`,
    '[ALPHA] The number of terminated pods (phase=Failed|Succeeded) that have the finalizer batch.kubernetes.io/job-tracking The event label can be "add" or "delete".',
    ["event"],
  );

  synced(job: Job, isFine: boolean, action: JobSyncAction, durationMs: number): void {
    const labels = [modeOf(job), isFine ? "success" : "error", action];
    this.#syncs.add(1, ...labels);
    this.#syncSeconds.observe(durationMs / 1000, ...labels);
  }

  /** Somebody else manages it. */
  isForeign(managedBy: string): void {
    this.#foreign.add(1, managedBy);
  }

  /** Pods were made, or could not be. */
  created({ spec }: Job, seen: Observation, succeeded: number, failed: number): void {
    const isAgain = seen.failed > 0 || seen.terminating.length > 0;
    const replaces = seen.failed > 0 && spec.podReplacementPolicy === "Failed";
    const reason = replaces ? "recreate_failed" : isAgain ? "recreate_terminating_or_failed" : "new";
    if (succeeded > 0) this.#creations.add(succeeded, reason, "succeeded");
    if (failed > 0) this.#creations.add(failed, reason, "failed");
  }

  /** The Job's failure policy had something to say about a pod. */
  failureHandled(action: string): void {
    this.#policies.add(1, action);
  }

  /** A pod was seen to change, came (no `old`), or went (no `pod`). */
  podSeen(old: Pod | undefined, pod: Pod | undefined): void {
    const [was, is] = [isHeldAtItsEnd(old), isHeldAtItsEnd(pod)];
    if (was !== is) this.#tracked.add(1, is ? "add" : "delete");
  }

  /** The status of a Job was written. */
  reported(job: Job, status: JobStatus): void {
    const mode = modeOf(job);
    const grown = (count: "succeeded" | "failed"): number =>
      Math.max(0, (status[count] ?? 0) - (job.status?.[count] ?? 0));
    for (const result of ["succeeded", "failed"] as const)
      if (grown(result) > 0) this.#pods.add(grown(result), mode, result);
    if (mode === "Indexed") this.#indexesReported(job, status);
    for (const { type, status: holds, reason = "" } of status.conditions ?? []) {
      const was = job.status?.conditions?.some((each) => each.type === type && each.status === "True") === true;
      if (holds !== "True" || was) continue;
      if (type === "Complete") this.#finished.add(1, mode, "succeeded", reason);
      if (type === "Failed") this.#finished.add(1, mode, "failed", reason);
    }
  }

  #indexesReported(job: Job, status: JobStatus): void {
    const limit = countsPerIndex(job) ? "perIndex" : "global";
    const grown = (member: "completedIndexes" | "failedIndexes"): number => {
      const [before, after] = [job.status?.[member], status[member]];
      if (before === after) return 0;
      const sizeOf = (text: string | undefined): number => parseIndexes(text, job.spec.completions).size;
      return Math.max(0, sizeOf(after) - sizeOf(before));
    };
    this.#indexes.add(grown("completedIndexes"), "succeeded", limit);
    const failed = grown("failedIndexes");
    if (failed > 0) this.#indexes.add(failed, "failed", limit);
  }

  /** All of it in Prometheus' text format. */
  text(): string {
    return [
      this.#indexes,
      this.#pods,
      this.#creations,
      this.#syncSeconds,
      this.#syncs,
      this.#foreign,
      this.#finished,
      this.#policies,
      this.#tracked,
    ]
      .map((each) => each.text())
      .join("");
  }
}

const modeOf = ({ spec }: Job): string => spec.completionMode ?? "NonIndexed";

const isHeldAtItsEnd = (pod: Pod | undefined): boolean =>
  (pod?.status?.phase === "Succeeded" || pod?.status?.phase === "Failed") &&
  (pod.metadata.finalizers?.includes(TRACKING) ?? false);
