import type { FieldError } from "@coracle/apimachinery";
import type { CheckedRule, RuleCheckPort, StructuralNode } from "@coracle/apimachinery/structural";
import { compileRules, sizesOf, type CompiledRule } from "./compile-rules.ts";
import { LARGEST_REQUEST, type DeclaredType } from "./declared-type.ts";
import { RuleRun } from "./run-rules.ts";

/** Judges rules when a definition is written: whether they compile, and what they can cost at most. */
export function createRuleChecker(): RuleCheckPort {
  return { check: checkNode, checkDefault };
}

function checkNode(node: StructuralNode, isResource: boolean): readonly CheckedRule[] | undefined {
  const compiled = compileRules(node, isResource);
  if (compiled === undefined) return undefined;
  const maxCardinality = Math.floor(LARGEST_REQUEST / (compiled.declared.minSize + 1));
  return compiled.rules.map((rule) => checkedRule(rule, compiled.declared, maxCardinality));
}

function checkedRule(compiled: CompiledRule, declared: DeclaredType, maxCardinality: number): CheckedRule {
  const { program, problem, message } = compiled;
  const sizes = sizesOf(declared);
  return {
    problem: problem === undefined ? undefined : { isMissing: false, detail: problem },
    messageProblem: compiled.messageProblem,
    usesOldSelf: compiled.usesOldSelf,
    cost: program?.estimateCost(sizes).max ?? 0,
    maxCardinality,
    messageCost: message?.estimateCost(sizes).max,
  };
}

/** A default must hold as a value that did not change, and as one that is new. */
function checkDefault(node: StructuralNode, value: unknown, path: string, isResource: boolean): readonly FieldError[] {
  const unchanged = new RuleRun(node, isResource).validate(path, value, value, undefined);
  return unchanged.length > 0 ? unchanged : new RuleRun(node, isResource).validate(path, value, undefined, undefined);
}
