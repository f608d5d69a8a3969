import type { DaemonSet, DaemonSetStatus } from "@coracle/api/apps/v1";
import type { Node, Pod } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { REVISION_HASH } from "../history/revisions.ts";
import { isAvailable, isFinished, isReady } from "../pods/pod-state.ts";
import { scaledValue } from "../templates/int-or-percent.ts";
import { byAge } from "../time/timestamp.ts";
import { eligibility, targetNode } from "./eligibility.ts";

/** Changes in one pass at most. */
export const BURST = 250;

export interface DaemonPlan {
  readonly create: readonly string[];
  readonly delete: readonly Pod[];
  /** Pods among `delete` that had ended: users are told. */
  readonly ended: readonly Pod[];
}

/** Pods under the node they are meant for; without those that have ended and are being deleted: they need nobody any more. */
export function podsByTarget(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const byNode = new Map<string, Pod[]>();
  for (const pod of pods) {
    const node = targetNode(pod);
    if (node === undefined || (isFinished(pod) && isLeaving(pod))) continue;
    const known = byNode.get(node);
    if (known === undefined) byNode.set(node, [pod]);
    else known.push(pod);
  }
  return byNode;
}

const isLeaving = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;
const isBound = (pod: Pod): boolean => (pod.spec.nodeName ?? "") !== "";
/** Those that have a node first, then the oldest. */
const bySeniority = (a: Pod, b: Pod): number => Number(isBound(b)) - Number(isBound(a)) || byAge(a, b);

/**
 * One live daemon on every node that should have one, none elsewhere; where nothing of that is to be done, a rolling
 * update replaces old ones as far as its limits allow. `isHeld`: a failed pod that is to stay a while before it is
 * replaced.
 */
export function planDaemons(
  set: DaemonSet,
  nodes: readonly Node[],
  pods: readonly Pod[],
  hash: string,
  now: Instant,
  isHeld: (pod: Pod) => boolean = () => false,
): DaemonPlan {
  const spec = set.spec.template.spec ?? { containers: [] };
  const byNode = podsByTarget(pods);
  const create: string[] = [];
  const remove: Pod[] = [];
  const ended: Pod[] = [];
  const isNew = (pod: Pod): boolean => pod.metadata.labels?.[REVISION_HASH] === hash;
  const fitting = nodes.filter((node) => eligibility(spec, node).shouldRun);
  const limits = rollingLimits(set, fitting.length);
  const names = new Set<string>();

  for (const node of nodes) {
    const { name = "" } = node.metadata;
    names.add(name);
    const { shouldRun, mayStay } = eligibility(spec, node);
    const all = byNode.get(name) ?? [];
    const here = all.filter((pod) => !isLeaving(pod));
    if (shouldRun && all.length === 0) {
      create.push(name);
      continue;
    }
    if (!mayStay) {
      remove.push(...here);
      continue;
    }
    const over = here.filter((pod) => isFinished(pod) && !(pod.status?.phase === "Failed" && isHeld(pod)));
    ended.push(...over);
    remove.push(...over);
    const live = here.filter((pod) => !isFinished(pod)).toSorted(bySeniority);
    if (limits.maxSurge === 0) {
      remove.push(...live.slice(1));
      continue;
    }
    // Beside one on its way out its successor may start: that is what surge is for.
    if (live.length === 0 && shouldRun) create.push(name);
    if (live.length <= 1) continue;
    const [fresh, ...moreFresh] = live.filter(isNew);
    const [old, ...moreOld] = live.filter((pod) => !isNew(pod));
    remove.push(...moreFresh, ...moreOld);
    if (fresh === undefined || old === undefined) continue;
    if (!isReady(old) || isAvailable(fresh, set.spec.minReadySeconds ?? 0, now)) remove.push(old);
  }
  // Bound ones of nodes that are gone are the pod garbage collector's business.
  for (const [name, orphans] of byNode)
    if (!names.has(name)) remove.push(...orphans.filter((pod) => !isBound(pod) && !isLeaving(pod)));

  const isSettled = create.length === 0 && remove.length === 0;
  const update = isSettled ? planUpdate(set, fitting, byNode, isNew, limits, now) : { create, delete: remove };
  return { create: update.create.slice(0, BURST), delete: update.delete.slice(0, BURST), ended };
}

interface Limits {
  readonly maxSurge: number;
  readonly maxUnavailable: number;
}

