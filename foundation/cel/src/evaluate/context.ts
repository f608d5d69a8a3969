import type { CelValue } from "../values/value.ts";

/** Where variables come from; undefined means that there is none of that name. */
export interface Variables {
  resolve(name: string): CelValue | undefined;
}

/** Thrown where an evaluation stops at once: over its cost or interrupted. */
export class EvaluationStop extends Error {
  override readonly name = "EvaluationStop";
}

/** What implementations of functions may use of one evaluation. */
export interface EvaluationContext {
  readonly variables: Variables;
}

/** One evaluation: variables, values of comprehensions, and what it has cost so far. */
export class Frame implements EvaluationContext {
  readonly variables: Variables;
  readonly slots: (CelValue | undefined)[] = [];
  readonly #limit: number;
  readonly #isInterrupted: (() => boolean) | undefined;
  #turns = 0;
  cost = 0;

  constructor(variables: Variables, limit: number, isInterrupted?: () => boolean) {
    this.variables = variables;
    this.#limit = limit;
    this.#isInterrupted = isInterrupted;
  }

  /** Adds to the cost. Throws EvaluationStop over the limit. */
  charge(cost: number): void {
    this.cost += cost;
    if (this.cost > this.#limit) throw new EvaluationStop("operation cancelled: actual cost limit exceeded");
  }

  /** Called once per turn of a comprehension. Throws EvaluationStop when interrupted. */
  turn(): void {
    if (this.#isInterrupted !== undefined && ++this.#turns % 100 === 0 && this.#isInterrupted()) {
      throw new EvaluationStop("operation interrupted");
    }
  }
}
