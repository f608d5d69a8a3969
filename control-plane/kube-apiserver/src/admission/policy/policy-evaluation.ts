import { CelError, CelMap, CelTypeValue, typeNameOf, type CelValue } from "@coracle/cel";
import type { Compiled } from "./policy-environment.ts";

/** Why a policy gives up on a request: its expressions cost too much together. */
export const OUT_OF_BUDGET =
  "validation failed due to running out of cost budget, no further validation rules will be run";

/** What one expression came to. */
export type Outcome = { readonly value: CelValue; readonly error?: never } | { readonly error: string };

/** Thrown when the budget is spent. */
export class OutOfBudget extends Error {
  override readonly name = "OutOfBudget";
  constructor() {
    super(OUT_OF_BUDGET);
  }
}

/** Variables that are computed when they are first used, at most once. */
class LazyVariables extends CelMap {
  readonly #compiled: ReadonlyMap<string, Compiled>;
  readonly #bindings: () => Readonly<Record<string, unknown>>;
  readonly #known = new Map<string, CelValue>();
  /** What computing them has cost since this was last read. */
  #cost = 0;

  constructor(compiled: ReadonlyMap<string, Compiled>, bindings: () => Readonly<Record<string, unknown>>) {
    super();
    this.#compiled = compiled;
    this.#bindings = bindings;
  }

  get size(): number {
    return this.#compiled.size;
  }

  find(key: CelValue): CelValue | undefined {
    if (typeof key !== "string") return undefined;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const compiled = this.#compiled.get(key);
    if (compiled === undefined) return undefined;
    const value = this.#compute(key, compiled);
    this.#known.set(key, value);
    return value;
  }

  keys(): Iterable<CelValue> {
    return this.#compiled.keys();
  }

  takeCost(): number {
    const cost = this.#cost;
    this.#cost = 0;
    return cost;
  }

  #compute(name: string, compiled: Compiled): CelValue {
    if (compiled.problem !== undefined) {
      return new CelError(`composited variable "${name}" fails to compile: ${compiled.problem}`);
    }
    const result = compiled.program.evaluate(this.#bindings());
    this.#cost += result.cost;
    return result.ok ? result.value : new CelError(`composited variable "${name}" fails to evaluate: ${result.error}`);
  }
}

/** The evaluation of a list of expressions over one request, with one budget. */
export interface Round {
  /** What the expression comes to. Throws OutOfBudget. */
  evaluate(source: string, compiled: Compiled): Promise<Outcome>;
  readonly budgetLeft: number;
}

/** Starts a round: variables are computed anew, at most once each. */
export function startRound(
  variables: ReadonlyMap<string, Compiled>,
  bindings: Readonly<Record<string, unknown>>,
  budget: number,
): Round {
  const all: Record<string, unknown> = { ...bindings };
  const lazy = new LazyVariables(variables, () => all);
  all["variables"] = lazy;
  let left = budget;
  const spend = (cost: number): void => {
    if (cost > left) throw new OutOfBudget();
    left -= cost;
  };
  return {
    get budgetLeft() {
      return left;
    },
    async evaluate(source, compiled) {
      if (compiled.problem !== undefined) return { error: `compilation error: ${compiled.problem}` };
      const result = await compiled.program.evaluateAsync(all);
      spend(lazy.takeCost());
      spend(result.cost);
      return result.ok
        ? { value: result.value }
        : { error: `expression '${source}' resulted in error: ${result.error}` };
    },
  };
}

/** The name of a value's type, as messages about results show it. */
export function resultTypeName(value: CelValue): string {
  return value instanceof CelTypeValue ? "type" : typeNameOf(value);
}
