import { MAX_NODE_SCORE, type CycleState, type Plugin } from "../framework/plugin.ts";
import { podRequests, type ResourceAmounts } from "../state/pod-resources.ts";
import { SCORED } from "./node-resources-fit.ts";

const NAME = "NodeResourcesBalancedAllocation";

/** Likes nodes whose cpu and memory would be used to a similar share: what is left over stays useful. */
export const balancedAllocation: Plugin = {
  name: NAME,
  preScore(state, pod) {
    const requests = podRequests(pod);
    // A pod that requests nothing balances nothing.
    if (SCORED.every((name) => (requests.get(name) ?? 0) === 0)) return { skip: true };
    state.set(NAME, requests);
    return { skip: false };
  },
  score(state: CycleState, _, node) {
    const requests = state.get(NAME) as ResourceAmounts;
    const shares = SCORED.flatMap((name) => {
      const allocatable = node.allocatable.get(name) ?? 0;
      return allocatable === 0 ? [] : [Math.min(1, (node.requested(name) + (requests.get(name) ?? 0)) / allocatable)];
    });
    const [first, second] = shares;
    // Of two shares the standard deviation is half their distance.
    const deviation = first === undefined || second === undefined ? 0 : Math.abs(first - second) / 2;
    return Math.floor((1 - deviation) * MAX_NODE_SCORE);
  },
};
