import type { Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { explain, tryOn, type PluginEntry } from "../framework/filtering.ts";
import { priorityOf, type PostFilterResult, type Snapshot, type Unfit } from "../framework/plugin.ts";
import { isBetter, selectVictims, type Candidate } from "./candidate.ts";

export const NOT_HELPFUL = "Preemption is not helpful for scheduling";

/** What the configuration may say: how many candidates are enough to choose from. */
export interface DefaultPreemptionArgs {
  /** Of all nodes; default 10. */
  readonly minCandidateNodesPercentage?: number | undefined;
  /** Default 100. */
  readonly minCandidateNodesAbsolute?: number | undefined;
}

/** How many candidates are enough to choose from. */
export function enoughCandidates(
  nodes: number,
  { minCandidateNodesPercentage: percent = 10, minCandidateNodesAbsolute: least = 100 }: DefaultPreemptionArgs,
): number {
  return Math.max(least, Math.floor((nodes * percent) / 100));
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
  args: DefaultPreemptionArgs = {},
): PostFilterResult {
  const ineligible = whyIneligible(pod, unfit, snapshot);
  if (ineligible !== undefined) return ineligible;

  const all = snapshot.nodes();
  const enough = enoughCandidates(all.length, args);
  const reasons = new Map<string, number>();
  const count = (reason: string): void => void reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  const candidates: Candidate[] = [];
  for (const node of all) {
    if (candidates.length >= enough) break;
    if (unfit.get(node.name)?.isFinal !== false) {
      count(NOT_HELPFUL);
      continue;
    }
    const candidate = selectVictims(pod, node, snapshot, budgets, (copy) => tryOn(plugins, pod, copy, snapshot));
    if ("victims" in candidate) candidates.push(candidate);
    else for (const reason of candidate.reasons) count(reason);
  }
  const best = candidates.reduce<Candidate | undefined>(
    (one, other) => (one === undefined || isBetter(other, one) ? other : one),
    undefined,
  );
  if (best === undefined) return { type: "none", message: explain(all.length, reasons), isUnderWay: false };
  return { type: "nominated", nodeName: best.nodeName, victims: best.victims, candidates };
}

/** Why the pod must not drive out others. */
export function whyIneligible(
  pod: Pod,
  unfit: ReadonlyMap<string, Unfit>,
  snapshot: Snapshot,
): PostFilterResult | undefined {
  const none = (message: string, isUnderWay: boolean): PostFilterResult => ({ type: "none", message, isUnderWay });
  if (pod.spec.preemptionPolicy === "Never") return none("not eligible due to preemptionPolicy=Never.", false);
  if (isMakingRoom(pod, unfit, snapshot))
    return none("not eligible due to a terminating pod on the nominated node.", true);
  return undefined;
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
