import type { Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { compileLabelSelector } from "@coracle/apimachinery";
import type { Refusal } from "../framework/filtering.ts";
import { priorityOf, type Snapshot } from "../framework/plugin.ts";
import { uidOf, type NodeState } from "../state/node-state.ts";

const NO_VICTIMS = "No preemption victims found for incoming pod";

/** A node where the pod would fit if `victims` left. */
export interface Candidate {
  readonly nodeName: string;
  /** The most important first. */
  readonly victims: readonly Pod[];
  /** Victims that a disruption budget would rather keep. */
  readonly violations: number;
  /** Priority of the most important victim. */
  readonly highest: number;
  /** Of priorities, each made positive. */
  readonly sum: number;
  /** When the first of the most important victims started, epoch milliseconds. */
  readonly earliest: number;
}

/** Why there is none on a node. */
export interface NoCandidate {
  readonly reasons: readonly string[];
}

/** The fewest pods of lower priority that must leave, those under a budget kept first, then the more important. */
export function selectVictims(
  pod: Pod,
  node: NodeState,
  snapshot: Snapshot,
  budgets: readonly PodDisruptionBudget[],
  trial: (copy: NodeState) => () => Refusal | undefined,
): Candidate | NoCandidate {
  const lower = [...node.pods].filter((other) => priorityOf(other) < priorityOf(pod));
  if (lower.length === 0) return { reasons: [NO_VICTIMS] };
  const copy = node.clone();
  for (const other of lower) copy.removePod(other);
  // Others that wait for this node count as there, as they do when the pod is tried.
  for (const other of snapshot.nominated(node.name))
    if (priorityOf(other) >= priorityOf(pod) && uidOf(other) !== uidOf(pod)) copy.addPod(other);
  const refusalNow = trial(copy);
  const refusal = refusalNow();
  if (refusal !== undefined) return { reasons: refusal.unfit.reasons };

  const { violating, others } = splitByBudget(lower.toSorted(byImportance), budgets);
  const victims: Pod[] = [];
  const isKept = (other: Pod): boolean => {
    copy.addPod(other);
    if (refusalNow() === undefined) return true;
    copy.removePod(other);
    victims.push(other);
    return false;
  };
  const violations = violating.filter((other) => !isKept(other)).length;
  for (const other of others) isKept(other);
  return candidateOf(node.name, victims.toSorted(byImportance), violations);
}

/** Higher priority first; among equals the one that runs longer. */
export function byImportance(a: Pod, b: Pod): number {
  return priorityOf(b) - priorityOf(a) || startOf(a) - startOf(b);
}

const startOf = (pod: Pod): number => {
  const started = Date.parse(pod.status?.startTime ?? "");
  return Number.isNaN(started) ? Infinity : started;
};

/** Which pods could not be evicted without breaking a budget, if all left in this order. */
function splitByBudget(
  pods: readonly Pod[],
  budgets: readonly PodDisruptionBudget[],
): { readonly violating: readonly Pod[]; readonly others: readonly Pod[] } {
  const compiled = budgets.flatMap((budget) => {
    const { matchLabels = {}, matchExpressions = [] } = budget.spec?.selector ?? {};
    const isEmpty = Object.keys(matchLabels).length === 0 && matchExpressions.length === 0;
    return isEmpty ? [] : [{ budget, selects: compileLabelSelector(budget.spec?.selector) }];
  });
  const allowed = compiled.map(({ budget }) => budget.status?.disruptionsAllowed ?? 0);
  const violating: Pod[] = [];
  const others: Pod[] = [];
  for (const pod of pods) {
    let isViolating = false;
    for (const [i, { budget, selects }] of compiled.entries()) {
      if (budget.metadata.namespace !== pod.metadata.namespace || !selects.matches(pod.metadata.labels ?? {})) continue;
      if (budget.status?.disruptedPods?.[pod.metadata.name ?? ""] !== undefined) continue; // counted already
      allowed[i] = (allowed[i] ?? 0) - 1;
      if (allowed[i] < 0) isViolating = true;
    }
    (isViolating ? violating : others).push(pod);
  }
  return { violating, others };
}

/** What it costs if these left; the most important comes first. */
export function candidateOf(nodeName: string, victims: readonly Pod[], violations: number): Candidate {
  const [first] = victims;
  const highest = first === undefined ? -Infinity : priorityOf(first);
  let sum = 0;
  let earliest = Infinity;
  for (const each of victims) {
    sum += priorityOf(each) + 2 ** 31;
    if (priorityOf(each) === highest) earliest = Math.min(earliest, startOf(each));
  }
  return { nodeName, victims, violations, highest, sum, earliest };
}

/** Fewest budgets broken, least important first victim, least importance altogether, fewest victims, youngest first victim. */
export function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.violations !== b.violations) return a.violations < b.violations;
  if (a.highest !== b.highest) return a.highest < b.highest;
  if (a.sum !== b.sum) return a.sum < b.sum;
  if (a.victims.length !== b.victims.length) return a.victims.length < b.victims.length;
  return a.earliest > b.earliest;
}
