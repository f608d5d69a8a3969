import type { Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import type { NodeVerdicts } from "../columns/node-verdicts.ts";
import type { PodClasses } from "../columns/pod-classes.ts";
import { explain, firstRefusal, prepareFilters, type PluginEntry } from "../framework/filtering.ts";
import { priorityOf, type CycleState, type Plugin, type PostFilterResult, type Unfit } from "../framework/plugin.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import type { NodeState } from "../state/node-state.ts";
import { isBetter, selectVictims, type Candidate, type NoCandidate } from "./candidate.ts";
import { enoughCandidates, NOT_HELPFUL, whyIneligible, type DefaultPreemptionArgs } from "./plan.ts";

/** What was found on each node for one class of pods; forgotten for nodes that change. */
interface Findings {
  /** By node number: what `byNode` has. */
  kinds: Uint8Array;
  readonly byNode: (Candidate | NoCandidate | undefined)[];
  seen: number;
}

const UNKNOWN = 0;
const CANDIDATE = 1;
const NOTHING = 2;

const MAX_CLASSES = 64;

/**
 * Plans as `planPreemption` does, for pods that only nodes by themselves keep out. What was found on a node is kept
 * until the node changes: pods that look alike share it.
 */
export class PreemptionPlanner {
  readonly #state: ClusterState;
  /** By class and priority. */
  readonly #findings = new Map<string, Findings>();
  #budgets: readonly PodDisruptionBudget[] = [];

  constructor(state: ClusterState) {
    this.#state = state;
  }

  /** Undefined: other pods, or plugins without columns, matter. */
  plan(
    pod: Pod,
    unfit: ReadonlyMap<string, Unfit>,
    classes: PodClasses,
    plugins: readonly PluginEntry[],
    budgets: readonly PodDisruptionBudget[],
    args: DefaultPreemptionArgs,
  ): PostFilterResult | undefined {
    const state = this.#state;
    if (classes.mindsOthers(pod) || state.nominationOf(pod) !== undefined) return undefined;
    const cycle: CycleState = new Map();
    const others = prepareFilters(classes.others, cycle, pod, state);
    // Who is kept out of all nodes is so whatever the columns say.
    if (others.rejection !== undefined || others.filters.length > 0) return undefined;
    const ineligible = whyIneligible(pod, unfit, state);
    if (ineligible !== undefined) return ineligible;

    const verdicts = classes.verdictsOf(pod);
    const local = plugins.filter(
      ({ plugin }) => plugin.columns !== undefined && plugin.columns.movingPart === undefined,
    );
    const { filters } = prepareFilters(local, cycle, pod, state);
    const find = (node: NodeState): Candidate | NoCandidate => this.#try(pod, node, budgets, filters, cycle);
    const findings = this.#findingsOf(`${priorityOf(pod)}\u0000${classes.keyOf(pod)}`, budgets);
    return this.#choose(verdicts, findings, classes.order(), find, args);
  }

  #choose(
    verdicts: NodeVerdicts,
    findings: Findings,
    order: Int32Array,
    find: (node: NodeState) => Candidate | NoCandidate,
    args: DefaultPreemptionArgs,
  ): PostFilterResult {
    const enough = enoughCandidates(order.length, args);
    const isOpen = verdicts.openRefusals();
    const verdict = verdicts.verdicts;
    const { kinds, byNode } = findings;
    let best: Candidate | undefined;
    let count = 0;
    for (let i = 0; i < order.length && count < enough; i++) {
      const slot = order[i] ?? 0;
      let kind = kinds[slot];
      if (kind === NOTHING || isOpen[verdict[slot] ?? 0] !== 1) continue;
      if (kind === UNKNOWN) kind = this.#note(findings, slot, find);
      if (kind === NOTHING) continue;
      const found = byNode[slot] as Candidate;
      count++;
      if (best === undefined || isBetter(found, best)) best = found;
    }
    if (best !== undefined) return { type: "nominated", nodeName: best.nodeName, victims: best.victims };

    const reasons = new Map<string, number>();
    let helpless = 0;
    for (let i = 0; i < order.length; i++) {
      const slot = order[i] ?? 0;
      const found = isOpen[verdict[slot] ?? 0] === 1 ? byNode[slot] : undefined;
      if (found === undefined || !("reasons" in found)) helpless++;
      else for (const reason of found.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    if (helpless > 0) reasons.set(NOT_HELPFUL, (reasons.get(NOT_HELPFUL) ?? 0) + helpless);
    return { type: "none", message: explain(order.length, reasons), isUnderWay: false };
  }

  #note({ kinds, byNode }: Findings, slot: number, find: (node: NodeState) => Candidate | NoCandidate): number {
    const node = this.#state.table.state(slot);
    if (node === undefined) return NOTHING;
    const found = find(node);
    const kind = "victims" in found ? CANDIDATE : NOTHING;
    byNode[slot] = found;
    kinds[slot] = kind;
    return kind;
  }

  #try(
    pod: Pod,
    node: NodeState,
    budgets: readonly PodDisruptionBudget[],
    filters: readonly Plugin[],
    cycle: CycleState,
  ): Candidate | NoCandidate {
    return selectVictims(pod, node, this.#state, budgets, (copy) => () => firstRefusal(filters, cycle, pod, copy));
  }

  #findingsOf(key: string, budgets: readonly PodDisruptionBudget[]): Findings {
    const { table } = this.#state;
    if (!sameBudgets(budgets, this.#budgets)) {
      this.#findings.clear();
      this.#budgets = budgets;
    }
    let findings = this.#findings.get(key);
    if (findings === undefined) {
      if (this.#findings.size >= MAX_CLASSES) this.#findings.clear();
      this.#findings.set(key, (findings = { kinds: new Uint8Array(0), byNode: [], seen: table.version }));
    }
    if (!table.remembers(findings.seen) || findings.kinds.length < table.capacity) {
      findings.kinds = new Uint8Array(table.capacity);
    } else {
      for (let at = findings.seen; at < table.version; at++) findings.kinds[table.changeAt(at) >> 1] = UNKNOWN;
    }
    findings.seen = table.version;
    return findings;
  }
}

function sameBudgets(a: readonly PodDisruptionBudget[], b: readonly PodDisruptionBudget[]): boolean {
  return a.length === b.length && a.every((budget, i) => budget === b[i]);
}
