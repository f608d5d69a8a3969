import type { HPAScalingPolicy, HPAScalingRules } from "@coracle/api/autoscaling/v2";
import type { Instant } from "@coracle/base";

/** A number and when it was said. */
interface Said {
  readonly value: number;
  readonly at: Instant;
}

/** What is remembered of one autoscaler, in memory alone: a restart begins anew with the present number. */
export interface ScalingHistory {
  /** What the metrics asked for. */
  readonly recommendations: readonly Said[];
  /** By how much it was scaled. */
  readonly ups: readonly Said[];
  readonly downs: readonly Said[];
}

/** The number of replicas after all limits, with what the conditions say of it. */
export interface LimitedReplicas {
  readonly replicas: number;
  readonly ableToScale: Verdict;
  /** `isTrue`: a limit held it back. */
  readonly scalingLimited: Verdict & { readonly isTrue: boolean };
  readonly history: ScalingHistory;
}

export interface Verdict {
  readonly reason: string;
  readonly message: string;
}

/** The bounds of an autoscaler and where it stands. */
export interface Bounds {
  readonly current: number;
  readonly min: number;
  readonly max: number;
  readonly now: Instant;
}

const READY: Verdict = { reason: "ReadyForNewScale", message: "recommended size matches current size" };
const DOWN_STABILIZED: Verdict = {
  reason: "ScaleDownStabilized",
  message: "recent recommendations were higher than current one, applying the highest recent recommendation",
};
const UP_STABILIZED: Verdict = {
  reason: "ScaleUpStabilized",
  message: "recent recommendations were lower than current one, applying the lowest recent recommendation",
};
const TOO_MANY: Verdict = {
  reason: "TooManyReplicas",
  message: "the desired replica count is more than the maximum replica count",
};
const TOO_FEW: Verdict = {
  reason: "TooFewReplicas",
  message: "the desired replica count is less than the minimum replica count",
};
const UP_LIMIT: Verdict = {
  reason: "ScaleUpLimit",
  message: "the desired replica count is increasing faster than the maximum scale rate",
};
const DOWN_LIMIT: Verdict = {
  reason: "ScaleDownLimit",
  message: "the desired replica count is decreasing faster than the maximum scale rate",
};
const WITHIN: Verdict = {
  reason: "DesiredWithinRange",
  message: "the desired count is within the acceptable range",
};

const UP_FACTOR = 2;
const UP_AT_LEAST = 4;

/** Nothing is known but the present number, which keeps a restart from scaling down at once. */
export const startHistory = (current: number, now: Instant): ScalingHistory => ({
  recommendations: [{ value: current, at: now }],
  ups: [],
  downs: [],
});

/** The rules for an autoscaler that names none: down after `windowMs`, up to twice as many at once. */
export function limitPlainly(
  wanted: number,
  history: ScalingHistory,
  { current, min, max, now }: Bounds,
  windowMs: number,
): LimitedReplicas {
  const recent = history.recommendations.filter(({ at }) => at >= now - windowMs);
  const stable = Math.max(wanted, ...recent.map(({ value }) => value));
  const upLimit = Math.max(UP_FACTOR * current, UP_AT_LEAST);
  const [most, mostVerdict] = max > upLimit ? [upLimit, UP_LIMIT] : [max, TOO_MANY];
  const [replicas, verdict] = stable < min ? [min, TOO_FEW] : stable > most ? [most, mostVerdict] : [stable, WITHIN];
  return {
    replicas,
    ableToScale: stable === wanted ? READY : DOWN_STABILIZED,
    scalingLimited: { ...verdict, isTrue: replicas !== stable },
    history: { ...history, recommendations: [...recent, { value: wanted, at: now }] },
  };
}

