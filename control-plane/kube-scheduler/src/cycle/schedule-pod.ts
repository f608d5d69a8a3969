import type { Pod } from "@coracle/api/core/v1";
import { classesOf } from "../columns/pod-classes.ts";
import type { Snapshot } from "../framework/plugin.ts";
import { ClusterState } from "../state/cluster-state.ts";
import type { Decision, ScheduleDeps } from "./decision.ts";
import { scheduleByColumns } from "./schedule-by-columns.ts";
import { schedulePlainly } from "./schedule-plainly.ts";

export { enoughNodes, type Decision, type ScheduleDeps } from "./decision.ts";

/**
 * Chooses a node. Pure but for the random choice among equals: reads the snapshot, changes nothing that shows.
 * Out of columns where the snapshot has them; `schedulePlainly` is its plain twin.
 */
export function schedulePod(pod: Pod, snapshot: Snapshot, deps: ScheduleDeps): Decision {
  if (snapshot instanceof ClusterState && snapshot.table.aliveCount > 0) {
    const decision = scheduleByColumns(pod, snapshot, deps, classesOf(snapshot, deps.plugins));
    if (decision !== undefined) return decision;
  }
  return schedulePlainly(pod, snapshot, deps);
}
