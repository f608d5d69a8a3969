import type { KubeObject } from "@coracle/api";
import type { DaemonSet, Deployment, StatefulSet } from "@coracle/api/apps/v1";
import type { Job } from "@coracle/api/batch/v1";
import type { Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { isLive, isReady } from "./families/pods.ts";

/** What happened to a pod, as a watch tells it. */
export interface PodChange {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly pod: Pod;
}

/** All that happened in a namespace during one step of a history. */
export interface StepHistory {
  /** The pods there were when it began. */
  readonly pods: readonly Pod[];
  /** In the order in which the API server did it. */
  readonly changes: readonly PodChange[];
  /** The controllers' objects before and after the step. */
  readonly before: readonly KubeObject[];
  readonly after: readonly KubeObject[];
  /** Pods that somebody else than the controllers did something to. */
  readonly harmed: ReadonlySet<string>;
  /** Somebody tried to evict pods, and changed nothing else. */
  readonly isEviction: boolean;
}

/** A rule of one object: judges each moment; answers what is wrong. */
type Rule = (moment: Moment) => string | undefined;

interface Moment {
  readonly change: PodChange;
  /** What the pod was before. */
  readonly old: Pod | undefined;
  readonly pods: ReadonlyMap<string, Pod>;
  readonly harmed: ReadonlySet<string>;
}

/** What went beyond the bounds that controllers keep at every moment, however often they are killed. */
export function violationsOf(step: StepHistory): readonly string[] {
  const rules = [...rulesOf(step)];
  const pods = new Map(step.pods.map((pod) => [pod.metadata.uid ?? "", pod]));
  const violations: string[] = [];
  for (const change of step.changes) {
    const { uid = "" } = change.pod.metadata;
    const old = pods.get(uid);
    if (change.type === "DELETED") pods.delete(uid);
    else pods.set(uid, change.pod);
    for (const [name, rule] of rules) {
      const violation = rule({ change, old, pods, harmed: step.harmed });
      if (violation !== undefined)
        violations.push(`${name}: ${violation}, when ${change.pod.metadata.name} was ${change.type}`);
    }
  }
  return violations;
}

function* rulesOf(step: StepHistory): Iterable<readonly [string, Rule]> {
  for (const object of step.before) {
    const { uid, name } = object.metadata;
    const now = step.after.find((each) => each.metadata.uid === uid);
    const versions = now === undefined ? [object] : [object, now];
    const isOwn = (pod: Pod): boolean => pod.metadata.ownerReferences?.some((owner) => owner.uid === uid) === true;
    const what = `${object.kind} ${name}`;
    switch (object.kind) {
      case "Deployment":
        yield [what, deploymentRule(step, versions as unknown as readonly Deployment[])];
        break;
      case "StatefulSet":
        yield [what, statefulSetRule(versions as unknown as readonly StatefulSet[], isOwn)];
        break;
      case "DaemonSet":
        yield [what, daemonSetRule(step, versions as unknown as readonly DaemonSet[], isOwn)];
        break;
      case "Job":
        yield [what, jobRule(step, versions as unknown as readonly Job[], isOwn)];
        break;
      case "PodDisruptionBudget":
        if (step.isEviction) yield [what, budgetRule(step, object as PodDisruptionBudget)];
    }
  }
}

const countOf = (pods: Iterable<Pod>, fits: (pod: Pod) => boolean): number => [...pods].filter(fits).length;
const most = (numbers: readonly number[]): number => Math.max(...numbers);
const least = (numbers: readonly number[]): number => Math.min(...numbers);

function share(value: number | string | undefined, of: number, round: "up" | "down"): number {
  if (typeof value !== "string") return value ?? 0;
  const exact = (Number.parseInt(value, 10) * of) / 100;
  return round === "up" ? Math.ceil(exact) : Math.floor(exact);
}

/** Never more than wanted and the surge, never fewer ready than wanted less the unavailable; with Recreate never two templates. */
function deploymentRule({ pods, harmed }: StepHistory, versions: readonly Deployment[]): Rule {
  const bounds = versions.map(({ spec }) => {
    const { replicas = 1, strategy } = spec;
    const isRolling = strategy?.type !== "Recreate";
    const surge = isRolling ? share(strategy?.rollingUpdate?.maxSurge, replicas, "up") : 0;
    const unavailable = isRolling ? share(strategy?.rollingUpdate?.maxUnavailable, replicas, "down") : replicas;
    // Both may be rounded to nothing.
    return {
      most: replicas + surge,
      least: replicas - (surge === 0 && unavailable === 0 ? 1 : unavailable),
      isRolling,
    };
  });
  const isOf = (pod: Pod): boolean =>
    pod.metadata.ownerReferences?.some((owner) => owner.kind === "ReplicaSet") === true;
  const liveAtFirst = countOf(pods, (pod) => isOf(pod) && isLive(pod));
  const readyAtFirst = countOf(
    pods,
    (pod) => isOf(pod) && isLive(pod) && isReady(pod) && !harmed.has(pod.metadata.uid ?? ""),
  );
  const [atMost, atLeast] = [
    most([liveAtFirst, ...bounds.map((each) => each.most)]),
    least([readyAtFirst, ...bounds.map((each) => each.least)]),
  ];
  const templatesOf = (all: Iterable<Pod>): number =>
    new Set(
      [...all]
        .filter((pod) => isOf(pod) && pod.status?.phase !== "Succeeded" && pod.status?.phase !== "Failed")
        .map((pod) => pod.metadata.labels?.["pod-template-hash"]),
    ).size;
  const isOneAtATime = bounds.every((each) => !each.isRolling) && templatesOf(pods) <= 1;
  return ({ pods: present }) => {
    const live = [...present.values()].filter((pod) => isOf(pod) && isLive(pod));
    if (live.length > atMost) return `${live.length} pods, at most ${atMost}`;
    const ready = live.filter(isReady).length;
    if (ready < atLeast) return `${ready} ready, at least ${atLeast}`;
    return isOneAtATime && templatesOf(present.values()) > 1 ? "two templates" : undefined;
  };
}

const ordinalOf = ({ metadata }: Pod): number => Number(/-(\d+)$/.exec(metadata.name ?? "")?.[1] ?? -1);

/** Ordered sets grow and shrink one by one and in order; each kind updates from the highest ordinal, where all above are ready. */
function statefulSetRule(versions: readonly StatefulSet[], isOwn: (pod: Pod) => boolean): Rule {
  const rangeOf = ({ spec }: StatefulSet): readonly [number, number] => {
    const start = spec.ordinals?.start ?? 0;
    return [start, start + (spec.replicas ?? 1)];
  };
  return ({ change, old, pods, harmed }) => {
    if (!isOwn(change.pod)) return undefined;
    const ordinal = ordinalOf(change.pod);
    const byOrdinal = new Map([...pods.values()].filter(isOwn).map((pod) => [ordinalOf(pod), pod]));
    const isWell = (at: number): boolean => {
      const pod = byOrdinal.get(at);
      return pod !== undefined && ((isLive(pod) && isReady(pod)) || harmed.has(pod.metadata.uid ?? ""));
    };
    const between = (from: number, to: number): readonly number[] =>
      Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
    const isOrdered = versions.some(({ spec }) => spec.podManagementPolicy !== "Parallel");
    if (change.type === "ADDED" && isOrdered) {
      const isInOrder = versions.some((version) => between(rangeOf(version)[0], ordinal).every(isWell));
      return isInOrder ? undefined : "made before those below were ready";
    }
    const isGoing = old !== undefined && isLive(old) && (change.type === "DELETED" || !isLive(change.pod));
    const hasEnded = change.pod.status?.phase === "Failed" || change.pod.status?.phase === "Succeeded";
    if (!isGoing || hasEnded || !isReady(old) || harmed.has(change.pod.metadata.uid ?? "")) return undefined;
    const isFine = versions.some((version) => {
      const [start, end] = rangeOf(version);
      if (ordinal >= start && ordinal < end) return between(ordinal + 1, end).every(isWell);
      return !isOrdered || ![...byOrdinal.keys()].some((each) => each > ordinal && each >= end);
    });
    return isFine ? undefined : "went before those above";
  };
}

const nodeOf = ({ spec }: Pod): string =>
  spec.nodeName ??
  spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms[0]?.matchFields?.[0]
    ?.values?.[0] ??
  "";

/** One daemon on each node; two with surge. */
function daemonSetRule({ pods }: StepHistory, versions: readonly DaemonSet[], isOwn: (pod: Pod) => boolean): Rule {
  const hasSurge = versions.some(({ spec }) => {
    const surge = spec.updateStrategy?.rollingUpdate?.maxSurge ?? 0;
    return surge !== 0 && surge !== "0%";
  });
  const isThere = (pod: Pod): boolean =>
    isOwn(pod) && (hasSurge ? isLive(pod) : pod.status?.phase !== "Succeeded" && pod.status?.phase !== "Failed");
  const on = (all: Iterable<Pod>, node: string): number => countOf(all, (pod) => isThere(pod) && nodeOf(pod) === node);
  return ({ change, pods: present }) => {
    if (change.type !== "ADDED" || !isOwn(change.pod)) return undefined;
    const node = nodeOf(change.pod);
    const count = on(present.values(), node);
    const limit = Math.max(hasSurge ? 2 : 1, on(pods, node));
    return count > limit ? `${count} on node ${node}` : undefined;
  };
}

const INDEX = "batch.kubernetes.io/job-completion-index";

/** Never wider than wanted, one pod for each index, none beyond the completions. */
function jobRule({ pods }: StepHistory, versions: readonly Job[], isOwn: (pod: Pod) => boolean): Rule {
  const liveAtFirst = countOf(pods, (pod) => isOwn(pod) && isLive(pod));
  const atMost = most([liveAtFirst, ...versions.map(({ spec }) => spec.parallelism ?? 1)]);
  const completions = versions.some(({ spec }) => spec.completions === undefined)
    ? Infinity
    : most(versions.map(({ spec }) => spec.completions ?? 0));
  const isIndexed = versions.every(({ spec }) => spec.completionMode === "Indexed");
  const isGood = (pod: Pod): boolean => isOwn(pod) && pod.status?.phase === "Succeeded";
  // Those that ended well earlier may be gone; they are counted.
  const counted = least(versions.map(({ status }) => status?.succeeded ?? 0));
  const goodAtFirst = new Set(pods.filter(isGood).map(({ metadata }) => metadata.uid));
  const good = new Set(goodAtFirst);
  return ({ change, pods: present }) => {
    if (isGood(change.pod)) good.add(change.pod.metadata.uid);
    if (change.type !== "ADDED" || !isOwn(change.pod)) return undefined;
    const live = [...present.values()].filter((pod) => isOwn(pod) && isLive(pod));
    if (live.length > atMost) return `${live.length} pods, at most ${atMost}`;
    const total = live.length + Math.max(counted, goodAtFirst.size) + (good.size - goodAtFirst.size);
    if (total > Math.max(completions, liveAtFirst + goodAtFirst.size)) return `${total} for ${completions} completions`;
    const same = live.filter((pod) => pod.metadata.annotations?.[INDEX] === change.pod.metadata.annotations?.[INDEX]);
    return isIndexed && same.length > 1 ? "two of an index" : undefined;
  };
}

/** However many evictions are asked for, as many pods stay healthy as the budget says. */
function budgetRule({ pods }: StepHistory, { spec, status }: PodDisruptionBudget): Rule {
  const labels = Object.entries(spec?.selector?.matchLabels ?? {});
  const isOf = (pod: Pod): boolean => labels.every(([key, value]) => pod.metadata.labels?.[key] === value);
  const isHealthy = (pod: Pod): boolean => isOf(pod) && isLive(pod) && isReady(pod);
  const atLeast = least([countOf(pods, isHealthy), status?.desiredHealthy ?? 0]);
  return ({ pods: present }) => {
    const healthy = countOf(present.values(), isHealthy);
    return healthy < atLeast ? `${healthy} healthy, at least ${atLeast}` : undefined;
  };
}