function rollingLimits(set: DaemonSet, desired: number): Limits {
  if (set.spec.updateStrategy?.type === "OnDelete") return { maxSurge: 0, maxUnavailable: 0 };
  const { maxSurge = 0, maxUnavailable = 1 } = set.spec.updateStrategy?.rollingUpdate ?? {};
  const surge = scaledValue(maxSurge, desired, "up");
  const unavailable = scaledValue(maxUnavailable, desired, "up");
  return { maxSurge: surge, maxUnavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

interface Steps {
  readonly create: readonly string[];
  readonly delete: readonly Pod[];
}

function planUpdate(
  set: DaemonSet,
  fitting: readonly Node[],
  byNode: ReadonlyMap<string, readonly Pod[]>,
  isNew: (pod: Pod) => boolean,
  limits: Limits,
  now: Instant,
): Steps {
  if (set.spec.updateStrategy?.type === "OnDelete") return { create: [], delete: [] };
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  const isUp = (pod: Pod | undefined): boolean => pod !== undefined && isAvailable(pod, minReadySeconds, now);
  const names = new Set(fitting.map((node) => node.metadata.name ?? ""));
  const pairs = [...new Set([...names, ...byNode.keys()])].map((name) => {
    const live = (byNode.get(name) ?? []).filter((pod) => !isLeaving(pod));
    const [fresh, old] = [live.filter(isNew), live.filter((pod) => !isNew(pod))];
    // Two of a kind: the surplus goes first.
    return { name, fresh: fresh[0], old: old[0], isCrowded: fresh.length > 1 || old.length > 1 };
  });
  return limits.maxSurge === 0
    ? replaceInPlace(pairs, limits.maxUnavailable, isUp)
    : replaceBeside(pairs, limits.maxSurge, names, isUp);
}

/** Old and new daemon of one node. */
interface Pair {
  readonly name: string;
  readonly fresh: Pod | undefined;
  readonly old: Pod | undefined;
  readonly isCrowded: boolean;
}

/** Old ones go first, and no more at a time than may be unavailable. */
function replaceInPlace(
  pairs: readonly Pair[],
  maxUnavailable: number,
  isUp: (pod: Pod | undefined) => boolean,
): Steps {
  let unavailable = 0;
  const broken: Pod[] = [];
  const working: Pod[] = [];
  for (const { fresh, old, isCrowded } of pairs) {
    const isOne = !isCrowded && (fresh === undefined) !== (old === undefined);
    const isWorking = isOne && isUp(fresh ?? old);
    if (!isWorking) unavailable++;
    // Where the old one does not work there is nothing to lose.
    if (isOne && old !== undefined) (isWorking ? working : broken).push(old);
  }
  return { create: [], delete: [...broken, ...working.slice(0, Math.max(0, maxUnavailable - unavailable))] };
}

/** New ones start beside the old, which go when their successor is available. */
function replaceBeside(
  pairs: readonly Pair[],
  maxSurge: number,
  fitting: ReadonlySet<string>,
  isUp: (pod: Pod | undefined) => boolean,
): Steps {
  let [surging, available] = [0, 0];
  const remove: Pod[] = [];
  const misplaced: Pod[] = [];
  const broken: string[] = [];
  const working: string[] = [];
  for (const { name, fresh, old, isCrowded } of pairs) {
    if (isCrowded) {
      surging++;
      continue;
    }
    if (isUp(old ?? fresh)) available++;
    if (old === undefined) continue;
    if (fresh !== undefined) {
      if (isUp(fresh)) remove.push(old);
      else surging++;
    } else if (fitting.has(name)) (isUp(old) ? working : broken).push(name);
    else (isUp(old) ? misplaced : remove).push(old);
  }
  // Those on nodes that fit no more go once enough others work.
  remove.push(...misplaced.slice(0, Math.max(0, available - fitting.size)));
  return { create: [...broken, ...working.slice(0, Math.max(0, maxSurge - surging))], delete: remove };
}

/** What to report. */
export function daemonStatus(
  set: DaemonSet,
  nodes: readonly Node[],
  pods: readonly Pod[],
  hash: string,
  collisionCount: number | undefined,
  now: Instant,
): DaemonSetStatus {
  const spec = set.spec.template.spec ?? { containers: [] };
  const byNode = podsByTarget(pods);
  let [desired, current, misscheduled, ready, available, updated] = [0, 0, 0, 0, 0, 0];
  for (const node of nodes) {
    const [first] = (byNode.get(node.metadata.name ?? "") ?? []).toSorted(bySeniority);
    if (!eligibility(spec, node).shouldRun) {
      if (first !== undefined) misscheduled++;
      continue;
    }
    desired++;
    if (first === undefined) continue;
    current++;
    if (isReady(first)) ready++;
    if (isAvailable(first, set.spec.minReadySeconds ?? 0, now)) available++;
    if (first.metadata.labels?.[REVISION_HASH] === hash) updated++;
  }
  return {
    desiredNumberScheduled: desired,
    currentNumberScheduled: current,
    numberMisscheduled: misscheduled,
    numberReady: ready,
    numberAvailable: available,
    numberUnavailable: desired - available,
    updatedNumberScheduled: updated,
    observedGeneration: set.metadata.generation,
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(set.status?.conditions === undefined ? {} : { conditions: set.status.conditions }),
  };
}
