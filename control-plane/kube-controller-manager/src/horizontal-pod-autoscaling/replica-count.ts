import type { Pod } from "@coracle/api/core/v1";
import {
  countReadyPods,
  groupPods,
  MetricError,
  requestsOf,
  requirePods,
  type PodSamples,
  type ReadinessRules,
} from "./pod-groups.ts";

/** How far from 1 the ratio of usage to target may be before anything is changed. */
export interface Tolerances {
  readonly scaleUp: number;
  readonly scaleDown: number;
}

/** What a metric asks for, and what of it is told in the status. */
export interface ReplicaCount {
  readonly replicas: number;
  /** In thousandths: of a pod on average, or the whole of an object. */
  readonly usage: number;
  /** In percent of what is asked for; of targets in percent alone. */
  readonly utilization?: number;
}

/** The target whose replicas are counted. */
export interface ScaledPods {
  readonly pods: readonly Pod[];
  /** As its spec says. */
  readonly replicas: number;
  readonly tolerances: Tolerances;
  readonly rules: ReadinessRules;
}

const MAX_INT32 = 2 ** 31 - 1;

const isWithin = ({ scaleUp, scaleDown }: Tolerances, ratio: number): boolean =>
  1 - scaleDown <= ratio && ratio <= 1 + scaleUp;

const roundUp = (replicas: number): number => Math.min(Math.ceil(replicas), MAX_INT32);

/** How the samples of all pods relate to the target. */
interface Usage {
  readonly ratio: number;
  readonly average: number;
  readonly utilization?: number;
}

/** Replicas that bring the use of `resource` to `targetPercent` of what the pods (or the container) ask for. */
export function replicasByUtilization(
  target: ScaledPods,
  samples: PodSamples,
  { resource, container, targetPercent }: { resource: string; container?: string | undefined; targetPercent: number },
): ReplicaCount {
  requirePods(target.pods);
  let requests: ReadonlyMap<string, number> | undefined;
  const requested = (): ReadonlyMap<string, number> => (requests ??= requestsOf(target.pods, container, resource));
  return replicasBySamples(target, samples, resource, {
    usageOf(values) {
      let used = 0;
      let asked = 0;
      let count = 0;
      for (const [name, value] of values) {
        const request = requested().get(name);
        if (request === undefined) continue; // a sample of a pod that is gone
        used += value;
        asked += request;
        count++;
      }
      if (asked === 0) throw new MetricError("no metrics returned matched known pods");
      const utilization = Math.trunc((used * 100) / asked);
      return { ratio: utilization / targetPercent, average: Math.trunc(used / count), utilization };
    },
    fullUseOf: (name) => Math.trunc(((requested().get(name) ?? 0) * Math.max(100, targetPercent)) / 100),
  });
}

/** Replicas that bring what a pod uses on average to `targetUsage`, in thousandths. */
export function replicasByAverage(
  target: ScaledPods,
  samples: PodSamples,
  targetUsage: number,
  resource?: string,
): ReplicaCount {
  return replicasBySamples(target, samples, resource, {
    usageOf(values) {
      let used = 0;
      for (const value of values.values()) used += value;
      const average = Math.trunc(used / values.size);
      return { ratio: average / targetUsage, average };
    },
    fullUseOf: () => targetUsage,
  });
}

interface SampleRules {
  /** Throws MetricError when the samples say nothing. */
  readonly usageOf: (values: ReadonlyMap<string, number>) => Usage;
  /** What a pod without a sample is taken to use before anything is scaled down. */
  readonly fullUseOf: (name: string) => number;
}

/**
 * Pods without a sample count against the change: as idle when it would go up, as busy when it would go down. Nothing
 * changes when that turns the direction around.
 */
function replicasBySamples(
  { pods, replicas, tolerances, rules }: ScaledPods,
  samples: PodSamples,
  resource: string | undefined,
  { usageOf, fullUseOf }: SampleRules,
): ReplicaCount {
  requirePods(pods);
  const { readyCount, unready, missing, ignored } = groupPods(pods, samples, resource, rules);
  const without = new Set([...unready, ...ignored]);
  const values = new Map<string, number>();
  for (const [name, { value }] of samples) if (!without.has(name)) values.set(name, value);
  if (values.size === 0) throw new MetricError("did not receive metrics for targeted pods (pods might be unready)");

  const { ratio, average: usage, utilization } = usageOf(values);
  const answer = (count: number): ReplicaCount => ({
    replicas: count,
    usage,
    ...(utilization === undefined ? {} : { utilization }),
  });
  const isUpWithUnready = unready.length > 0 && ratio > 1;
  if (!isUpWithUnready && missing.length === 0)
    return answer(isWithin(tolerances, ratio) ? replicas : roundUp(ratio * readyCount));

  if (ratio !== 1) for (const name of missing) values.set(name, ratio < 1 ? fullUseOf(name) : 0);
  if (isUpWithUnready) for (const name of unready) values.set(name, 0);
  const { ratio: careful } = usageOf(values);
  const isTurned = (ratio < 1 && careful > 1) || (ratio > 1 && careful < 1);
  if (isWithin(tolerances, careful) || isTurned) return answer(replicas);
  const count = roundUp(careful * values.size);
  const isCountTurned = (careful < 1 && count > replicas) || (careful > 1 && count < replicas);
  return answer(isCountTurned ? replicas : count);
}

/** Replicas that bring one value, of an object or from outside, to `targetUsage`. */
export function replicasByValue(
  { pods, replicas, tolerances }: ScaledPods,
  usage: number,
  targetUsage: number,
): ReplicaCount {
  const ratio = usage / targetUsage;
  if (replicas === 0) return { replicas: roundUp(ratio), usage };
  if (isWithin(tolerances, ratio)) return { replicas, usage };
  return { replicas: roundUp(ratio * readyPodsOf(pods)), usage };
}

function readyPodsOf(pods: readonly Pod[]): number {
  try {
    return countReadyPods(pods);
  } catch (error) {
    if (error instanceof MetricError) throw new MetricError(`unable to calculate ready pods: ${error.message}`);
    throw error;
  }
}

/** Replicas of which each has `targetPerPod` of one value; `present` is how many there are. */
export function replicasByShare(
  present: number,
  tolerances: Tolerances,
  usage: number,
  targetPerPod: number,
): ReplicaCount {
  const isFine = isWithin(tolerances, usage / (targetPerPod * present));
  return {
    replicas: isFine ? present : roundUp(usage / targetPerPod),
    usage: present === 0 ? usage : Math.ceil(usage / present),
  };
}
