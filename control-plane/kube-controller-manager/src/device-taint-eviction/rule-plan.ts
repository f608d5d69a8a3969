import type { Condition } from "@coracle/api/meta/v1";
import type { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import type { Instant } from "@coracle/base";
import { instantOf, timestamp } from "../time/timestamp.ts";

/** What a rule does, or would do if it drove pods away. */
export interface RuleEffect {
  readonly pods: number;
  readonly namespaces: number;
  readonly publishedDevices: number;
  readonly allocatedDevices: number;
  /** Pods driven away for its sake since the controller began. */
  readonly evicted: number;
}

const TYPE = "EvictionInProgress";
/** A condition that is about the present spec is not changed more often. */
export const STATUS_PERIOD_MS = 10_000;

const count = (number: number, one: string, many: string): string => (number === 1 ? `1 ${one}` : `${number} ${many}`);
const places = (number: number): string => count(number, "namespace", "different namespaces");

const conditionOf = ({ status }: DeviceTaintRule): Condition | undefined =>
  status?.conditions?.find(({ type }) => type === TYPE);

/** How long its condition must stay as it is; nothing: it may be written. */
export function restOf(rule: DeviceTaintRule, now: Instant): number | undefined {
  const existing = conditionOf(rule);
  if (existing === undefined || existing.observedGeneration !== rule.metadata.generation) return undefined;
  const leftMs = (instantOf(existing.lastTransitionTime) ?? 0) + STATUS_PERIOD_MS - now;
  return leftMs > 0 ? leftMs : undefined;
}

function told({ spec }: DeviceTaintRule, effect: RuleEffect): Pick<Condition, "status" | "reason" | "message"> {
  const { pods, namespaces, publishedDevices, allocatedDevices, evicted } = effect;
  if (spec.taint.effect === "None")
    return {
      status: "False",
      reason: "NoEffect",
      message:
        `${count(publishedDevices, "published device selected. ", "published devices selected. ")}` +
        `${count(allocatedDevices, "allocated device selected. ", "allocated devices selected. ")}` +
        `${count(pods, "pod", "pods")} would be evicted in ${places(namespaces)} if the effect was NoExecute. ` +
        "This information will not be updated again. Recreate the DeviceTaintRule to trigger an update.",
    };
  if (spec.taint.effect !== "NoExecute")
    return { status: "False", reason: "OtherEffect", message: "Eviction only happens for the NoExecute effect." };
  if (pods > 0)
    return {
      status: "True",
      reason: "PodsPendingEviction",
      message: `${count(pods, "pod needs", "pods need")} to be evicted in ${places(namespaces)}.`,
    };
  return { status: "False", reason: evicted > 0 ? "Completed" : "NotStarted", message: "" };
}

/** What a rule's condition is to say now; undefined: what it says already. */
export function ruleCondition(rule: DeviceTaintRule, effect: RuleEffect, now: Instant): Condition | undefined {
  const { message, ...rest } = told(rule, effect);
  const done =
    effect.evicted === 0 ? "" : `${count(effect.evicted, "pod", "pods")} evicted since starting the controller.`;
  const wanted = {
    ...rest,
    type: TYPE,
    message: [message, done].filter((part) => part !== "").join(" "),
    observedGeneration: rule.metadata.generation,
  };
  const existing = conditionOf(rule);
  const isSame =
    existing !== undefined &&
    (["status", "reason", "message", "observedGeneration"] as const).every(
      (member) => existing[member] === wanted[member],
    );
  return isSame ? undefined : { ...wanted, lastTransitionTime: timestamp(now) };
}
