import type { CycleState, Plugin } from "../framework/plugin.ts";
import { podRequests, type ResourceAmounts } from "../state/pod-resources.ts";
import { DEFAULT_RESOURCES } from "./node-resources-fit.ts";
import { balanceScorer, type ResourceWeight } from "./resource-scoring.ts";

const NAME = "NodeResourcesBalancedAllocation";

/** What the configuration may say; absent: cpu and memory. */
export interface BalancedAllocationArgs {
  readonly resources?: readonly ResourceWeight[] | undefined;
}

/** Likes nodes whose resources would be used to a similar share: what is left over stays useful. */
export function createBalancedAllocation({ resources = DEFAULT_RESOURCES }: BalancedAllocationArgs = {}): Plugin {
  const names = resources.map(({ name }) => name);
  const scorer = balanceScorer(resources);
  // A pod that requests nothing balances nothing.
  const isBestEffort = (requests: ResourceAmounts): boolean => names.every((name) => (requests.get(name) ?? 0) === 0);
  const isLeftOut = (name: string, requests: ResourceAmounts): boolean =>
    (requests.get(name) ?? 0) === 0 && (name.includes("/") || name.startsWith("hugepages-"));
  return {
    name: NAME,
    preScore(state, pod) {
      const requests = podRequests(pod);
      if (isBestEffort(requests)) return { skip: true };
      state.set(NAME, requests);
      return { skip: false };
    },
    score(state: CycleState, _, node) {
      const requests = state.get(NAME) as ResourceAmounts;
      return scorer(
        (i) => (isLeftOut(names[i] ?? "", requests) ? 0 : (node.allocatable.get(names[i] ?? "") ?? 0)),
        (i) => node.requested(names[i] ?? "") + (requests.get(names[i] ?? "") ?? 0),
      );
    },
    columns: {
      nodePart(pod, { table }) {
        const requests = podRequests(pod);
        if (isBestEffort(requests)) return undefined;
        const columns = names.map((name) => table.resource(name));
        const own = names.map((name) => requests.get(name) ?? 0);
        const isOut = names.map((name) => isLeftOut(name, requests));
        let slot = 0;
        const allocatable = (i: number): number => (isOut[i] === true ? 0 : (columns[i]?.allocatable[slot] ?? 0));
        const requested = (i: number): number => (columns[i]?.requested[slot] ?? 0) + (own[i] ?? 0);
        return {
          kind: "node",
          isStatic: false,
          score(at) {
            slot = at;
            return scorer(allocatable, requested);
          },
        };
      },
    },
  };
}
