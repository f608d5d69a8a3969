import type { Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { compileLabelSelector } from "@coracle/apimachinery";
import { explain, tryOn, type PluginEntry } from "../framework/filtering.ts";
import { priorityOf, type PostFilterResult, type Snapshot, type Unfit } from "../framework/plugin.ts";
import { uidOf, type NodeState } from "../state/node-state.ts";

const NOT_HELPFUL = "Preemption is not helpful for scheduling";
const NO_VICTIMS = "No preemption victims found for incoming pod";
const MIN_CANDIDATES = 100;
const MIN_CANDIDATES_PERCENT = 10;

/** A node where the pod would fit if `victims` left. */
interface Candidate {
  readonly nodeName: string;
  /** The most important first. */
  readonly victims: readonly Pod[];
  /** Victims that a disruption budget would rather keep. */
  readonly violations: number;
}

/**
 * Where a pod that fits nowhere could go if pods of lower priority left: where the fewest budgets are broken and the
 * least important pods go. Decides, touches nothing.
 */
export function planPreemption(
  pod: Pod,
  unfit: ReadonlyMap<string, Unfit>,
  snapshot: Snapshot,
  plugins: readonly PluginEntry[],
  budgets: readonly PodDisruptionBudget[],
): PostFilterResult {
  const none = (message: string, isUnderWay = false): PostFilterResult => ({ type: "none", message, isUnderWay });
  if (pod.spec.preemptionPolicy === "Never") return none("not eligible due to preemptionPolicy=Never.");
  if (isMakingRoom(pod, unfit, snapshot))
    return none("not eligible due to a terminating pod on the nominated node.", true);

  const all = snapshot.nodes();
  const enough = Math.max(MIN_CANDIDATES, Math.floor((all.length * MIN_CANDIDATES_PERCENT) / 100));
  const reasons = new Map<string, number>();
  const count = (reason: string): void => void reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const candidates: Candidate[] = [];
  for (const node of all) {
    if (candidates.length >= enough) break;
    if (unfit.get(node.name)?.isFinal !== false) {
      count(NOT_HELPFUL);
      continue;
    }
    const candidate = selectVictims(pod, node, snapshot, plugins, budgets);
    if ("victims" in candidate) candidates.push(candidate);
    else for (const reason of candidate.reasons) count(reason);
  }
  const best = candidates.reduce<Candidate | undefined>(
    (one, other) => (one === undefined || isBetter(other, one) ? other : one),
    undefined,
  );
  if (best === undefined) return none(explain(all.length, reasons));
  return { type: "nominated", nodeName: best.nodeName, victims: best.victims };
}

/** Pods are on their way out of the node that was chosen earlier: no need to drive out others. */
function isMakingRoom(pod: Pod, unfit: ReadonlyMap<string, Unfit>, snapshot: Snapshot): boolean {
  const name = snapshot.nominationOf(pod);
  const node = name === undefined ? undefined : snapshot.node(name);
  if (node === undefined || unfit.get(node.name)?.isFinal !== false) return false;
  for (const other of node.pods)
    if (other.metadata.deletionTimestamp !== undefined && priorityOf(other) < priorityOf(pod)) return true;
  return false;
}

/** The fewest pods of lower priority that must leave, those under a budget kept first, then the more important. */
function selectVictims(
  pod: Pod,
  node: NodeState,
  snapshot: Snapshot,
  plugins: readonly PluginEntry[],
  budgets: readonly PodDisruptionBudget[],
): Candidate | { readonly reasons: readonly string[] } {
  const lower = [...node.pods].filter((other) => priorityOf(other) < priorityOf(pod));
  if (lower.length === 0) return { reasons: [NO_VICTIMS] };
  const copy = node.clone();
  for (const other of lower) copy.removePod(other);
  // Others that wait for this node count as there, as they do when the pod is tried.
  for (const other of snapshot.nominated(node.name))
    if (priorityOf(other) >= priorityOf(pod) && uidOf(other) !== uidOf(pod)) copy.addPod(other);
  const refusalNow = tryOn(plugins, pod, copy, snapshot);
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
  return { nodeName: node.name, victims: victims.toSorted(byImportance), violations };
}

/** Higher priority first; among equals the one that runs longer. */
function byImportance(a: Pod, b: Pod): number {
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

/** Fewest budgets broken, least important first victim, least importance altogether, fewest victims, youngest first victim. */
function isBetter(a: Candidate, b: Candidate): boolean {
  const highest = ({ victims }: Candidate): number => (victims[0] === undefined ? -Infinity : priorityOf(victims[0]));
  const sum = ({ victims }: Candidate): number =>
    victims.reduce((total, each) => total + priorityOf(each) + 2 ** 31, 0);
  const earliest = (candidate: Candidate): number =>
    Math.min(...candidate.victims.filter((each) => priorityOf(each) === highest(candidate)).map(startOf));
  const differences = [
    a.violations - b.violations,
    compare(highest(a), highest(b)),
    sum(a) - sum(b),
    a.victims.length - b.victims.length,
    compare(earliest(b), earliest(a)),
  ];
  return (differences.find((each) => each !== 0) ?? 0) < 0;
}

const compare = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0);
