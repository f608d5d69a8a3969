import { MAX_NODE_SCORE } from "../framework/plugin.ts";

/** A resource that is compared, and how much it counts. */
export interface ResourceWeight {
  readonly name: string;
  readonly weight: number;
}

/** A point of the line from use (percent) to score (0 to 10). */
export interface ShapePoint {
  readonly utilization: number;
  readonly score: number;
}

/** Which nodes are better: the emptier ones, the fuller ones, or as a line says. */
export interface ScoringStrategy {
  readonly type: "LeastAllocated" | "MostAllocated" | "RequestedToCapacityRatio";
  readonly resources?: readonly ResourceWeight[] | undefined;
  readonly requestedToCapacityRatio?: { readonly shape?: readonly ShapePoint[] | undefined } | undefined;
}

/** Looks up an amount of the resource with this index. */
type Amounts = (index: number) => number;

/** The score, 0 to 100, of a node with so much allocatable (0: left out) of which so much would be requested. */
export type ResourceScorer = (allocatable: Amounts, requested: Amounts) => number;

const MAX_SHAPE_SCORE = 10;
const FULL = 100;

/** Scores by one resource after the other. */
export function resourceScorer(strategy: ScoringStrategy, resources: readonly ResourceWeight[]): ResourceScorer {
  const weights = resources.map(({ weight }) => weight);
  const isByShape = strategy.type === "RequestedToCapacityRatio";
  const scoreOne = isByShape
    ? shaped(strategy.requestedToCapacityRatio?.shape ?? [])
    : strategy.type === "MostAllocated"
      ? mostAllocated
      : leastAllocated;
  return (allocatable, requested) => {
    let sum = 0;
    let divisor = 0;
    for (let i = 0; i < weights.length; i++) {
      const capacity = allocatable(i);
      if (capacity === 0) continue;
      const score = scoreOne(requested(i), capacity);
      if (isByShape && score <= 0) continue;
      const weight = weights[i] ?? 0;
      sum += score * weight;
      divisor += weight;
    }
    if (divisor === 0) return 0;
    return isByShape ? Math.round(sum / divisor) : Math.trunc(sum / divisor);
  };
}

function leastAllocated(requested: number, capacity: number): number {
  return requested > capacity ? 0 : Math.trunc(((capacity - requested) * MAX_NODE_SCORE) / capacity);
}

function mostAllocated(requested: number, capacity: number): number {
  return Math.trunc((Math.min(requested, capacity) * MAX_NODE_SCORE) / capacity);
}

function shaped(shape: readonly ShapePoint[]): (requested: number, capacity: number) => number {
  const points = shape.map(({ utilization, score }) => ({
    utilization,
    score: score * (MAX_NODE_SCORE / MAX_SHAPE_SCORE),
  }));
  const at = (use: number): number => {
    for (const [i, { utilization, score }] of points.entries()) {
      if (use > utilization) continue;
      const before = points[i - 1];
      if (before === undefined) return score;
      const rise = (score - before.score) * (use - before.utilization);
      return before.score + Math.trunc(rise / (utilization - before.utilization));
    }
    return points.at(-1)?.score ?? 0;
  };
  return (requested, capacity) => at(requested > capacity ? FULL : Math.trunc((requested * FULL) / capacity));
}

/** The evener the shares in use are, the better. */
export function balanceScorer(resources: readonly ResourceWeight[]): ResourceScorer {
  const count = resources.length;
  return (allocatable, requested) => {
    let used = 0;
    let sum = 0;
    let squares = 0;
    let first = 0;
    let second = 0;
    for (let i = 0; i < count; i++) {
      const capacity = allocatable(i);
      if (capacity === 0) continue;
      const share = Math.min(1, requested(i) / capacity);
      if (used === 0) first = share;
      else second = share;
      used++;
      sum += share;
    }
    let deviation = 0;
    if (used === 2) deviation = Math.abs((first - second) / 2);
    else if (used > 2) {
      const mean = sum / used;
      for (let i = 0; i < count; i++) {
        const capacity = allocatable(i);
        if (capacity !== 0) squares += (Math.min(1, requested(i) / capacity) - mean) ** 2;
      }
      deviation = Math.sqrt(squares / used);
    }
    return Math.trunc((1 - deviation) * MAX_NODE_SCORE);
  };
}
