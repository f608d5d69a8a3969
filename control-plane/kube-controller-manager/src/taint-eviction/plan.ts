import type { Taint, Toleration } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { instantOf } from "../time/timestamp.ts";

export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if ((toleration.effect ?? "") !== "" && toleration.effect !== taint.effect) return false;
  const { key = "", operator = "Equal" } = toleration;
  if (key === "" && operator === "Exists") return true;
  if (key !== taint.key) return false;
  return operator === "Exists" || (toleration.value ?? "") === (taint.value ?? "");
}

/**
 * Milliseconds until a pod must leave a node with these NoExecute taints; undefined: it may stay. Whoever adds a taint
 * need not say when: it then counts from `firstSeen`, when the pod was first found to have to leave.
 */
export function msUntilEviction(
  taints: readonly Taint[],
  tolerations: readonly Toleration[],
  now: Instant,
  firstSeen: Instant = now,
): number | undefined {
  let earliest: number | undefined;
  for (const taint of taints) {
    if (taint.effect !== "NoExecute") continue;
    const matching = tolerations.filter((each) => tolerates(each, taint));
    if (matching.length === 0) return 0;
    const limits = matching.flatMap((each) => (each.tolerationSeconds === undefined ? [] : [each.tolerationSeconds]));
    if (limits.length < matching.length && limits.length === 0) continue;
    const seconds = Math.max(0, Math.min(...limits));
    const ms = Math.max(0, (instantOf(taint.timeAdded) ?? firstSeen) + seconds * 1000 - now);
    earliest = Math.min(earliest ?? ms, ms);
  }
  return earliest;
}
