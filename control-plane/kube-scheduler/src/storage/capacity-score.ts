import { quantityValue } from "@coracle/apimachinery";
import { classOfClaim, classOfVolume, requestOf } from "@coracle/apimachinery/storage";
import { MAX_NODE_SCORE } from "../framework/plugin.ts";
import type { VolumeDecision } from "./volume-decision.ts";

/** A score (0 to 10) at a utilization (0 to 100); between two points the score goes straight. */
export interface UtilizationPoint {
  readonly utilization: number;
  readonly score: number;
}

const MAX_POINT_SCORE = 10;
const FULL = 100;

/** How good storage is used on a node, 0 to 100: the mean over storage classes. */
export function capacityScore(decision: VolumeDecision, shape: readonly UtilizationPoint[]): number {
  if (decision.type === "unfit") return 0;
  const byClass = new Map<string, { requested: number; capacity: number }>();
  const sumOf = (name: string): { requested: number; capacity: number } => {
    let sum = byClass.get(name);
    if (sum === undefined) byClass.set(name, (sum = { requested: 0, capacity: 0 }));
    return sum;
  };
  for (const { claim, volume } of decision.bindings) {
    const sum = sumOf(classOfVolume(volume));
    sum.requested += quantityValue(requestOf(claim));
    sum.capacity += quantityValue(volume.spec?.capacity?.["storage"]);
  }
  if (decision.bindings.length === 0)
    for (const { claim, capacity } of decision.provisions) {
      if (capacity === undefined) continue;
      const sum = sumOf(classOfClaim(claim));
      sum.requested += quantityValue(requestOf(claim));
      sum.capacity = quantityValue(capacity.capacity);
    }
  if (byClass.size === 0) return 0;
  let total = 0;
  for (const { requested, capacity } of byClass.values()) {
    const isFull = capacity === 0 || requested > capacity;
    total += scoreAt(shape, isFull ? FULL : Math.trunc((requested * FULL) / capacity));
  }
  return Math.round(total / byClass.size);
}

function scoreAt(shape: readonly UtilizationPoint[], utilization: number): number {
  const scale = MAX_NODE_SCORE / MAX_POINT_SCORE;
  for (const [i, point] of shape.entries()) {
    if (utilization > point.utilization) continue;
    const before = shape[i - 1];
    if (before === undefined) return point.score * scale;
    const rise = (point.score - before.score) * scale * (utilization - before.utilization);
    return before.score * scale + Math.trunc(rise / (point.utilization - before.utilization));
  }
  return (shape.at(-1)?.score ?? 0) * scale;
}
