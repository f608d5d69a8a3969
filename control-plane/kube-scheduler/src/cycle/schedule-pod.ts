import type { Pod } from "@coracle/api/core/v1";
import type { Random } from "@coracle/base";
import type { CycleState, Plugin, Snapshot, Unfit } from "../framework/plugin.ts";
import type { PluginEntry } from "../plugins/index.ts";
import type { NodeState } from "../state/node-state.ts";

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
}

const MIN_FEASIBLE_NODES = 100;
const MIN_SHARE_PERCENT = 5;

/** How many fitting nodes are enough to choose from: all up to 100, then a share that falls as clusters grow. */
export function enoughNodes(total: number): number {
  if (total < MIN_FEASIBLE_NODES) return total;
  const percent = Math.max(MIN_SHARE_PERCENT, Math.floor(50 - total / 125));
  return Math.max(MIN_FEASIBLE_NODES, Math.floor((total * percent) / 100));
}

/** Chooses a node. Pure but for the random choice among equals: reads the snapshot, changes nothing. */
export function schedulePod(pod: Pod, snapshot: Snapshot, deps: ScheduleDeps): Decision {
  const state: CycleState = new Map();
  const all = snapshot.nodes();
  const unfit = new Map<string, Unfit>();
  const rejectedBy = new Set<string>();
  const refuse = (message: string): Decision => ({ type: "unfit", message, plugins: rejectedBy, unfit, state });
  if (all.length === 0) return refuse("no nodes available to schedule pods");

  const filters: Plugin[] = [];
  let only: Set<string> | undefined;
  for (const { plugin } of deps.plugins) {
    const result = plugin.preFilter?.(state, pod, snapshot);
    if (result?.rejected !== undefined) {
      rejectedBy.add(plugin.name);
      return refuse(`0/${all.length} nodes are available: ${result.rejected.join(", ")}.`);
    }
    if (result?.nodes !== undefined) {
      const { nodes } = result;
      only = new Set(only === undefined ? nodes : [...only].filter((name) => nodes.has(name)));
      rejectedBy.add(plugin.name);
    }
    if (plugin.filter !== undefined && result?.skip !== true) filters.push(plugin);
  }

  const candidates = only === undefined ? all : [...only].flatMap((name) => snapshot.node(name) ?? []);
  const fitting: NodeState[] = [];
  const enough = enoughNodes(all.length);
  for (let i = 0; i < candidates.length && fitting.length < enough; i++) {
    const node = candidates[(deps.startAt + i) % candidates.length];
    if (node === undefined) continue;
    const refusal = firstRefusal(filters, state, pod, node);
    if (refusal === undefined) fitting.push(node);
    else {
      unfit.set(node.name, refusal.unfit);
      rejectedBy.add(refusal.plugin);
    }
  }
  if (fitting.length === 0) return refuse(explain(all.length, candidates, unfit));
  return { type: "fits", nodeName: best(pod, fitting, state, snapshot, deps), state };
}

function firstRefusal(
  filters: readonly Plugin[],
  state: CycleState,
  pod: Pod,
  node: NodeState,
): { plugin: string; unfit: Unfit } | undefined {
  for (const plugin of filters) {
    const unfit = plugin.filter?.(state, pod, node);
    if (unfit !== undefined) return { plugin: plugin.name, unfit };
  }
  return undefined;
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`: how often each reason was given, in order of its text. */
function explain(total: number, candidates: readonly NodeState[], unfit: ReadonlyMap<string, Unfit>): string {
  const counts = new Map<string, number>();
  for (const { reasons } of unfit.values())
    for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const others = total - candidates.length;
  const notNamed = "node(s) didn't match Pod's node affinity/selector";
  if (others > 0) counts.set(notNamed, (counts.get(notNamed) ?? 0) + others);
  const parts = [...counts].map(([reason, count]) => `${count} ${reason}`).sort();
  return `0/${total} nodes are available: ${parts.join(", ")}.`;
}

function best(
  pod: Pod,
  nodes: readonly NodeState[],
  state: CycleState,
  snapshot: Snapshot,
  deps: ScheduleDeps,
): string {
  if (nodes.length === 1) return nodes[0]?.name ?? "";
  const totals = new Array<number>(nodes.length).fill(0);
  for (const { plugin, weight } of deps.plugins) {
    if (plugin.score === undefined || plugin.preScore?.(state, pod, nodes, snapshot)?.skip === true) continue;
    const scores = nodes.map((node) => plugin.score?.(state, pod, node) ?? 0);
    plugin.normalize?.(state, pod, scores, nodes);
    for (let i = 0; i < scores.length; i++) totals[i] = (totals[i] ?? 0) + (scores[i] ?? 0) * weight;
  }
  const max = Math.max(...totals);
  const equals = nodes.filter((_, i) => totals[i] === max);
  return equals[Math.floor(deps.random.next() * equals.length)]?.name ?? "";
}
