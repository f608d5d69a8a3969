import type { Job } from "@coracle/api/batch/v1";
import type { Pod } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { instantOf } from "../time/timestamp.ts";
import { matchFailurePolicy } from "./failure-policy.ts";
import { indexOf } from "./indexes.ts";

export const FAILURE_COUNT = "batch.kubernetes.io/job-index-failure-count";
export const IGNORED_FAILURE_COUNT = "batch.kubernetes.io/job-index-ignored-failure-count";

const BACKOFF_MS = 10_000;
const BACKOFF_MAX_MS = 600_000;

/** How long to wait after the latest of `failures` failures in a row. */
export function backoffMs(failures: number): number {
  return failures === 0 ? 0 : Math.min(BACKOFF_MS * 2 ** (failures - 1), BACKOFF_MAX_MS);
}

/** Each index has its own number of tries. */
export const countsPerIndex = (job: Job): boolean =>
  job.spec.backoffLimitPerIndex !== undefined && job.spec.completionMode === "Indexed";

/** What the next pod of an index has to know of those before it. */
export interface IndexHistory {
  readonly failures: number;
  readonly ignored: number;
  /** Not before this time. */
  readonly retryAt: Instant;
}

export interface IndexFailures {
  /** Indexes that are given up, the new ones too. */
  readonly failedIndexes: ReadonlySet<number>;
  /** By index: the failures so far, of those that get another try. */
  readonly histories: ReadonlyMap<number, IndexHistory>;
  /** Ended pods that carry the count of their index until a successor does: they must not go before. */
  readonly held: ReadonlySet<Pod>;
}

const annotated = (pod: Pod, name: string): number => {
  const text = pod.metadata.annotations?.[name] ?? "";
  return /^\d+$/.test(text) ? Number(text) : 0;
};

/** Goes through the failed pods of a Job with a limit per index; `done` are indexes that need no more tries. */
export function judgeIndexes(
  job: Job,
  failed: readonly Pod[],
  active: readonly Pod[],
  done: ReadonlySet<number>,
  givenUp: Iterable<number>,
): IndexFailures {
  const limit = job.spec.backoffLimitPerIndex ?? Infinity;
  const failedIndexes = new Set(givenUp);
  const busy = new Set(active.map(indexOf));
  const latest = new Map<number, { readonly pod: Pod; readonly history: IndexHistory }>();
  for (const pod of failed) {
    const index = indexOf(pod);
    if (index === undefined || done.has(index)) continue;
    const action = matchFailurePolicy(job, pod)?.action;
    const isIgnored = action === "Ignore";
    const failures = annotated(pod, FAILURE_COUNT) + (isIgnored ? 0 : 1);
    const ignored = annotated(pod, IGNORED_FAILURE_COUNT) + (isIgnored ? 1 : 0);
    if (action === "FailIndex" || failures > limit) failedIndexes.add(index);
    const retryAt = endOf(pod) + backoffMs(failures + ignored);
    const known = latest.get(index)?.history;
    if (known === undefined || failures + ignored > known.failures + known.ignored)
      latest.set(index, { pod, history: { failures, ignored, retryAt } });
  }
  const histories = new Map<number, IndexHistory>();
  const held = new Set<Pod>();
  for (const [index, { pod, history }] of latest) {
    if (failedIndexes.has(index) || busy.has(index)) continue;
    histories.set(index, history);
    held.add(pod);
  }
  return { failedIndexes, histories, held };
}

/** When the pod ended: its last container; else when it ceased to be ready, was to be deleted, or was made. */
export function endOf({ metadata, spec, status }: Pod): Instant {
  const sidecars = new Set(
    (spec.initContainers ?? []).filter((each) => each.restartPolicy === "Always").map((each) => each.name),
  );
  const ends = [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []).filter((each) => sidecars.has(each.name)),
  ].map(({ state }) => instantOf(state?.terminated?.finishedAt));
  const known = ends.filter((at) => at !== undefined);
  if (ends.length > 0 && known.length === ends.length) return Math.max(...known);
  const ready = status?.conditions?.find((each) => each.type === "Ready" && each.status === "False");
  const deletedAt = instantOf(metadata.deletionTimestamp);
  return (
    instantOf(ready?.lastTransitionTime) ??
    (deletedAt === undefined ? undefined : deletedAt - (metadata.deletionGracePeriodSeconds ?? 0) * 1000) ??
    instantOf(metadata.creationTimestamp) ??
    0
  );
}
