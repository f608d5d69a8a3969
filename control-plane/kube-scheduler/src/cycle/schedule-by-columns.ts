import type { Pod } from "@coracle/api/core/v1";
import type { MovingVerdicts } from "../columns/moving-verdicts.ts";
import type { NodeVerdicts } from "../columns/node-verdicts.ts";
import { looksAround, type PodClasses } from "../columns/pod-classes.ts";
import { explain, prepareFilters, type PluginEntry, type Refusal } from "../framework/filtering.ts";
import type { CycleState, Plugin, Unfit } from "../framework/plugin.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import type { NodeState } from "../state/node-state.ts";
import { factsOf } from "../state/pod-facts.ts";
import { enoughNodes, podsAhead, refusalBeside, type Decision, type ScheduleDeps } from "./decision.ts";
import { LazyUnfit } from "./lazy-unfit.ts";

/** So many fitting nodes are compared at least where other pods matter. */
const MIN_COMPARED = 1_000;

/** All that is known of one attempt. */
interface Attempt {
  readonly pod: Pod;
  readonly state: ClusterState;
  readonly deps: ScheduleDeps;
  readonly cycle: CycleState;
  readonly verdicts: NodeVerdicts;
  readonly moving: MovingVerdicts | undefined;
  /** Filters of plugins without columns. */
  readonly others: readonly Plugin[];
  /** Refusals that are not in the columns, by node number. */
  readonly refused: Map<number, Refusal>;
  /** Pods wait for nodes in a way that columns do not tell. */
  readonly isContested: boolean;
}

/**
 * Decides as `schedulePod` without columns does, out of what is kept for pods like this one. Undefined: not a pod for
 * columns (it allows few nodes only, by name).
 */
export function scheduleByColumns(
  pod: Pod,
  state: ClusterState,
  deps: ScheduleDeps,
  classes: PodClasses,
): Decision | undefined {
  if (classes.narrows(pod)) return undefined;
  const cycle: CycleState = new Map();
  const all = state.nodes();
  const prepared = prepareFilters(classes.others, cycle, pod, state);
  if (prepared.rejection !== undefined || prepared.only !== undefined) return undefined;
  const others = prepared.filters;
  const verdicts = classes.verdictsOf(pod);
  const moving = classes.movingOf(pod);
  const isContested = state.hasNominations && (looksAround(pod) || others.length > 0 || state.hasWaryNominations);
  const attempt: Attempt = { pod, state, deps, cycle, verdicts, moving, others, refused: new Map(), isContested };

  const nominated = state.node(state.nominationOf(pod) ?? "");
  if (nominated !== undefined) {
    const refusal = refusalAtNominated(attempt, nominated);
    if (refusal === undefined) return { type: "fits", nodeName: nominated.name, state: cycle };
    attempt.refused.set(nominated.slot, refusal);
  }

  const { percentageOfNodesToScore: percent = 0 } = deps;
  const isSampled = percent > 0 && percent < 100;
  const scorers = classes.others.filter(({ plugin }) => isScoring(plugin, attempt, all));
  const isPlain = moving === undefined && others.length === 0 && scorers.length === 0 && !isContested && !isSampled;
  if (isPlain && classes.canRank && nominated === undefined) {
    const slot = verdicts.best(() => deps.random.next());
    return slot < 0 ? refuse(attempt) : fits(attempt, slot);
  }

  let enough = all.length;
  if (isSampled || others.length > 0 || scorers.length > 0) enough = enoughNodes(all.length, percent);
  else if (moving !== undefined && percent === 0) enough = Math.max(MIN_COMPARED, enoughNodes(all.length));
  const { slots, totals } = classes.scratch();
  const count = gather(attempt, classes.order(), enough, slots);
  if (count === 0) return refuse(attempt);
  if (count === 1) return fits(attempt, slots[0] ?? 0);
  addTotals(attempt, slots, count, totals);
  addForeignScores(attempt, scorers, slots, count, totals);
  return fits(attempt, slots[pickBest(totals, count, () => deps.random.next())] ?? 0);
}

function fits({ state, cycle }: Attempt, slot: number): Decision {
  return { type: "fits", nodeName: state.table.state(slot)?.name ?? "", state: cycle };
}

/** Collects up to `enough` fitting nodes in `slots`. */
function gather(attempt: Attempt, order: Int32Array, enough: number, slots: Int32Array): number {
  const { verdicts, moving, others, refused, isContested, deps } = attempt;
  const verdict = verdicts.verdicts;
  const total = order.length;
  const isExact = others.length > 0 || isContested || refused.size > 0;
  // Where not all are looked at, no part of the cluster comes first more often than others.
  const start = enough < total ? Math.floor(deps.random.next() * total) : deps.startAt;
  let at = total === 0 ? 0 : start % total;
  let taken = 0;
  let count = 0;
  while (count < enough && taken < total) {
    let filled = count;
    while (filled < enough && taken < total) {
      const slot = order[at] ?? 0;
      if (++at === total) at = 0;
      taken++;
      if (verdict[slot] === 0) slots[filled++] = slot;
    }
    let kept = filled - count;
    if (moving !== undefined) kept = moving.narrow(count === 0 ? slots : slots.subarray(count), kept);
    if (!isExact) {
      count += kept;
      continue;
    }
    const end = count + kept;
    for (let i = count; i < end; i++) {
      const slot = slots[i] ?? 0;
      if (!refused.has(slot) && isTakenByOthers(attempt, slot) === undefined) slots[count++] = slot;
    }
  }
  return count;
}