/** The rules that an autoscaler names in `spec.behavior`; `windowMs` is for those that do not say how long to look back. */
export function limitByBehavior(
  wanted: number,
  history: ScalingHistory,
  bounds: Bounds,
  { scaleUp = {}, scaleDown = {} }: { scaleUp?: HPAScalingRules | undefined; scaleDown?: HPAScalingRules | undefined },
  windowMs: number,
): LimitedReplicas {
  const { current, now } = bounds;
  const upFrom = now - windowOf(scaleUp, 0);
  const downFrom = now - windowOf(scaleDown, windowMs);
  let lowest = wanted;
  let highest = wanted;
  for (const { value, at } of history.recommendations) {
    if (at > upFrom) lowest = Math.min(lowest, value);
    if (at > downFrom) highest = Math.max(highest, value);
  }
  const stable = Math.min(Math.max(current, lowest), highest);
  const [replicas, verdict] = limitRate(stable, history, bounds, scaleUp, scaleDown);
  const kept = history.recommendations.filter(({ at }) => at >= Math.min(upFrom, downFrom));
  return {
    replicas,
    ableToScale: stable === wanted ? READY : wanted >= current ? UP_STABILIZED : DOWN_STABILIZED,
    scalingLimited: { ...verdict, isTrue: replicas !== stable },
    history: { ...history, recommendations: [...kept, { value: wanted, at: now }] },
  };
}

const windowOf = ({ stabilizationWindowSeconds }: HPAScalingRules, fallbackMs: number): number =>
  stabilizationWindowSeconds === undefined ? fallbackMs : stabilizationWindowSeconds * 1000;

function limitRate(
  wanted: number,
  history: ScalingHistory,
  { current, min, max, now }: Bounds,
  scaleUp: HPAScalingRules,
  scaleDown: HPAScalingRules,
): readonly [number, Verdict] {
  if (wanted > current) {
    const limit = Math.max(current, rateLimit(scaleUp, current, 1, history, now));
    const [most, verdict] = max > limit ? [limit, UP_LIMIT] : [max, TOO_MANY];
    if (wanted > most) return [most, verdict];
  } else if (wanted < current) {
    const limit = Math.min(current, rateLimit(scaleDown, current, -1, history, now));
    const [least, verdict] = min < limit ? [limit, DOWN_LIMIT] : [min, TOO_FEW];
    if (wanted < least) return [least, verdict];
  }
  return [wanted, WITHIN];
}

const DEFAULT_UP: readonly HPAScalingPolicy[] = [
  { type: "Pods", value: 4, periodSeconds: 15 },
  { type: "Percent", value: 100, periodSeconds: 15 },
];
const DEFAULT_DOWN: readonly HPAScalingPolicy[] = [{ type: "Percent", value: 100, periodSeconds: 15 }];

const policiesOf = (
  { policies }: HPAScalingRules,
  fallback: readonly HPAScalingPolicy[],
): readonly HPAScalingPolicy[] => policies ?? fallback;

/** How far the policies let go up (`direction` 1) or down (-1), seen from where each one's period began. */
function rateLimit(
  rules: HPAScalingRules,
  current: number,
  direction: 1 | -1,
  { ups, downs }: ScalingHistory,
  now: Instant,
): number {
  if (rules.selectPolicy === "Disabled") return current;
  const proposals = policiesOf(rules, direction === 1 ? DEFAULT_UP : DEFAULT_DOWN).map(
    ({ type, value, periodSeconds }) => {
      const since = now - periodSeconds * 1000;
      const start = current - changesSince(ups, since) + changesSince(downs, since);
      if (type === "Pods") return start + direction * value;
      const scaled = start * (1 + (direction * value) / 100);
      return direction === 1 ? Math.ceil(scaled) : Math.trunc(scaled);
    },
  );
  const isFurthest = rules.selectPolicy !== "Min";
  return isFurthest === (direction === 1) ? Math.max(...proposals) : Math.min(...proposals);
}

const changesSince = (changes: readonly Said[], since: Instant): number =>
  changes.reduce((sum, { value, at }) => (at > since ? sum + value : sum), 0);

/** Remembers that it was scaled; nothing is, without rules that ask. */
export function recordScaling(
  history: ScalingHistory,
  from: number,
  to: number,
  behavior:
    | { readonly scaleUp?: HPAScalingRules | undefined; readonly scaleDown?: HPAScalingRules | undefined }
    | undefined,
  now: Instant,
): ScalingHistory {
  if (behavior === undefined) return history;
  const isUp = to > from;
  const policies = isUp
    ? policiesOf(behavior.scaleUp ?? {}, DEFAULT_UP)
    : policiesOf(behavior.scaleDown ?? {}, DEFAULT_DOWN);
  const since = now - Math.max(0, ...policies.map(({ periodSeconds }) => periodSeconds * 1000));
  const known = (isUp ? history.ups : history.downs).filter(({ at }) => at >= since);
  const changes = [...known, { value: Math.abs(to - from), at: now }];
  return isUp ? { ...history, ups: changes } : { ...history, downs: changes };
}
