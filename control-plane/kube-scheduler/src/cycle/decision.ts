import type { Pod } from "@coracle/api/core/v1";
import type { Random } from "@coracle/base";
import { tryOn, type PluginEntry, type Refusal } from "../framework/filtering.ts";
import { priorityOf, type CycleState, type Snapshot, type Unfit } from "../framework/plugin.ts";
import { uidOf, type NodeState } from "../state/node-state.ts";

/** What one look at the cluster says about a pod. */
export type Decision =
  | { readonly type: "fits"; readonly nodeName: string; readonly state: CycleState }
  | {
      readonly type: "unfit";
      readonly message: string;
      /** Plugins that rejected it somewhere. */
      readonly plugins: ReadonlySet<string>;
      readonly unfit: ReadonlyMap<string, Unfit>;
      readonly state: CycleState;
    };

export interface ScheduleDeps {
  readonly plugins: readonly PluginEntry[];
  readonly random: Random;
  /** Where the search for nodes begins: moves on, so that every node gets its turn in large clusters. */
  readonly startAt: number;
  /** How many fitting nodes are enough to compare, of all nodes; 0 or absent: by the size of the cluster. */
  readonly percentageOfNodesToScore?: number | undefined;
}

const MIN_FEASIBLE_NODES = 100;
const MIN_SHARE_PERCENT = 5;

/** How many fitting nodes are enough to choose from: all up to 100, then a share that falls as clusters grow. */
export function enoughNodes(total: number, percentage = 0): number {
  if (total < MIN_FEASIBLE_NODES || percentage >= 100) return total;
  const percent = percentage > 0 ? percentage : Math.max(MIN_SHARE_PERCENT, Math.floor(50 - total / 125));
  return Math.max(MIN_FEASIBLE_NODES, Math.floor((total * percent) / 100));
}

/** Pods that room is being made for on this node, and that go before `pod`. */
export function podsAhead(pod: Pod, node: NodeState, snapshot: Snapshot): readonly Pod[] {
  const nominated = snapshot.nominated(node.name);
  if (nominated.length === 0) return nominated;
  return nominated.filter((each) => priorityOf(each) >= priorityOf(pod) && uidOf(each) !== uidOf(pod));
}

/** Pods of its priority or more that room is being made for on this node count as if they were there. */
export function refusalBeside(
  plugins: readonly PluginEntry[],
  pod: Pod,
  node: NodeState,
  snapshot: Snapshot,
): Refusal | undefined {
  const ahead = podsAhead(pod, node, snapshot);
  if (ahead.length === 0) return undefined;
  const crowded = node.clone();
  for (const each of ahead) crowded.addPod(each);
  return tryOn(plugins, pod, crowded, snapshot)();
}
