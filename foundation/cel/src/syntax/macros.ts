import {
  ACCUMULATOR,
  call,
  comprehension,
  copyExpr,
  ident,
  list,
  literal,
  map,
  select,
  type Expr,
} from "./expression.ts";

/** What a macro makes of a call, a message when the call misuses it, or undefined when it is none of its calls. */
export type MacroResult = Expr | { readonly error: string; readonly at: number } | undefined;

/** Rewrites a call before it is checked. `at` is the place of the call. */
export type Macro = (at: number, target: Expr | undefined, args: readonly Expr[]) => MacroResult;

/** Macros by `name:arguments:receiver`. */
export type MacroTable = ReadonlyMap<string, Macro>;

/** The key a macro is found by. */
export function macroKey(name: string, args: number, receiver: boolean): string {
  return `${name}:${args}:${receiver ? "r" : "g"}`;
}

const OLD_ACCUMULATOR = "__result__";
const UNUSED = "#unused";

class MacroError {
  readonly error: string;
  readonly at: number;
  constructor(error: string, at: number) {
    this.error = error;
    this.at = at;
  }
}

type Fold = "all" | "exists" | "existsOne";

function accumulator(at: number): Expr {
  return ident(at, ACCUMULATOR);
}

function variable(arg: Expr, otherwise: string): string | MacroError {
  if (arg.kind !== "ident") return new MacroError(otherwise, arg.at);
  if (arg.name === ACCUMULATOR || arg.name === OLD_ACCUMULATOR) {
    return new MacroError("iteration variable overwrites accumulator variable", arg.at);
  }
  return arg.name;
}

function fold(
  at: number,
  range: Expr,
  vars: readonly [string, string | undefined],
  init: Expr,
  condition: Expr,
  step: Expr,
  result: Expr = accumulator(at),
): Expr {
  return comprehension(at, {
    range,
    iterVar: vars[0],
    iterVar2: vars[1],
    accuVar: ACCUMULATOR,
    accuInit: init,
    condition,
    step,
    result,
  });
}

function quantify(
  kind: Fold,
  at: number,
  range: Expr,
  vars: readonly [string, string | undefined],
  predicate: Expr,
): Expr {
  switch (kind) {
    case "all":
      return fold(
        at,
        range,
        vars,
        literal(at, true),
        call(at, "@not_strictly_false", [accumulator(at)]),
        call(at, "_&&_", [accumulator(at), predicate]),
      );
    case "exists":
      return fold(
        at,
        range,
        vars,
        literal(at, false),
        call(at, "@not_strictly_false", [call(at, "!_", [accumulator(at)])]),
        call(at, "_||_", [accumulator(at), predicate]),
      );
    case "existsOne":
      return fold(
        at,
        range,
        vars,
        literal(at, 0),
        literal(at, true),
        call(at, "_?_:_", [predicate, call(at, "_+_", [accumulator(at), literal(at, 1)]), accumulator(at)]),
        call(at, "_==_", [accumulator(at), literal(at, 1)]),
      );
  }
}

function quantifier(kind: Fold): Macro {
  return (at, target, args) => {
    const name = variable(args[0]!, "argument must be a simple name");
    return name instanceof MacroError ? name : quantify(kind, at, target!, [name, undefined], args[1]!);
  };
}

function quantifier2(kind: Fold): Macro {
  return (at, target, args) => {
    const names = twoVariables(args[0]!, args[1]!);
    return names instanceof MacroError ? names : quantify(kind, at, target!, names, args[2]!);
  };
}

function twoVariables(first: Expr, second: Expr): readonly [string, string] | MacroError {
  if (first.kind !== "ident") return new MacroError("argument must be a simple name", first.at);
  if (second.kind !== "ident") return new MacroError("argument must be a simple name", second.at);
  if (first.name === second.name) return new MacroError(`duplicate variable name: ${first.name}`, second.at);
  const one = variable(first, "");
  if (one instanceof MacroError) return one;
  const two = variable(second, "");
  return two instanceof MacroError ? two : [one, two];
}

/** `range.map(v, f)` and `range.map(v, filter, f)`. */
function mapMacro(at: number, target: Expr | undefined, args: readonly Expr[]): MacroResult {
  const name = variable(args[0]!, "argument is not an identifier");
  if (name instanceof MacroError) return name;
  return collect(at, target!, [name, undefined], args.length === 3 ? args[1] : undefined, args.at(-1)!);
}

function collect(
  at: number,
  range: Expr,
  vars: readonly [string, string | undefined],
  filter: Expr | undefined,
  element: Expr,
): Expr {
  const add = call(at, "_+_", [accumulator(at), list(at, [element])]);
  const step = filter === undefined ? add : call(at, "_?_:_", [filter, add, accumulator(at)]);
  return fold(at, range, vars, list(at, []), literal(at, true), step);
}

