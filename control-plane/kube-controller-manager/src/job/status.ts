import type { Job, JobCondition, JobStatus } from "@coracle/api/batch/v1";
import type { Instant } from "@coracle/base";
import { timestamp } from "../time/timestamp.ts";
import type { Ending } from "./plan.ts";

export const conditionOf = (job: Job, type: string): JobCondition | undefined =>
  job.status?.conditions?.find((condition) => condition.type === type);

/** The Job has ended for good. */
export function isFinished(job: Job): boolean {
  return conditionOf(job, "Complete")?.status === "True" || conditionOf(job, "Failed")?.status === "True";
}

/** How the Job is about to end, as told by an earlier pass. */
export function announcedEnding(job: Job): Ending | undefined {
  for (const [type, outcome] of [
    ["SuccessCriteriaMet", "Complete"],
    ["FailureTarget", "Failed"],
  ] as const) {
    const condition = conditionOf(job, type);
    if (condition?.status === "True")
      return { outcome, reason: condition.reason ?? "", message: condition.message ?? "" };
  }
  return undefined;
}

/** `conditions` with this one; unchanged when it says so already. */
export function withCondition(
  conditions: readonly JobCondition[],
  type: string,
  status: string,
  { reason, message }: Pick<Ending, "reason" | "message">,
  now: Instant,
): readonly JobCondition[] {
  const before = conditions.find((each) => each.type === type);
  if (before?.status === status && before.reason === reason && before.message === message) return conditions;
  const at = timestamp(now);
  const condition = { type, status, reason, message, lastProbeTime: at, lastTransitionTime: at };
  if (before === undefined) return [...conditions, condition];
  return conditions.map((each) => (each.type === type ? condition : each));
}

/** The conditions of a Job that ends, or (with `isFinal`) has ended. */
export function endingConditions(
  conditions: readonly JobCondition[],
  ending: Ending,
  isFinal: boolean,
  now: Instant,
): readonly JobCondition[] {
  const target = ending.outcome === "Failed" ? "FailureTarget" : "SuccessCriteriaMet";
  const announced = withCondition(conditions, target, "True", ending, now);
  return isFinal ? withCondition(announced, ending.outcome, "True", ending, now) : announced;
}

/** Without members that say nothing. */
export function compactStatus(status: JobStatus): JobStatus {
  const { uncountedTerminatedPods } = status;
  const named = uncountedTerminatedPods && { uncountedTerminatedPods: withoutEmpty(uncountedTerminatedPods) };
  const entries = Object.entries(withoutEmpty({ ...status, ...named })).filter(
    ([key, value]) => !(value === 0 && key !== "ready" && key !== "terminating"),
  );
  return Object.fromEntries(entries);
}

/** Without what is absent, and lists of nothing, which a server does not keep. */
function withoutEmpty<T extends object>(object: T): Partial<T> {
  const entries = Object.entries(object).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  return Object.fromEntries(entries) as Partial<T>;
}
