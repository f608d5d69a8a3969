import type { Pod } from "@coracle/api/core/v1";
import type { Effect, MovingPart } from "../columns/column-plugin.ts";
import { DomainTable } from "../columns/domain-table.ts";
import { termMatches, termsOf, type Term } from "../framework/affinity-term.ts";
import { MAX_NODE_SCORE, type Unfit } from "../framework/plugin.ts";
import type { ClusterState } from "../state/cluster-state.ts";

interface Options {
  readonly hardPodAffinityWeight: number;
  readonly ignoresOthers: boolean;
}

/** Tables by topology key, made when first needed. */
class TablesByKey {
  readonly #tables = new Map<string, DomainTable>();
  readonly #state: ClusterState;

  constructor(state: ClusterState) {
    this.#state = state;
  }

  of(key: string): DomainTable {
    let table = this.#tables.get(key);
    if (table === undefined) this.#tables.set(key, (table = new DomainTable(this.#state.table.label(key))));
    return table;
  }

  get all(): Iterable<DomainTable> {
    return this.#tables.values();
  }

  clear(): void {
    for (const table of this.#tables.values()) table.clear();
  }

  isEmpty(): boolean {
    for (const table of this.#tables.values()) if (table.nonZero > 0) return false;
    return true;
  }
}

/** Affinity between pods over columns, for pods like this one. */
export function affinityPart(
  pod: Pod,
  state: ClusterState,
  { hardPodAffinityWeight, ignoresOthers }: Options,
  unfit: Readonly<Record<"affinity" | "antiAffinity" | "unwanted", Unfit>>,
): MovingPart {
  const own = termsOf(pod, state);
  const { namespace, labels } = pod.metadata;
  const isMeant = (term: Term): boolean => termMatches(term, namespace, labels);
  // Equal keys count together: a pod that matches all terms counts once for each.
  const near = new TablesByKey(state);
  for (const { key } of own.affinity) near.of(key);
  const apart = new TablesByKey(state);
  const unwanted = new TablesByKey(state);
  const weights = new TablesByKey(state);
  const matchesItself = own.affinity.every(isMeant);
  const looksAround = own.affinity.length > 0 || own.antiAffinity.length > 0 || own.preferred.length > 0;
  const ignoresWishes = ignoresOthers && own.preferred.length === 0;

  return {
    kind: "moving",
    seesAllPods: looksAround,
    reset() {
      for (const tables of [near, apart, unwanted, weights]) tables.clear();
    },
    effectsOf(group) {
      const effects: Effect[] = [];
      const isSeen = (term: Term): boolean => termMatches(term, group.namespace, group.labels);
      const add = (tables: TablesByKey, { key }: Term, weight: number): void =>
        void effects.push({ table: tables.of(key), weight });
      if (looksAround) {
        if (own.affinity.length > 0 && own.affinity.every(isSeen)) for (const term of own.affinity) add(near, term, 1);
        for (const term of own.antiAffinity) if (isSeen(term)) add(apart, term, 1);
        for (const term of own.preferred) if (isSeen(term)) add(weights, term, term.weight);
      }
      if (group.hasTerms) {
        const theirs = state.groups.termsOf(group);
        for (const term of theirs.antiAffinity) if (isMeant(term)) add(unwanted, term, 1);
        if (!ignoresWishes) {
          for (const term of theirs.preferred) if (isMeant(term)) add(weights, term, term.weight);
          if (hardPodAffinityWeight !== 0)
            for (const term of theirs.affinity) if (isMeant(term)) add(weights, term, hardPodAffinityWeight);
        }
      }
      return effects;
    },
    isIdle: () => own.affinity.length === 0 && apart.isEmpty() && unwanted.isEmpty() && weights.isEmpty(),
    refusalAt(slot) {
      if (own.affinity.length > 0 && !isNear(slot)) return unfit.affinity;
      for (const table of apart.all) if (table.at(slot) > 0) return unfit.antiAffinity;
      for (const table of unwanted.all) if (table.at(slot) > 0) return unfit.unwanted;
      return undefined;
    },
    narrow(slots, count) {
      let left = count;
      if (own.affinity.length > 0) {
        const isFirst = matchesItself && near.isEmpty();
        for (const table of near.all) left = table.keep(slots, left, isFirst ? -Infinity : 1, Infinity, false);
      }
      for (const table of apart.all) left = keepWithout(table, slots, left);
      for (const table of unwanted.all) left = keepWithout(table, slots, left);
      return left;
    },
    addScores(slots, count, weight, totals) {
      if (!weights.isEmpty()) addWeights(weights.all, slots, count, weight, totals);
    },
  };

  function isNear(slot: number): boolean {
    let isWithAll = true;
    for (const table of near.all) {
      if ((table.column?.values[slot] ?? -1) < 0) return false;
      if (table.at(slot) <= 0) isWithAll = false;
    }
    // The first pod of a group that wants to be together may go anywhere.
    return isWithAll || (matchesItself && near.isEmpty());
  }
}

const keepWithout = (table: DomainTable, slots: Int32Array, count: number): number =>
  table.nonZero === 0 ? count : table.keep(slots, count, -Infinity, 0, true);

let raw = new Float64Array(0);

function addWeights(
  tables: Iterable<DomainTable>,
  slots: Int32Array,
  count: number,
  weight: number,
  totals: Float64Array,
): void {
  if (raw.length < count) raw = new Float64Array(count * 2);
  const scores = raw.fill(0, 0, count);
  for (const { column, sums, nonZero } of tables) {
    if (nonZero === 0 || column === undefined) continue;
    const { values } = column;
    for (let i = 0; i < count; i++) {
      const domain = values[slots[i] ?? 0] ?? -1;
      if (domain >= 0) scores[i] = (scores[i] ?? 0) + (sums[domain] ?? 0);
    }
  }
  let max = -Infinity;
  let min = Infinity;
  for (let i = 0; i < count; i++) {
    const score = scores[i] ?? 0;
    if (score > max) max = score;
    if (score < min) min = score;
  }
  if (max === min) return;
  for (let i = 0; i < count; i++)
    totals[i] = (totals[i] ?? 0) + weight * Math.floor(MAX_NODE_SCORE * (((scores[i] ?? 0) - min) / (max - min)));
}
