import type { Pod } from "@coracle/api/core/v1";
import { countReasons, explain, firstRefusal, prepareFilters, type Refusal } from "../framework/filtering.ts";
import type { CycleState, Snapshot, Unfit } from "../framework/plugin.ts";
import type { NodeState } from "../state/node-state.ts";
import { enoughNodes, refusalBeside, type Decision, type ScheduleDeps } from "./decision.ts";

/** Chooses a node by asking every plugin about every node. */
export function schedulePlainly(pod: Pod, snapshot: Snapshot, deps: ScheduleDeps): Decision {
  const state: CycleState = new Map();
  const all = snapshot.nodes();
  const unfit = new Map<string, Unfit>();
  const rejectedBy = new Set<string>();
  const refuse = (message: string): Decision => ({ type: "unfit", message, plugins: rejectedBy, unfit, state });
  if (all.length === 0) return refuse("no nodes available to schedule pods");

  const { filters, rejection, only, narrowedBy } = prepareFilters(deps.plugins, state, pod, snapshot);
  if (rejection !== undefined) {
    rejectedBy.add(rejection.plugin);
    return refuse(`0/${all.length} nodes are available: ${rejection.unfit.reasons.join(", ")}.`);
  }
  for (const name of narrowedBy) rejectedBy.add(name);
  const refusalOn = (node: NodeState): Refusal | undefined =>
    refusalBeside(deps.plugins, pod, node, snapshot) ?? firstRefusal(filters, state, pod, node);

  // Where room was made for it, the pod goes if it can: others were driven away for that.
  const nominated = snapshot.node(snapshot.nominationOf(pod) ?? "");
  if (nominated !== undefined && only?.has(nominated.name) !== false && refusalOn(nominated) === undefined)
    return { type: "fits", nodeName: nominated.name, state };

  const candidates = only === undefined ? all : [...only].flatMap((name) => snapshot.node(name) ?? []);
  const fitting: NodeState[] = [];
  const enough = enoughNodes(all.length, deps.percentageOfNodesToScore);
  for (let i = 0; i < candidates.length && fitting.length < enough; i++) {
    const node = candidates[(deps.startAt + i) % candidates.length];
    if (node === undefined) continue;
    const refusal = refusalOn(node);
    if (refusal === undefined) fitting.push(node);
    else {
      unfit.set(node.name, refusal.unfit);
      rejectedBy.add(refusal.plugin);
    }
  }
  if (fitting.length > 0) return { type: "fits", nodeName: best(pod, fitting, state, snapshot, deps), state };
  const reasons = countReasons(unfit.values());
  const others = all.length - candidates.length;
  if (others > 0) reasons.set(`node(s) didn't satisfy plugin(s) [${[...narrowedBy].sort().join(" ")}]`, others);
  return refuse(explain(all.length, reasons));
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
  const max = totals.reduce((one, other) => Math.max(one, other), -Infinity);
  const equals = nodes.filter((_, i) => totals[i] === max);
  return equals[Math.floor(deps.random.next() * equals.length)]?.name ?? "";
}
