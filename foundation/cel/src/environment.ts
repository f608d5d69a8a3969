import { checkExpression } from "./check/checker.ts";
import type { Declarations, FunctionDeclaration, ObjectDeclaration } from "./check/environment.ts";
import { validateLiterals } from "./check/literals.ts";
import { estimateCost, type CostEstimate, type SizeEstimator } from "./cost/estimate.ts";
import { EvaluationStop, Frame, type Variables } from "./evaluate/context.ts";
import type { Step } from "./evaluate/nodes.ts";
import { PlanError, planExpression } from "./evaluate/plan.ts";
import { PendingDecision } from "./library/authorizer.ts";
import { mergeFunctions } from "./library/define.ts";
import { KUBERNETES_FUNCTIONS } from "./library/kubernetes.ts";
import type { Expr } from "./syntax/expression.ts";
import { KUBERNETES_MACROS, type MacroTable } from "./syntax/macros.ts";
import { parseExpression } from "./syntax/parser.ts";
import { Source, type CelIssue } from "./syntax/source.ts";
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  NULL,
  STRING,
  TIMESTAMP,
  UINT,
  listType,
  mapType,
  opaqueType,
  typeType,
  type CelType,
} from "./types/cel-type.ts";
import { DYNAMIC, viewJson, type Shape } from "./values/json-view.ts";
import {
  CelError,
  CelList,
  CelMap,
  CelOpaque,
  CelOptional,
  CelTypeValue,
  CelUint,
  CelDouble,
  CelBytes,
  CelDuration,
  CelTimestamp,
  type CelValue,
} from "./values/value.ts";

/** The cost at which a single evaluation stops, as in Kubernetes. */
export const PER_CALL_LIMIT = 1_000_000;
/** The cost all expressions about one object may have together, as in Kubernetes. */
export const RUNTIME_BUDGET = 10_000_000;

/** A variable: its type, and how JSON handed in for it is read. */
export interface VariableDeclaration {
  readonly type: CelType;
  readonly shape?: Shape;
}

/** What an environment knows besides the language and the libraries of Kubernetes. */
export interface EnvironmentOptions {
  readonly variables?: Readonly<Record<string, VariableDeclaration | CelType>>;
  readonly objects?: readonly ObjectDeclaration[];
  /** Finds object types that are made up as they are named, such as `Object.spec`. */
  readonly resolveObject?: (name: string) => ObjectDeclaration | undefined;
  readonly functions?: readonly FunctionDeclaration[];
  readonly macros?: MacroTable;
}

/** Why an expression is none: all its problems, formatted with their places. */
export class CompileError extends Error {
  override readonly name = "CompileError";
  readonly issues: readonly CelIssue[];
  constructor(message: string, issues: readonly CelIssue[] = []) {
    super(message);
    this.issues = issues;
  }
}

/** What an evaluation came to. An error is a result, not an exception. */
export type Evaluation =
  | { readonly ok: true; readonly value: CelValue; readonly cost: number }
  | { readonly ok: false; readonly error: string; readonly cost: number; readonly cancelled: boolean };

/** Limits of one evaluation. */
export interface EvaluationOptions {
  /** The cost to stop at; Kubernetes' per-call limit when not given. */
  readonly costLimit?: number;
  /** Asked now and then within comprehensions; true stops the evaluation. */
  readonly isInterrupted?: () => boolean;
}

/** Values for the variables: plain JSON, values of this package, or `lazy(…)`. */
export type Bindings = Readonly<Record<string, unknown>>;

/** An expression that can be evaluated any number of times. */
export interface Program {
  readonly source: string;
  readonly resultType: CelType;
  /** Evaluates now. Authorizers that answer later need `evaluateAsync`. */
  evaluate(bindings: Bindings, options?: EvaluationOptions): Evaluation;
  /** Evaluates, waiting for authorizers where they answer later. */
  evaluateAsync(bindings: Bindings, options?: EvaluationOptions): Promise<Evaluation>;
  /** What the expression may cost, from the sizes its inputs may have. */
  estimateCost(sizes?: SizeEstimator): CostEstimate;
}

/** Declarations that expressions are compiled against. Immutable. */
export interface CelEnvironment {
  /** The program of an expression. Throws CompileError with the same text as Kubernetes. */
  compile(source: string): Program;
  /** The same environment with more declarations. */
  extend(options: EnvironmentOptions): CelEnvironment;
}

/** A value computed when it is first asked for. */
export class LazyValue {
  readonly #compute: () => CelValue;
  #value: CelValue | undefined;
  constructor(compute: () => CelValue) {
    this.#compute = compute;
  }
  get(): CelValue {
    return (this.#value ??= this.#compute());
  }
}

/** A binding computed when it is first asked for, and only then. */
export function lazy(compute: () => CelValue): LazyValue {
  return new LazyValue(compute);
}

const DENOTED: ReadonlyMap<string, CelType> = new Map([
  ["bool", BOOL],
  ["bytes", BYTES],
  ["double", DOUBLE],
  ["google.protobuf.Duration", DURATION],
  ["google.protobuf.Timestamp", TIMESTAMP],
  ["int", INT],
  ["list", listType(DYN)],
  ["map", mapType(DYN, DYN)],
  ["null_type", NULL],
  ["string", STRING],
  ["type", typeType(DYN)],
  ["uint", UINT],
  ["optional_type", opaqueType("optional_type")],
  ["net.IP", opaqueType("net.IP")],
  ["net.CIDR", opaqueType("net.CIDR")],
]);

/** An environment with the language and the libraries that Kubernetes 1.35 switches on. */
export function createCelEnvironment(options: EnvironmentOptions = {}): CelEnvironment {
  return new Environment(KUBERNETES_FUNCTIONS, KUBERNETES_MACROS, new Map(), new Map(), () => undefined).extend(
    options,
  );
}

class Environment implements CelEnvironment, Declarations {
  readonly functions: ReadonlyMap<string, FunctionDeclaration>;
  readonly #macros: MacroTable;
  readonly #variables: ReadonlyMap<string, VariableDeclaration>;
  readonly #objects: ReadonlyMap<string, ObjectDeclaration>;
  readonly #resolve: (name: string) => ObjectDeclaration | undefined;

