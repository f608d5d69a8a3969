import { RUNTIME_BUDGET } from "@coracle/cel";
import type { Compiled } from "./policy-environment.ts";
import { OutOfBudget, startRound, type Outcome } from "./policy-evaluation.ts";

/** What the conditions of one policy may cost together. */
const BUDGET = RUNTIME_BUDGET / 4;

/** An expression with its text. */
export interface Expression {
  readonly source: string;
  readonly compiled: Compiled;
}

/** Whether the conditions hold; a text says why that cannot be known. One that does not hold decides before errors. */
export async function checkConditions(
  conditions: readonly Expression[],
  variables: ReadonlyMap<string, Compiled>,
  bindings: Readonly<Record<string, unknown>>,
): Promise<boolean | string> {
  if (conditions.length === 0) return true;
  const round = startRound(variables, bindings, BUDGET);
  const errors = new Set<string>();
  for (const { source, compiled } of conditions) {
    let outcome: Outcome;
    try {
      outcome = await round.evaluate(source, compiled);
    } catch (error) {
      if (!(error instanceof OutOfBudget)) throw error;
      return error.message;
    }
    if (outcome.error !== undefined) errors.add(outcome.error);
    else if (outcome.value === false) return false;
  }
  if (errors.size === 0) return true;
  const [only] = errors;
  return errors.size === 1 ? only! : `[${[...errors].join(", ")}]`;
}
