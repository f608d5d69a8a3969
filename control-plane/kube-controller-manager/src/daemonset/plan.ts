import type { DaemonSet, DaemonSetStatus } from "@coracle/api/apps/v1";
import type { Node, Pod } from "@coracle/api/core/v1";
import type { Instant } from "@coracle/base";
import { REVISION_HASH } from "../history/revisions.ts";
import { isAvailable, isReady } from "../pods/pod-state.ts";
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

/** Pods under the node they are meant for. */
export function podsByTarget(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const byNode = new Map<string, Pod[]>();
  for (const pod of pods) {
    const node = targetNode(pod);
    if (node === undefined) continue;
    const known = byNode.get(node);
    if (known === undefined) byNode.set(node, [pod]);
    else known.push(pod);
  }
  return byNode;
}

/** One live daemon on every node that should have one, none elsewhere; a rolling update replaces old ones as far as its limits allow. */
export function planDaemons(
  set: DaemonSet,
  nodes: readonly Node[],
  pods: readonly Pod[],
  hash: string,
  now: Instant,
): DaemonPlan {
  const spec = set.spec.template.spec ?? { containers: [] };
  const byNode = podsByTarget(pods);
  const create: string[] = [];
  const remove: Pod[] = [];
  const ended: Pod[] = [];
  const isNew = (pod: Pod): boolean => pod.metadata.labels?.[REVISION_HASH] === hash;
  const limits = rollingLimits(set, nodes.filter((node) => eligibility(spec, node).shouldRun).length);
  const names = new Set<string>();

  for (const node of nodes) {
    const { name = "" } = node.metadata;
    names.add(name);
    const { shouldRun, mayStay } = eligibility(spec, node);
    const here = (byNode.get(name) ?? []).filter((pod) => pod.metadata.deletionTimestamp === undefined);
    if (!mayStay) {
      remove.push(...here);
      continue;
    }
    const over = here.filter((pod) => pod.status?.phase === "Failed" || pod.status?.phase === "Succeeded");
    ended.push(...over);
    remove.push(...over);
    const live = here.filter((pod) => !over.includes(pod)).toSorted(byAge);
    // While one is on its way out its successor would only fight it for ports and volumes.
    const isLeaving = (byNode.get(name) ?? []).some((pod) => pod.metadata.deletionTimestamp !== undefined);
    if (live.length === 0) {
      if (shouldRun && over.length === 0 && (!isLeaving || limits.maxSurge > 0)) create.push(name);
      continue;
    }
    if (limits.maxSurge > 0) {
      const fresh = live.filter(isNew);
      const old = live.filter((pod) => !isNew(pod));
      remove.push(...fresh.slice(1), ...old.slice(1));
      const isUp = (pod: Pod): boolean => isAvailable(pod, set.spec.minReadySeconds ?? 0, now);
      if (fresh[0] !== undefined && old[0] !== undefined && (isUp(fresh[0]) || !isUp(old[0]))) remove.push(old[0]);
    } else remove.push(...live.slice(1));
  }
  for (const [name, orphans] of byNode)
    if (!names.has(name)) remove.push(...orphans.filter((pod) => pod.metadata.deletionTimestamp === undefined));

  const update = planUpdate(set, nodes, byNode, isNew, limits, now);
  const deletions = new Set([...remove, ...update.delete]);
  return {
    create: [...create, ...update.create].slice(0, BURST),
    delete: [...deletions].slice(0, BURST),
    ended,
  };
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

function planUpdate(
  set: DaemonSet,
  nodes: readonly Node[],
  byNode: ReadonlyMap<string, readonly Pod[]>,
  isNew: (pod: Pod) => boolean,
  limits: Limits,
  now: Instant,
): { readonly create: readonly string[]; readonly delete: readonly Pod[] } {
  if (set.spec.updateStrategy?.type === "OnDelete") return { create: [], delete: [] };
  const spec = set.spec.template.spec ?? { containers: [] };
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  let unavailable = 0;
  let surging = 0;
  const broken: Pod[] = [];
  const working: Pod[] = [];
  for (const node of nodes) {
    if (!eligibility(spec, node).shouldRun) continue;
    const all = byNode.get(node.metadata.name ?? "") ?? [];
    const live = all.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    const old = live.find((pod) => !isNew(pod));
    const fresh = live.find(isNew);
    const isUp = live.some((pod) => isAvailable(pod, minReadySeconds, now));
    if (!isUp) unavailable++;
    if (old !== undefined && fresh !== undefined) surging++;
    if (old === undefined || fresh !== undefined) continue;
    (isAvailable(old, minReadySeconds, now) ? working : broken).push(old);
  }
  if (limits.maxSurge > 0) {
    const room = Math.max(0, limits.maxSurge - surging);
    // Where the old one does not work there is nothing to lose.
    const targets = [...broken, ...working.slice(0, room)].map((pod) => targetNode(pod) ?? "");
    return { create: targets, delete: [] };
  }
  const room = Math.max(0, limits.maxUnavailable - unavailable);
  return { create: [], delete: [...broken, ...working.slice(0, room)] };
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
    const here = (byNode.get(node.metadata.name ?? "") ?? []).toSorted(byAge);
    if (!eligibility(spec, node).shouldRun) {
      if (here.length > 0) misscheduled++;
      continue;
    }
    desired++;
    if (here.length === 0) continue;
    current++;
    const live = here.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    if (live.some(isReady)) ready++;
    if (live.some((pod) => isAvailable(pod, set.spec.minReadySeconds ?? 0, now))) available++;
    if (live.some((pod) => pod.metadata.labels?.[REVISION_HASH] === hash)) updated++;
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
