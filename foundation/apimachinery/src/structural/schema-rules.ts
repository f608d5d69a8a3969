import type { FieldError } from "../errors/field-error.ts";
import type { StructuralNode } from "./structural-node.ts";

/** The largest cost that one rule may be estimated to have. */
export const RULE_COST_LIMIT = 10_000_000;
/** The same for all rules of a schema together. */
export const TOTAL_COST_LIMIT = 100_000_000;

/** What the expression language says of one rule before it runs. Costs may be infinite. */
export interface CheckedRule {
  /** Why the rule cannot be compiled. */
  readonly problem?: { readonly isMissing: boolean; readonly detail: string } | undefined;
  readonly messageProblem?: string | undefined;
  readonly usesOldSelf: boolean;
  readonly cost: number;
  /** How often the node can occur in an object at most, by its smallest size. */
  readonly maxCardinality: number;
  /** Absent: there is no message expression. */
  readonly messageCost?: number | undefined;
}

/** The expression language, as the check of schemas needs it. */
export interface RuleCheckPort {
  /** The rules of one node; undefined where expressions cannot see it. */
  check(node: StructuralNode, isResource: boolean): readonly CheckedRule[] | undefined;
  /** Whether a default fulfils the rules in its place. */
  checkDefault(node: StructuralNode, value: unknown, path: string, isResource: boolean): readonly FieldError[];
}

/** Adds up what rules are estimated to cost. */
export class RuleCosts {
  total = 0;
  #expensive: { readonly path: string; readonly cost: number }[] = [];

  add(path: string, cost: number): void {
    this.total += cost;
    if (cost < TOTAL_COST_LIMIT / 100) return;
    this.#expensive = [...this.#expensive, { path, cost }].sort((a, b) => b.cost - a.cost).slice(0, 4);
  }

  /** At most four, the most expensive first. */
  get mostExpensive(): readonly { readonly path: string; readonly cost: number }[] {
    return this.#expensive;
  }
}

/** How far a cost is over its limit, in words. */
export function costText(name: string, cost: number, limit: number): string {
  const factor = cost / limit;
  const text = factor > 100 ? "more than 100x" : factor < 1.5 ? `${factor.toFixed(6)}x` : `${factor.toFixed(1)}x`;
  return (
    `${name} exceeds budget by factor of ${text} ` +
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
  );
}
