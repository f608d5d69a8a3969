import type { HorizontalPodAutoscalerCondition as Condition } from "@coracle/api/autoscaling/v2";
import type { Instant } from "@coracle/base";
import { timestamp } from "../time/timestamp.ts";

export type ConditionType = "AbleToScale" | "ScalingActive" | "ScalingLimited";

/** `conditions` with this one said anew; the time changes only with the status. */
export function withCondition(
  conditions: readonly Condition[],
  type: ConditionType,
  isTrue: boolean,
  { reason, message }: { readonly reason: string; readonly message: string },
  now: Instant,
): readonly Condition[] {
  const old = conditions.find((each) => each.type === type);
  const status = isTrue ? "True" : "False";
  const lastTransitionTime = old?.status === status ? old.lastTransitionTime : timestamp(now);
  const said: Condition = { type, status, reason, message, lastTransitionTime };
  return old === undefined ? [...conditions, said] : conditions.map((each) => (each === old ? said : each));
}
