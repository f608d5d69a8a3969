import type { Pod } from "@coracle/api/core/v1";
import type { Effect, MovingPart } from "../columns/column-plugin.ts";
import { DomainTable } from "../columns/domain-table.ts";
import type { LabelColumn } from "../columns/label-column.ts";
import type { NodeTable } from "../columns/node-table.ts";
import type { PodGroup } from "../columns/pod-groups.ts";
import { MAX_NODE_SCORE, type Unfit } from "../framework/plugin.ts";
import type { ClusterState } from "../state/cluster-state.ts";
import {
  hasLabels,
  HOSTNAME,
  type Constraint,
  type ConstraintSet,
  type ConstraintSource,
} from "./spread-constraint.ts";

/** A rule over columns: pods by domain, and which domains there are. */
interface Rule {
  readonly constraint: Constraint;
  readonly column: LabelColumn;
  readonly counts: DomainTable;
  /** Nodes that take part, by domain. */
  domains: Int32Array;
  domainCount: number;
  readonly selfMatch: 0 | 1;
}

/** A wish over columns. */
interface Wish {
  readonly constraint: Constraint;
  readonly column: LabelColumn;
  readonly counts: DomainTable;
}

/** Spreading over columns, for pods like this one; undefined: nothing to spread. */
export function spreadPart(
  pod: Pod,
  { table }: ClusterState,
  source: ConstraintSource,
  unfit: { readonly missing: Unfit; readonly skewed: Unfit },
): MovingPart {
  const hard = source.of(pod, "DoNotSchedule").constraints;
  const soft = source.of(pod, "ScheduleAnyway");
  const namespace = pod.metadata.namespace ?? "";
  const labels = pod.metadata.labels ?? {};
  const takesPart = (constraint: Constraint, all: readonly Constraint[]) => (slot: number) => {
    const node = table.state(slot)?.node;
    return node !== undefined && hasLabels(node, all) && constraint.counts(node);
  };
  const rules = hard.map((constraint): Rule => {
    const column = table.label(constraint.key);
    const counts = new DomainTable(column, memoized(table, takesPart(constraint, hard)));
    const selfMatch = constraint.selects.matches(labels) ? 1 : 0;
    return { constraint, column, counts, domains: new Int32Array(0), domainCount: 0, selfMatch };
  });
  const wishes = soft.constraints.map((constraint): Wish => {
    const column = table.label(constraint.key);
    if (constraint.key === HOSTNAME) return { constraint, column, counts: new DomainTable(undefined) };
    const counting = memoized(table, takesPart(constraint, soft.needsAllLabels ? soft.constraints : []));
    return { constraint, column, counts: new DomainTable(column, counting) };
  });

  return {
    kind: "moving",
    seesAllPods: true,
    reset() {
      for (const rule of rules) {
        rule.counts.clear();
        readDomains(rule, table, takesPart(rule.constraint, hard));
      }
      for (const { counts } of wishes) counts.clear();
    },
    effectsOf(group: PodGroup) {
      if (group.isLeaving || group.namespace !== namespace) return [];
      const effects: Effect[] = [];
      for (const { constraint, counts } of [...rules, ...wishes])
        if (constraint.countsPod(group.labels)) effects.push({ table: counts, weight: 1 });
      return effects;
    },
    isIdle: () => rules.length === 0 && wishes.length === 0,
    refusalAt(slot) {
      for (const rule of rules) {
        if ((rule.column.values[slot] ?? -1) < 0) return unfit.missing;
        if (rule.counts.at(slot) > allowed(rule)) return unfit.skewed;
      }
      return undefined;
    },
    narrow(slots, count) {
      let left = count;
      for (const rule of rules) left = rule.counts.keep(slots, left, -Infinity, allowed(rule), false);
      return left;
    },
    addScores(slots, count, weight, totals) {
      if (wishes.length > 0) addWishes(soft, wishes, slots, count, weight, totals);
    },
  };
}

/** Remembers the answers for nodes until one of their objects changes. */
function memoized(table: NodeTable, ask: (slot: number) => boolean): (slot: number) => boolean {
  let version = -1;
  let answers = new Uint8Array(0);
  return (slot) => {
    if (version !== table.staticVersion || answers.length < table.capacity) {
      version = table.staticVersion;
      answers = new Uint8Array(table.capacity);
    }
    const known = answers[slot] ?? 0;
    if (known !== 0) return known === 2;
    const answer = ask(slot);
    answers[slot] = answer ? 2 : 1;
    return answer;
  };
}