  constructor(
    functions: ReadonlyMap<string, FunctionDeclaration>,
    macros: MacroTable,
    variables: ReadonlyMap<string, VariableDeclaration>,
    objects: ReadonlyMap<string, ObjectDeclaration>,
    resolve: (name: string) => ObjectDeclaration | undefined,
  ) {
    this.#resolve = resolve;
    this.functions = functions;
    this.#macros = macros;
    this.#variables = variables;
    this.#objects = objects;
  }

  extend({ variables = {}, objects = [], functions = [], macros, resolveObject }: EnvironmentOptions): CelEnvironment {
    const declared = Object.entries(variables).map(([name, variable]) => {
      const declaration: VariableDeclaration = "kind" in variable ? { type: variable } : variable;
      return [name, declaration] as const;
    });
    return new Environment(
      functions.length === 0 ? this.functions : mergeFunctions([...this.functions.values()], functions),
      macros === undefined ? this.#macros : new Map([...this.#macros, ...macros]),
      new Map([...this.#variables, ...declared]),
      new Map([...this.#objects, ...objects.map((object) => [object.name, object] as const)]),
      resolveObject === undefined ? this.#resolve : (name) => resolveObject(name) ?? this.#resolve(name),
    );
  }

  variable(name: string): CelType | undefined {
    return this.#variables.get(name)?.type;
  }

  denoted(name: string): CelType | undefined {
    const denoted = DENOTED.get(name);
    if (denoted !== undefined) return denoted;
    return this.object(name) !== undefined ? { kind: "struct", name, params: [] } : undefined;
  }

  object(name: string): ObjectDeclaration | undefined {
    return this.#objects.get(name) ?? this.#resolve(name);
  }

  compile(text: string): Program {
    const source = new Source(text);
    const issues: CelIssue[] = [];
    const expr = parseExpression(source, this.#macros, issues);
    if (expr === undefined) throw new CompileError(source.format(issues), issues);
    const resultType = checkExpression(expr, this, issues);
    if (issues.length === 0) validateLiterals(expr, issues);
    if (issues.length > 0) throw new CompileError(source.format(issues), issues);
    try {
      return new CompiledProgram(text, expr, planExpression(expr, this), resultType, this.#variables);
    } catch (error) {
      if (error instanceof PlanError) throw new CompileError(error.message);
      throw error;
    }
  }
}

class CompiledProgram implements Program {
  readonly source: string;
  readonly resultType: CelType;
  readonly #expr: Expr;
  readonly #step: Step;
  readonly #variables: ReadonlyMap<string, VariableDeclaration>;

  constructor(
    source: string,
    expr: Expr,
    step: Step,
    resultType: CelType,
    variables: ReadonlyMap<string, VariableDeclaration>,
  ) {
    this.source = source;
    this.resultType = resultType;
    this.#expr = expr;
    this.#step = step;
    this.#variables = variables;
  }

  evaluate(bindings: Bindings, { costLimit = PER_CALL_LIMIT, isInterrupted }: EvaluationOptions = {}): Evaluation {
    const frame = new Frame(new BoundVariables(bindings, this.#variables), costLimit, isInterrupted);
    try {
      const value = this.#step.evaluate(frame);
      if (!(value instanceof CelError)) return { ok: true, value, cost: frame.cost };
      return { ok: false, error: value.message, cost: frame.cost, cancelled: false };
    } catch (error) {
      if (!(error instanceof EvaluationStop)) throw error;
      return { ok: false, error: error.message, cost: frame.cost, cancelled: true };
    }
  }

  async evaluateAsync(bindings: Bindings, options: EvaluationOptions = {}): Promise<Evaluation> {
    for (;;) {
      try {
        return this.evaluate(bindings, options);
      } catch (error) {
        // The authorizer answers later: once it has, the evaluation starts again and finds the answer.
        if (!(error instanceof PendingDecision)) throw error;
        await error.answered;
      }
    }
  }

  estimateCost(sizes?: SizeEstimator): CostEstimate {
    return estimateCost(this.#expr, sizes);
  }
}

/** The bindings of one evaluation, read through the shapes of their variables and only when asked for. */
class BoundVariables implements Variables {
  readonly #bindings: Bindings;
  readonly #declared: ReadonlyMap<string, VariableDeclaration>;
  constructor(bindings: Bindings, declared: ReadonlyMap<string, VariableDeclaration>) {
    this.#bindings = bindings;
    this.#declared = declared;
  }
  resolve(name: string): CelValue | undefined {
    const bound = this.#bindings[name];
    if (bound === undefined) return undefined;
    if (bound instanceof LazyValue) return bound.get();
    if (typeof bound === "object" && bound !== null && isCelObject(bound)) return bound;
    return viewJson(bound, this.#declared.get(name)?.shape ?? DYNAMIC);
  }
}

const OBJECTS = [
  CelList,
  CelMap,
  CelOpaque,
  CelError,
  CelOptional,
  CelTypeValue,
  CelUint,
  CelDouble,
  CelBytes,
  CelDuration,
  CelTimestamp,
] as const;

function isCelObject(value: object): value is Exclude<CelValue, null> & object {
  if (value.constructor === Object) return false;
  return OBJECTS.some((type) => value instanceof type);
}
