import { MAX_NODE_SCORE, type CycleState, type Plugin } from "../framework/plugin.ts";
import { podRequests, scoringRequests, type ResourceAmounts } from "../state/pod-resources.ts";

const NAME = "NodeResourcesFit";
/** Resources that the score compares, with equal weight. */
export const SCORED = ["cpu", "memory"] as const;

interface Needs {
  readonly requests: ResourceAmounts;
  readonly scored: ResourceAmounts;
}
const needsOf = (state: CycleState): Needs => state.get(NAME) as Needs;

/** Requests must fit into what is left; among nodes that fit, the emptier one is better (least allocated). */
export const nodeResourcesFit: Plugin = {
  name: NAME,
  events: ["node-added", "node-changed", "assigned-pod-deleted", "assigned-pod-changed", "pod-changed"],
  preFilter(state, pod) {
    state.set(NAME, { requests: podRequests(pod), scored: scoringRequests(pod) } satisfies Needs);
    return undefined;
  },
  filter(state, _, node) {
    const reasons: string[] = [];
    if (node.podCount + 1 > (node.allocatable.get("pods") ?? 0)) reasons.push("Too many pods");
    let isFinal = false;
    for (const [name, amount] of needsOf(state).requests) {
      if (amount === 0) continue;
      const allocatable = node.allocatable.get(name) ?? 0;
      if (amount <= allocatable - node.requested(name)) continue;
      reasons.push(`Insufficient ${name}`);
      // More than the whole node has: no pod that leaves would help.
      if (amount > allocatable) isFinal = true;
    }
    return reasons.length === 0 ? undefined : { reasons, isFinal };
  },
  score(state, _, node) {
    let sum = 0;
    let weights = 0;
    for (const name of SCORED) {
      const allocatable = node.allocatable.get(name) ?? 0;
      if (allocatable === 0) continue;
      const requested = node.scored(name) + (needsOf(state).scored.get(name) ?? 0);
      weights++;
      if (requested <= allocatable) sum += Math.floor(((allocatable - requested) * MAX_NODE_SCORE) / allocatable);
    }
    return weights === 0 ? 0 : Math.floor(sum / weights);
  },
};