function readDomains(rule: Rule, table: NodeTable, takesPart: (slot: number) => boolean): void {
  const domains = new Int32Array(rule.column.valueCount);
  let count = 0;
  for (let slot = 0; slot < table.size; slot++) {
    const domain = rule.column.values[slot] ?? -1;
    if (domain < 0 || !table.isAlive(slot) || !takesPart(slot)) continue;
    if (domains[domain] === 0) count++;
    domains[domain] = (domains[domain] ?? 0) + 1;
  }
  rule.domains = domains;
  rule.domainCount = count;
  rule.counts.reserve(rule.column.valueCount);
}

/** How many matching pods a domain may have before this one comes. */
function allowed({ constraint, counts, domains, domainCount, selfMatch }: Rule): number {
  let minimum = 0;
  if (domainCount > 0 && domainCount >= constraint.minDomains) {
    minimum = Infinity;
    const { sums } = counts;
    for (let i = 0; i < domains.length; i++) if (domains[i] !== 0 && (sums[i] ?? 0) < minimum) minimum = sums[i] ?? 0;
  }
  return constraint.maxSkew + minimum - selfMatch;
}

let raw = new Float64Array(0);
let seen = new Int32Array(0);

function addWishes(
  { needsAllLabels }: ConstraintSet,
  wishes: readonly Wish[],
  slots: Int32Array,
  count: number,
  weight: number,
  totals: Float64Array,
): void {
  if (raw.length < count) raw = new Float64Array(count * 2);
  const scores = raw.fill(0, 0, count);
  let compared = count;
  if (needsAllLabels) {
    for (const { column } of wishes) {
      const { values } = column;
      for (let i = 0; i < count; i++) {
        if ((values[slots[i] ?? 0] ?? -1) >= 0 || scores[i] === OUT) continue;
        scores[i] = OUT;
        compared--;
      }
    }
  }
  for (const wish of wishes) addWish(wish, slots, count, compared, scores);
  let max = 0;
  let min = Infinity;
  for (let i = 0; i < count; i++) {
    const score = scores[i] ?? 0;
    if (score === OUT) continue;
    const rounded = Math.round(score);
    scores[i] = rounded;
    if (rounded > max) max = rounded;
    if (rounded < min) min = rounded;
  }
  for (let i = 0; i < count; i++) {
    const score = scores[i] ?? 0;
    if (score === OUT) continue;
    const normal = max === 0 ? MAX_NODE_SCORE : Math.floor((MAX_NODE_SCORE * (max + min - score)) / max);
    totals[i] = (totals[i] ?? 0) + weight * normal;
  }
}

/** The raw score of nodes that take no part. */
const OUT = -1;

function addWish(
  { constraint, column, counts }: Wish,
  slots: Int32Array,
  count: number,
  compared: number,
  scores: Float64Array,
): void {
  const { values } = column;
  const { sums } = counts;
  const isByNode = counts.column === undefined;
  const factor = Math.log((isByNode ? compared : distinct(column, slots, count, scores)) + 2);
  const skew = constraint.maxSkew - 1;
  for (let i = 0; i < count; i++) {
    const slot = slots[i] ?? 0;
    const domain = values[slot] ?? -1;
    const score = scores[i] ?? 0;
    if (domain < 0 || score === OUT) continue;
    scores[i] = score + (sums[isByNode ? slot : domain] ?? 0) * factor + skew;
  }
}

/** How many domains the nodes of the list are in; those that are in none are one more. */
function distinct({ values, valueCount }: LabelColumn, slots: Int32Array, count: number, scores: Float64Array): number {
  if (seen.length < valueCount) seen = new Int32Array(valueCount * 2);
  const marks = seen.fill(0, 0, valueCount);
  let domains = 0;
  let isAnyOutside = false;
  for (let i = 0; i < count; i++) {
    if (scores[i] === OUT) continue;
    const domain = values[slots[i] ?? 0] ?? -1;
    if (domain < 0) isAnyOutside = true;
    else if (marks[domain] === 0) {
      marks[domain] = 1;
      domains++;
    }
  }
  return isAnyOutside ? domains + 1 : domains;
}