/** What plugins without columns, or pods that wait for the node, have against it; noted. */
function isTakenByOthers(attempt: Attempt, slot: number): Refusal | undefined {
  const { pod, state, cycle, others, refused, isContested, deps } = attempt;
  const node = state.table.state(slot);
  if (node === undefined) return undefined;
  let refusal = isContested ? refusalBeside(deps.plugins, pod, node, state) : undefined;
  for (let i = 0; i < others.length && refusal === undefined; i++) {
    const plugin = others[i];
    const unfit = plugin?.filter?.(cycle, pod, node);
    if (plugin !== undefined && unfit !== undefined) refusal = { plugin: plugin.name, unfit };
  }
  if (refusal !== undefined) refused.set(slot, refusal);
  return refusal;
}

/** Where room was made for it the pod goes if it can: it is not in its own way there. */
function refusalAtNominated(attempt: Attempt, node: NodeState): Refusal | undefined {
  const { pod, state, deps, verdicts, moving, others, isContested } = attempt;
  if (moving === undefined && others.length === 0 && !isContested) {
    const ahead = podsAhead(pod, node, state);
    return verdicts.refusalAt(node.slot, ahead.length === 0 ? undefined : ahead.map((each) => factsOf(each)));
  }
  const beside = refusalBeside(deps.plugins, pod, node, state);
  if (beside !== undefined) return beside;
  const cycle: CycleState = new Map();
  const { filters, rejection } = prepareFilters(deps.plugins, cycle, pod, state);
  if (rejection !== undefined) return rejection;
  for (const plugin of filters) {
    const unfit = plugin.filter?.(cycle, pod, node);
    if (unfit !== undefined) return { plugin: plugin.name, unfit };
  }
  return undefined;
}

function isScoring(plugin: Plugin, { pod, state, cycle }: Attempt, all: readonly NodeState[]): boolean {
  return plugin.score !== undefined && plugin.preScore?.(cycle, pod, all, state)?.skip !== true;
}

function addTotals({ verdicts, moving }: Attempt, slots: Int32Array, count: number, totals: Float64Array): void {
  const { fixed } = verdicts;
  for (let i = 0; i < count; i++) totals[i] = fixed[slots[i] ?? 0] ?? 0;
  for (const raw of verdicts.raws) raw.addScores(slots, count, totals);
  moving?.addScores(slots, count, totals);
}

function addForeignScores(
  { pod, state, cycle }: Attempt,
  scorers: readonly PluginEntry[],
  slots: Int32Array,
  count: number,
  totals: Float64Array,
): void {
  if (scorers.length === 0) return;
  const nodes: NodeState[] = [];
  for (let i = 0; i < count; i++) {
    const node = state.table.state(slots[i] ?? 0);
    if (node !== undefined) nodes.push(node);
  }
  for (const { plugin, weight } of scorers) {
    if (plugin.preScore?.(cycle, pod, nodes, state)?.skip === true) continue;
    const scores = nodes.map((node) => plugin.score?.(cycle, pod, node) ?? 0);
    plugin.normalize?.(cycle, pod, scores, nodes);
    for (const [i, score] of scores.entries()) totals[i] = (totals[i] ?? 0) + score * weight;
  }
}

/** The place of one of the highest totals, by chance. */
function pickBest(totals: Float64Array, count: number, random: () => number): number {
  let max = -Infinity;
  let equals = 0;
  for (let i = 0; i < count; i++) {
    const total = totals[i] ?? 0;
    if (total > max) {
      max = total;
      equals = 1;
    } else if (total === max) equals++;
  }
  let left = Math.floor(random() * equals);
  for (let i = 0; i < count; i++) if (totals[i] === max && left-- === 0) return i;
  return 0;
}

/** Why nowhere. */
function refuse(attempt: Attempt): Decision {
  const { state, verdicts, moving, refused, cycle, isContested, others } = attempt;
  const verdict = verdicts.keep();
  if (moving === undefined && refused.size === 0 && !isContested && others.length === 0) {
    const { message, plugins } = verdicts.refusals();
    const unfit = new LazyUnfit(state.nodes(), (node) => verdicts.refusal(verdict[node.slot] ?? 0)?.unfit);
    return { type: "unfit", message, plugins, unfit, state: cycle };
  }
  const total = state.table.aliveCount;
  const plugins = new Set<string>();
  const reasons = new Map<string, number>();
  const nominated = state.node(state.nominationOf(attempt.pod) ?? "");
  const found = new Map<string, Unfit>();
  for (const node of state.nodes()) {
    const own = verdicts.refusal(verdict[node.slot] ?? 0);
    const refusal = nominated?.slot === node.slot ? refused.get(node.slot) : firstOf(own, attempt, node);
    if (refusal === undefined) continue;
    plugins.add(refusal.plugin);
    for (const reason of refusal.unfit.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    found.set(node.name, refusal.unfit);
  }
  return { type: "unfit", message: explain(total, reasons), plugins, unfit: found, state: cycle };
}

/** Of what the columns have against a node, what comes first in the profile. */
function firstOf(
  own: (Refusal & { readonly order: number }) | undefined,
  { pod, state, cycle, moving, others, isContested, deps }: Attempt,
  node: NodeState,
): Refusal | undefined {
  const beside = isContested ? refusalBeside(deps.plugins, pod, node, state) : undefined;
  if (beside !== undefined) return beside;
  const moved = moving?.refusalAt(node.slot);
  const first = own === undefined || (moved !== undefined && moved.order < own.order) ? moved : own;
  for (const plugin of others) {
    const order = deps.plugins.findIndex((each) => each.plugin === plugin);
    if (first !== undefined && first.order < order) break;
    const unfit = plugin.filter?.(cycle, pod, node);
    if (unfit !== undefined) return { plugin: plugin.name, unfit };
  }
  return first;
}
