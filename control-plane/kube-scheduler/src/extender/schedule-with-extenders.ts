import type { Node, Pod } from "@coracle/api/core/v1";
import type { Random } from "@coracle/base";
import { enoughNodes, refusalBeside, type Decision } from "../cycle/decision.ts";
import { countReasons, explain, firstRefusal, prepareFilters } from "../framework/filtering.ts";
import type { CycleState, Snapshot, Unfit } from "../framework/plugin.ts";
import type { Profile } from "../framework/profile.ts";
import type { NodeState } from "../state/node-state.ts";
import type { HttpExtender } from "./http-extender.ts";

export interface ExtendedSearchDeps {
  readonly extenders: readonly HttpExtender[];
  readonly random: Random;
  readonly startAt: number;
}

/**
 * Chooses a node with the help of extenders: they are asked about the nodes that all plugins want, and add to their
 * scores. Throws when one that is not ignorable fails.
 */
export async function scheduleWithExtenders(
  pod: Pod,
  { plugins, percentageOfNodesToScore }: Profile,
  snapshot: Snapshot,
  { extenders, random, startAt }: ExtendedSearchDeps,
): Promise<Decision> {
  const state: CycleState = new Map();
  const all = snapshot.nodes();
  const unfit = new Map<string, Unfit>();
  const rejectedBy = new Set<string>();
  const refuse = (message: string): Decision => ({ type: "unfit", message, plugins: rejectedBy, unfit, state });
  if (all.length === 0) return refuse("no nodes available to schedule pods");
  const { filters, rejection, only, narrowedBy } = prepareFilters(plugins, state, pod, snapshot);
  if (rejection !== undefined) {
    rejectedBy.add(rejection.plugin);
    return refuse(`0/${all.length} nodes are available: ${rejection.unfit.reasons.join(", ")}.`);
  }
  for (const name of narrowedBy) rejectedBy.add(name);
  const candidates = only === undefined ? all : all.filter(({ name }) => only.has(name));
  const enough = enoughNodes(all.length, percentageOfNodesToScore);
  let fitting: NodeState[] = [];
  for (let i = 0; i < candidates.length && fitting.length < enough; i++) {
    const node = candidates[(startAt + i) % candidates.length] as NodeState;
    const refusal = refusalBeside(plugins, pod, node, snapshot) ?? firstRefusal(filters, state, pod, node);
    if (refusal === undefined) fitting.push(node);
    else {
      unfit.set(node.name, refusal.unfit);
      rejectedBy.add(refusal.plugin);
    }
  }
  const asked = extenders.filter((extender) => extender.isInterestedIn(pod));
  for (const extender of asked) {
    if (!extender.filters || fitting.length === 0) continue;
    try {
      const { fitting: left, failed, unresolvable } = await extender.filter(pod, objectsOf(fitting));
      const names = new Set(left);
      for (const { name } of fitting) {
        if (names.has(name)) continue;
        unfit.set(name, { reasons: [failed[name] ?? "node(s) rejected by extender"], isFinal: unresolvable.has(name) });
        rejectedBy.add(extender.name);
      }
      fitting = fitting.filter(({ name }) => names.has(name));
    } catch (error) {
      if (!extender.isIgnorable) throw error;
    }
  }
  if (fitting.length === 0) {
    const reasons = countReasons(unfit.values());
    const others = all.length - candidates.length;
    if (others > 0) reasons.set(`node(s) didn't satisfy plugin(s) [${[...narrowedBy].sort().join(" ")}]`, others);
    return refuse(explain(all.length, reasons));
  }
  const totals = new Map(fitting.map(({ name }) => [name, 0]));
  for (const { plugin, weight } of plugins) {
    if (plugin.score === undefined || plugin.preScore?.(state, pod, fitting, snapshot)?.skip === true) continue;
    const scores = fitting.map((node) => plugin.score?.(state, pod, node) ?? 0);
    plugin.normalize?.(state, pod, scores, fitting);
    for (const [i, { name }] of fitting.entries())
      totals.set(name, (totals.get(name) ?? 0) + (scores[i] ?? 0) * weight);
  }
  for (const extender of asked) {
    if (!extender.scores) continue;
    try {
      for (const [name, score] of await extender.prioritize(pod, objectsOf(fitting)))
        if (totals.has(name)) totals.set(name, (totals.get(name) ?? 0) + score);
    } catch {
      // Only a wish: upstream, too, goes on without it.
    }
  }
  const max = [...totals.values()].reduce((one, other) => Math.max(one, other), -Infinity);
  const best = [...totals].filter(([, total]) => total === max);
  return { type: "fits", nodeName: best[Math.floor(random.next() * best.length)]?.[0] ?? "", state };
}

const objectsOf = (states: readonly NodeState[]): Node[] => states.flatMap(({ node }) => node ?? []);
