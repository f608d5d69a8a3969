import type { ValidatingAdmissionPolicySpec, Validation } from "@coracle/api/admissionregistration/v1";
import { RUNTIME_BUDGET, type CelValue } from "@coracle/cel";
import { checkConditions, type Expression } from "./policy-conditions.ts";
import { compileExpression, createPolicyEnvironment, RESULTS, type Compiled } from "./policy-environment.ts";
import { OutOfBudget, resultTypeName, startRound, type Outcome, type Round } from "./policy-evaluation.ts";

const MAX_MESSAGE = 5 * 1024;

/** What a policy says to a request, one for each of its validations. */
export interface Decision {
  readonly isDenied: boolean;
  /** False when an error decided. */
  readonly isEvaluated: boolean;
  readonly message: string;
  readonly reason: string;
}

/** What a policy notes about a request. */
export type Note =
  | { readonly key: string; readonly value: string; readonly error?: never }
  | { readonly key: string; readonly error: string };

/** All that a policy says to a request. */
export interface PolicyVerdict {
  readonly decisions: readonly Decision[];
  readonly notes: readonly Note[];
}

/** The expressions of a policy, compiled. */
export interface CompiledPolicy {
  evaluate(bindings: PolicyBindings): Promise<PolicyVerdict>;
}

/** Values for the expressions; messages and annotations cannot ask the authorizer. */
export interface PolicyBindings {
  readonly full: Readonly<Record<string, unknown>>;
  readonly withoutAuthorizer: Readonly<Record<string, unknown>>;
}

const NOTHING: PolicyVerdict = { decisions: [], notes: [] };

/** Compiles a policy. Expressions that do not compile fail when they are asked. */
export function compilePolicy(spec: ValidatingAdmissionPolicySpec): CompiledPolicy {
  const environment = createPolicyEnvironment(spec.paramKind !== undefined, spec.variables ?? []);
  const condition = (source: string): Expression => ({
    source,
    compiled: compileExpression(environment.full, source, RESULTS.condition),
  });
  const conditions = (spec.matchConditions ?? []).map(({ expression }) => condition(expression));
  const validations = (spec.validations ?? []).map((validation) => ({
    validation,
    expression: condition(validation.expression),
    message: messageOf(validation, (source) =>
      compileExpression(environment.withoutAuthorizer, source, RESULTS.message),
    ),
  }));
  const annotations = (spec.auditAnnotations ?? []).map(({ key, valueExpression }) => ({
    key,
    source: valueExpression,
    compiled: compileExpression(environment.full, valueExpression, RESULTS.annotation),
  }));
  const isLenient = spec.failurePolicy === "Ignore";
  const failed = (message: string): Decision => ({ isDenied: !isLenient, isEvaluated: false, message, reason: "" });

  async function matches(bindings: PolicyBindings): Promise<boolean | Decision> {
    const met = await checkConditions(conditions, environment.variables, bindings.full);
    if (typeof met === "boolean") return met;
    return isLenient ? false : failed(met);
  }

  async function decide(bindings: PolicyBindings): Promise<readonly Decision[]> {
    const round = startRound(environment.variables, bindings.full, RUNTIME_BUDGET);
    const outcomes: Outcome[] = [];
    for (const { expression } of validations)
      outcomes.push(await round.evaluate(expression.source, expression.compiled));
    // Only what is denied needs a message, but what messages cost counts whatever the verdict.
    const messages = startRound(environment.variables, bindings.withoutAuthorizer, round.budgetLeft);
    const texts = await evaluateMessages(
      messages,
      validations.map(({ message }) => message),
    );
    return outcomes.map((outcome, index) => {
      if (outcome.error !== undefined) return failed(outcome.error);
      if (typeof texts === "string") return failed(`failed messageExpression: ${texts}`);
      const { validation } = validations[index]!;
      if (outcome.value === true) return { isDenied: false, isEvaluated: true, message: "", reason: "" };
      const message = explain(validation, texts[index]);
      return { isDenied: true, isEvaluated: true, message, reason: validation.reason ?? "Invalid" };
    });
  }

  async function annotate(bindings: PolicyBindings): Promise<readonly Note[]> {
    const round = startRound(environment.variables, bindings.withoutAuthorizer, RUNTIME_BUDGET);
    const notes: Note[] = [];
    for (const { key, source, compiled } of annotations) {
      const note = noteOf(key, source, await round.evaluate(source, compiled));
      if (note !== undefined && !(note.error !== undefined && isLenient)) notes.push(note);
    }
    return notes;
  }

  return {
    async evaluate(bindings) {
      const matched = await matches(bindings);
      if (matched === false) return NOTHING;
      if (matched !== true) return { decisions: [matched], notes: [] };
      try {
        const decisions = await decide(bindings);
        return { decisions, notes: await annotate(bindings) };
      } catch (error) {
        if (!(error instanceof OutOfBudget)) throw error;
        return { decisions: [failed(error.message)], notes: [] };
      }
    },
  };
}

function messageOf(validation: Validation, compile: (source: string) => Compiled): Expression | undefined {
  const source = validation.messageExpression ?? "";
  return source === "" ? undefined : { source, compiled: compile(source) };
}

async function evaluateMessages(
  round: Round,
  messages: readonly (Expression | undefined)[],
): Promise<readonly (CelValue | undefined)[] | string> {
  const texts: (CelValue | undefined)[] = [];
  try {
    for (const message of messages) {
      if (message === undefined) texts.push(undefined);
      else {
        const outcome = await round.evaluate(message.source, message.compiled);
        texts.push(outcome.error === undefined ? outcome.value : undefined);
      }
    }
  } catch (error) {
    if (!(error instanceof OutOfBudget)) throw error;
    return error.message;
  }
  return texts;
}

/** What a request is told: the message that was computed, else the one written, else the expression. */
function explain(validation: Validation, computed: CelValue | undefined): string {
  const text = typeof computed === "string" ? computed.trim() : "";
  if (text !== "" && Buffer.byteLength(text) <= MAX_MESSAGE && !text.includes("\n")) return text;
  const written = (validation.message ?? "").trim();
  return written === "" ? `failed expression: ${validation.expression.trim()}` : written;
}

function noteOf(key: string, source: string, outcome: Outcome): Note | undefined {
  if (outcome.error !== undefined) return { key, error: outcome.error };
  const { value } = outcome;
  if (value === null) return undefined;
  if (typeof value === "string") return value.trim() === "" ? undefined : { key, value: value.trim() };
  const got = resultTypeName(value);
  const message = `valueExpression '${source}' resulted in unsupported return type: ${got}. Return type must be either string or null.`;
  return { key, error: message };
}
