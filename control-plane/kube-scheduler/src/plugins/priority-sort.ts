import type { Plugin } from "../framework/plugin.ts";

/** Higher priority first, then who came first. */
export const prioritySort: Plugin = {
  name: "PrioritySort",
  queueSort: (a, b) => (b.pod.spec.priority ?? 0) - (a.pod.spec.priority ?? 0) || a.since - b.since,
};