function filterMacro(at: number, target: Expr | undefined, args: readonly Expr[]): MacroResult {
  const name = variable(args[0]!, "argument is not an identifier");
  if (name instanceof MacroError) return name;
  return collect(at, target!, [name, undefined], args[1], args[0]!);
}

function hasMacro(at: number, _target: Expr | undefined, args: readonly Expr[]): MacroResult {
  const [arg] = args;
  if (arg === undefined || arg.kind !== "select") {
    return new MacroError("invalid argument to has() macro", arg?.at ?? at);
  }
  return select(at, arg.operand, arg.field, true);
}

function transformList(at: number, target: Expr | undefined, args: readonly Expr[]): MacroResult {
  const names = twoVariables(args[0]!, args[1]!);
  if (names instanceof MacroError) return names;
  return collect(at, target!, names, args.length === 4 ? args[2] : undefined, args.at(-1)!);
}

function transformMap(entry: boolean): Macro {
  return (at, target, args) => {
    const names = twoVariables(args[0]!, args[1]!);
    if (names instanceof MacroError) return names;
    const transform = args.at(-1)!;
    const inserted = entry
      ? call(at, "cel.@mapInsert", [accumulator(at), transform])
      : call(at, "cel.@mapInsert", [accumulator(at), ident(at, names[0]), transform]);
    const step = args.length === 4 ? call(at, "_?_:_", [args[2]!, inserted, accumulator(at)]) : inserted;
    return fold(at, target!, names, map(at, []), literal(at, true), step);
  };
}

function bind(at: number, name: string, value: Expr, result: Expr): Expr {
  return comprehension(at, {
    range: list(at, []),
    iterVar: UNUSED,
    iterVar2: undefined,
    accuVar: name,
    accuInit: value,
    condition: literal(at, false),
    step: ident(at, name),
    result,
  });
}

function optMap(flat: boolean): Macro {
  return (at, target, args) => {
    const [name, body] = args;
    if (name === undefined || name.kind !== "ident") {
      const macro = flat ? "optFlatMap" : "optMap";
      return new MacroError(`${macro}() variable name must be a simple identifier`, name?.at ?? at);
    }
    const value = bind(at, name.name, call(at, "value", [], copyExpr(target!)), body!);
    return call(at, "_?_:_", [
      call(at, "hasValue", [], target),
      flat ? value : call(at, "optional.of", [value]),
      call(at, "optional.none", []),
    ]);
  };
}

function sortBy(at: number, target: Expr | undefined, args: readonly Expr[]): MacroResult {
  const input = "@__sortBy_input__";
  if (target!.kind === "literal" || target!.kind === "map" || target!.kind === "struct") {
    const message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
    return new MacroError(message, target!.at);
  }
  const keys = mapMacro(at, ident(at, input), args);
  if (keys === undefined || keys instanceof MacroError || "error" in keys) return keys;
  return bind(at, input, target!, call(at, "@sortByAssociatedKeys", [keys], ident(at, input)));
}

/** `cel.bind(name, value, result)`, which Kubernetes has not switched on. */
function bindMacro(at: number, target: Expr | undefined, args: readonly Expr[]): MacroResult {
  if (target?.kind !== "ident" || target.name !== "cel") return undefined;
  const [name, value, result] = args;
  if (name!.kind !== "ident") return new MacroError("cel.bind() variable names must be simple identifiers", name!.at);
  return bind(at, name!.name, value!, result!);
}

/** `cel.bind`, for environments that want it. */
export const BIND_MACROS: ReadonlyArray<readonly [string, Macro]> = [[macroKey("bind", 3, true), bindMacro]];

/** The macros of the language and of the libraries Kubernetes switches on. */
export const KUBERNETES_MACROS: MacroTable = new Map<string, Macro>([
  [macroKey("has", 1, false), hasMacro],
  [macroKey("all", 2, true), quantifier("all")],
  [macroKey("exists", 2, true), quantifier("exists")],
  [macroKey("exists_one", 2, true), quantifier("existsOne")],
  [macroKey("map", 2, true), mapMacro],
  [macroKey("map", 3, true), mapMacro],
  [macroKey("filter", 2, true), filterMacro],
  [macroKey("all", 3, true), quantifier2("all")],
  [macroKey("exists", 3, true), quantifier2("exists")],
  [macroKey("exists_one", 3, true), quantifier2("existsOne")],
  [macroKey("existsOne", 3, true), quantifier2("existsOne")],
  [macroKey("transformList", 3, true), transformList],
  [macroKey("transformList", 4, true), transformList],
  [macroKey("transformMap", 3, true), transformMap(false)],
  [macroKey("transformMap", 4, true), transformMap(false)],
  [macroKey("transformMapEntry", 3, true), transformMap(true)],
  [macroKey("transformMapEntry", 4, true), transformMap(true)],
  [macroKey("optMap", 2, true), optMap(false)],
  [macroKey("optFlatMap", 2, true), optMap(true)],
  [macroKey("sortBy", 2, true), sortBy],
]);
