import {
  CompileError,
  describeType,
  DYN,
  DYNAMIC,
  NULL,
  objectType,
  sameType,
  STRING,
  BOOL,
  type CelEnvironment,
  type CelType,
  type Program,
} from "@coracle/cel";
import { admissionEnvironment, admissionEnvironmentWithoutAuthorizer } from "../expressions/admission-environment.ts";

const VARIABLES = "kubernetes.variables";

/** An expression ready to run, or why it is none. */
export type Compiled = { readonly program: Program; readonly problem?: never } | { readonly problem: string };

/** What the expressions of a policy may come to. Undefined: anything. */
export const RESULTS = { condition: [BOOL], message: [STRING], annotation: [STRING, NULL] } as const;

/** The variables of a policy and the environments its other expressions are compiled in. */
export interface PolicyEnvironment {
  readonly variables: ReadonlyMap<string, Compiled>;
  /** For validations, conditions and annotations. */
  readonly full: CelEnvironment;
  /** For messages, which cannot ask the authorizer. */
  readonly withoutAuthorizer: CelEnvironment;
}

/** Compiles an expression; its problem is worded as upstream words it. */
export function compileExpression(
  environment: CelEnvironment,
  source: string,
  results: readonly CelType[] | undefined,
): Compiled {
  try {
    const program = environment.compile(source);
    if (results === undefined || results.some((type) => sameType(type, program.resultType))) return { program };
    const got = describeType(program.resultType);
    const [only] = results;
    if (results.length === 1) return { problem: `must evaluate to ${describeType(only!)} but got ${got}` };
    return { problem: `must evaluate to one of [${results.map(describeType).join(" ")}] but got ${got}` };
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const step = error.issues.length === 0 ? "program instantiation failed" : "compilation failed";
    return { problem: `${step}: ${error.message}` };
  }
}

/**
 * The environments of a policy: each variable can be used by what comes after it, with the type it has. One that does
 * not compile can be used all the same, and fails then. `hasVariables`: the word itself is known.
 */
export function createPolicyEnvironment(
  hasParams: boolean,
  variables: ReadonlyArray<{ readonly name: string; readonly expression: string }>,
  hasVariables = true,
): PolicyEnvironment {
  const compiled = new Map<string, Compiled>();
  const types = new Map<string, CelType>();
  const options = {
    variables: {
      ...(hasVariables ? { variables: objectType(VARIABLES) } : {}),
      ...(hasParams ? { params: { type: DYN, shape: DYNAMIC } } : {}),
    },
    objects: [{ name: VARIABLES, field: (name: string) => types.get(name) }],
  };
  const full = admissionEnvironment().extend(options);
  const withoutAuthorizer = admissionEnvironmentWithoutAuthorizer().extend(options);
  for (const { name, expression } of variables) {
    const result = compileExpression(full, expression, undefined);
    compiled.set(name, result);
    types.set(name, result.problem === undefined ? result.program.resultType : DYN);
  }
  return { variables: compiled, full, withoutAuthorizer };
}
