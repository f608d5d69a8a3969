import {
  CompileError,
  createCelEnvironment,
  optionalType,
  type CelEnvironment,
  type Program,
  type SizeEstimator,
} from "@coracle/cel";
import { followPath, type StructuralNode, type ValidationRule } from "@coracle/apimachinery/structural";
import { shapeOf, TypeScope, type DeclaredType } from "./declared-type.ts";

/** A rule, ready to run or with the reason why not. */
export interface CompiledRule {
  readonly rule: ValidationRule;
  readonly program: Program | undefined;
  readonly problem: string | undefined;
  readonly usesOldSelf: boolean;
  readonly message: Program | undefined;
  readonly messageProblem: string | undefined;
  /** Where the error is, below the node; `""` for the node itself. */
  readonly fieldPath: string;
}

let base: CelEnvironment | undefined;

/** Compiles the rules of a node against its type; undefined where expressions cannot see the node. */
export function compileRules(node: StructuralNode, isResource: boolean): NodeRules | undefined {
  const scope = new TypeScope();
  const declared = scope.declare(node, isResource);
  if (declared === undefined) return undefined;
  const shape = shapeOf(node, isResource);
  base ??= createCelEnvironment();
  const self = { type: declared.type, shape };
  const { objects } = scope;
  const alone = base.extend({ variables: { self }, objects });
  const plain = alone.extend({ variables: { oldSelf: self } });
  const optional = alone.extend({ variables: { oldSelf: { type: optionalType(declared.type), shape } } });
  return {
    declared,
    rules: node.rules.map((rule) => compileRule(node, rule, alone, rule.optionalOldSelf === true ? optional : plain)),
  };
}

export interface NodeRules {
  readonly declared: DeclaredType;
  readonly rules: readonly CompiledRule[];
}

function compileRule(
  node: StructuralNode,
  rule: ValidationRule,
  alone: CelEnvironment,
  environment: CelEnvironment,
): CompiledRule {
  const failed = (problem: string): CompiledRule => ({
    rule,
    program: undefined,
    problem,
    usesOldSelf: false,
    message: undefined,
    messageProblem: undefined,
    fieldPath: "",
  });
  const program = compile(environment, rule.rule);
  if (typeof program === "string") return failed(`compilation failed: ${program}`);
  if (program.resultType.kind !== "bool") return failed("cel expression must evaluate to a bool");
  const usesOldSelf = /\boldSelf\b/.test(rule.rule) && typeof compile(alone, rule.rule) === "string";
  const message = rule.messageExpression === "" ? undefined : compile(environment, rule.messageExpression);
  const found = rule.fieldPath === "" ? undefined : followPath(node, rule.fieldPath);
  return {
    rule,
    program,
    problem: undefined,
    usesOldSelf,
    message: typeof message === "object" && message.resultType.kind === "string" ? message : undefined,
    messageProblem: messageProblemOf(message),
    fieldPath: typeof found === "object" ? found.path : "",
  };
}

function messageProblemOf(message: Program | string | undefined): string | undefined {
  if (typeof message === "string") return `messageExpression compilation failed: ${message}`;
  return message === undefined || message.resultType.kind === "string"
    ? undefined
    : "messageExpression must evaluate to a string";
}

/** The program, or why there is none. */
function compile(environment: CelEnvironment, source: string): Program | string {
  try {
    return environment.compile(source);
  } catch (error) {
    if (error instanceof CompileError) return error.message;
    throw error;
  }
}

/** How large the parts of `self` can be. */
export function sizesOf(declared: DeclaredType): SizeEstimator {
  return (path) => {
    let at: DeclaredType | undefined = declared;
    if (path.length === 0) return undefined;
    for (const name of path.slice(1)) {
      if (name === "@keys") return at?.element === undefined ? undefined : { min: 0, max: 0 };
      at = name === "@items" || name === "@values" ? at?.element : at?.fields?.get(name);
      if (at === undefined) return undefined;
    }
    return { min: 0, max: at.maxElements };
  };
}
