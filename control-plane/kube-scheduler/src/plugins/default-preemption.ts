import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import type { PluginEntry } from "../framework/filtering.ts";
import type { Plugin } from "../framework/plugin.ts";
import { planPreemption } from "../preemption/plan.ts";

/** Makes room for a pod where less important ones can go. */
export function createDefaultPreemption(
  plugins: () => readonly PluginEntry[],
  budgets: () => readonly PodDisruptionBudget[],
): Plugin {
  return {
    name: "DefaultPreemption",
    events: [],
    postFilter(pod, unfit, snapshot) {
      const result = planPreemption(pod, unfit, snapshot, plugins(), budgets());
      return result.type === "none" ? { ...result, message: `preemption: ${result.message}` } : result;
    },
  };
}
