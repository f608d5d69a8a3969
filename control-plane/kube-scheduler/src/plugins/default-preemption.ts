import type { Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { classesOf } from "../columns/pod-classes.ts";
import type { PluginEntry } from "../framework/filtering.ts";
import type { Plugin } from "../framework/plugin.ts";
import { planPreemption, type DefaultPreemptionArgs } from "../preemption/plan.ts";
import { PreemptionPlanner } from "../preemption/plan-by-columns.ts";
import { ClusterState } from "../state/cluster-state.ts";

/** Makes room for a pod where less important ones can go. `isAskedAbout`: others will want to know of all candidates. */
export function createDefaultPreemption(
  plugins: () => readonly PluginEntry[],
  budgets: () => readonly PodDisruptionBudget[],
  args: DefaultPreemptionArgs = {},
  isAskedAbout: (pod: Pod) => boolean = () => false,
): Plugin {
  const planners = new WeakMap<ClusterState, PreemptionPlanner>();
  const plannerOf = (state: ClusterState): PreemptionPlanner => {
    let planner = planners.get(state);
    if (planner === undefined) planners.set(state, (planner = new PreemptionPlanner(state)));
    return planner;
  };
  return {
    name: "DefaultPreemption",
    events: [],
    postFilter(pod, unfit, snapshot) {
      const all = plugins();
      const kept =
        snapshot instanceof ClusterState && !isAskedAbout(pod)
          ? plannerOf(snapshot).plan(pod, unfit, classesOf(snapshot, all), all, budgets(), args)
          : undefined;
      const result = kept ?? planPreemption(pod, unfit, snapshot, all, budgets(), args);
      return result.type === "none" ? { ...result, message: `preemption: ${result.message}` } : result;
    },
  };
}
