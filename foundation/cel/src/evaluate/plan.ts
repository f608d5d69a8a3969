import type { Declarations, FunctionDeclaration, Overload } from "../check/environment.ts";
import { callCost, equalityCost, inequalityCost } from "../cost/call-cost.ts";
import { compileRegex } from "../library/regular-expressions.ts";
import { ACCUMULATOR, type Call, type Comprehension, type Expr, type Ident } from "../syntax/expression.ts";
import type { CelType } from "../types/cel-type.ts";
import {
  CelBytes,
  CelError,
  CelList,
  CelMap,
  CelTypeValue,
  EntryMap,
  typeNameOf,
  type CelValue,
} from "../values/value.ts";
import { Frame } from "./context.ts";
import {
  AccumulatorStep,
  CallStep,
  ConditionalBase,
  ConstantStep,
  EqualStep,
  FoldStep,
  ListStep,
  MapStep,
  OptionalOrStep,
  OrStep,
  PathStep,
  SetMembershipStep,
  SlotStep,
  StepBase,
  StructStep,
  VariableStep,
  type Qualifier,
  type Step,
} from "./nodes.ts";

/** Why an expression that was checked cannot run: a constant part of it fails. */
export class PlanError extends Error {
  override readonly name = "PlanError";
}

const CONVERSIONS = new Set([
  "bool",
  "bytes",
  "double",
  "duration",
  "dyn",
  "int",
  "string",
  "timestamp",
  "type",
  "uint",
]);
const NOWHERE = new Frame({ resolve: () => undefined }, Number.POSITIVE_INFINITY);

/** The steps of a checked expression; constant parts are computed now. Throws PlanError. */
export function planExpression(expr: Expr, declarations: Declarations): Step {
  return new Planner(declarations).plan(expr, undefined);
}

interface Scope {
  readonly parent: Scope | undefined;
  readonly steps: ReadonlyMap<string, Step>;
}

class Planner {
  readonly #declarations: Declarations;
  #slots = 0;

  constructor(declarations: Declarations) {
    this.#declarations = declarations;
  }

  plan(expr: Expr, scope: Scope | undefined): Step {
    switch (expr.kind) {
      case "literal":
        return new ConstantStep(expr.value);
      case "ident":
        return this.#ident(expr, scope);
      case "select": {
        if (expr.qualified !== undefined) return this.#ident(expr.qualified, scope);
        const path = pathOf(this.plan(expr.operand, scope));
        if (expr.testOnly) path.isTest = true;
        path.qualifiers.push({ key: expr.field, step: undefined, optional: false, testOnly: expr.testOnly });
        return path;
      }
      case "call":
        return this.#call(expr, scope);
      case "list": {
        const elements = expr.elements.map((element) => this.plan(element, scope));
        const step = new ListStep(elements, expr.optional);
        return elements.every(isConstant) ? new ConstantStep(step.evaluate(quiet())) : step;
      }
      case "map": {
        const entries = expr.entries.map((entry) => ({
          key: this.plan(entry.key, scope),
          value: this.plan(entry.value, scope),
          optional: entry.optional,
        }));
        const step = new MapStep(entries);
        const constant = entries.every(({ key, value }) => isConstant(key) && isConstant(value));
        return constant ? new ConstantStep(step.evaluate(quiet())) : step;
      }
      case "struct": {
        const declaration = this.#declarations.object(expr.name);
        if (declaration?.construct === undefined) throw new PlanError(`unknown type: ${expr.name}`);
        const construct = declaration.construct.bind(declaration);
        const fields = expr.fields.map(({ name, value, optional }) => ({
          name,
          value: this.plan(value, scope),
          optional,
        }));
        return new StructStep(fields, construct);
      }
      case "comprehension":
        return this.#fold(expr, scope);
    }
  }

  #ident(expr: Ident, scope: Scope | undefined): Step {
    if (expr.denotes !== undefined) return new ConstantStep(new CelTypeValue(expr.denotes.name));
    for (let at = scope; at !== undefined; at = at.parent) {
      const step = at.steps.get(expr.name);
      if (step !== undefined) return new PathStep(new StepBase(step));
    }
    return new PathStep(new StepBase(new VariableStep(expr.name)));
  }

  #fold(expr: Comprehension, scope: Scope | undefined): Step {
    const accumulator = this.#slots++;
    const first = this.#slots++;
    const second = expr.iterVar2 === undefined ? undefined : this.#slots++;
    const initial = this.plan(expr.accuInit, scope);
    const range = this.plan(expr.range, scope);
    const accumulated = new AccumulatorStep(accumulator, initial, expr.accuVar === ACCUMULATOR);
    const outer: Scope = { parent: scope, steps: new Map([[expr.accuVar, accumulated]]) };
    const steps = new Map<string, Step>([[expr.iterVar, new SlotStep(first)]]);
    if (expr.iterVar2 !== undefined) steps.set(expr.iterVar2, new SlotStep(second!));
    const inner: Scope = { parent: outer, steps };
    return new FoldStep({
      range,
      first,
      second,
      accumulator,
      condition: this.plan(expr.condition, inner),
      step: this.plan(expr.step, inner),
      result: this.plan(expr.result, outer),
    });
  }

  #call(expr: Call, scope: Scope | undefined): Step {
    const parts = expr.target === undefined ? expr.args : [expr.target, ...expr.args];
    const args = parts.map((part) => this.plan(part, scope));
    const [first, second, third] = args;
    switch (expr.name) {
      case "_&&_":
        return new OrStep(args, false);
      case "_||_":
        return new OrStep(args, true);
      case "_?_:_":
        return new PathStep(new ConditionalBase(first!, branchOf(second!), branchOf(third!)));
      case "_==_":
        return new EqualStep(first!, second!, false, equalityCost);
      case "_!=_":
        return new EqualStep(first!, second!, true, inequalityCost);
      case "_[_]":
        return indexed(first!, second!, false);
      case "_?._":
      case "_[?_]":
        return indexed(first!, second!, true);
      case "or":
      case "orValue":
        if (args.length === 2 && expr.overloads.every((id) => id.startsWith("optional_or"))) {
          return new OptionalOrStep(first!, second!, expr.name === "orValue");
        }
        break;
      default:
    }
    return this.#function(expr, args);
  }

  #function(expr: Call, args: readonly Step[]): Step {
    const declared = this.#declarations.functions.get(expr.name)!;
    const overload = expr.overloads.length === 1 ? expr.overloads[0]! : "";
    const cost = callCost(expr.name, overload);
    if (expr.name === "@not_strictly_false") {
      const settle = ([value]: readonly CelValue[]): CelValue => (typeof value === "boolean" ? value : true);
      return new CallStep(args, settle, cost, { stopsAtError: false, nonStrict: true });
    }
    if (overload === "in_list" && args[1] instanceof ConstantStep) {
      const membership = setMembership(args[0]!, args[1].value);
      if (membership !== undefined) return membership;
    }
    const call = implementationOf(declared, overload);
    const isRegex = REGEX_FUNCTIONS.has(expr.name) && args[1] instanceof ConstantStep;
    if (isRegex) {
      const regex = compileRegex((args[1] as ConstantStep).value as string);
      if (regex instanceof CelError) throw new PlanError(regex.message);
    }
    const step = new CallStep(args, call, cost, { stopsAtError: isRegex || args.length > 2 });
    if (args.length === 1 && CONVERSIONS.has(expr.name) && args[0] instanceof ConstantStep) {
      const value = step.evaluate(quiet());
      if (value instanceof CelError) throw new PlanError(value.message);
      return new ConstantStep(value);
    }
    return step;
  }
}

const REGEX_FUNCTIONS = new Set(["matches", "find", "findAll"]);

function quiet(): Frame {
  return NOWHERE;
}

function isConstant(step: Step): boolean {
  return step instanceof ConstantStep;
}

/** The path to go on with: a new one unless the step is one already. */
function pathOf(step: Step): PathStep {
  return step instanceof PathStep ? step : new PathStep(new StepBase(step));
}

function branchOf(step: Step): PathStep {
  return pathOf(step);
}

function indexed(operand: Step, index: Step, optional: boolean): Step {
  const path = pathOf(operand);
  const qualifier: Qualifier =
    index instanceof ConstantStep
      ? { key: index.value, step: undefined, optional, testOnly: false }
      : { key: undefined, step: index, optional, testOnly: false };
  path.qualifiers.push(qualifier);
  return path;
}

function setMembership(value: Step, list: CelValue): Step | undefined {
  if (!(list instanceof CelList)) return undefined;
  if (list.size === 0) return new ConstantStep(false);
  const members = new EntryMap();
  for (let index = 0; index < list.size; index++) {
    const element = list.at(index);
    const isPlain =
      typeof element === "string" ||
      typeof element === "boolean" ||
      typeof element === "number" ||
      typeof element === "bigint" ||
      typeNameOf(element) === "uint" ||
      typeNameOf(element) === "double";
    if (!isPlain || element instanceof CelBytes) return undefined;
    members.set(element, true);
  }
  return new SetMembershipStep(value, members);
}

type Call2 = (args: readonly CelValue[], frame: Frame) => CelValue;

function implementationOf(declared: FunctionDeclaration, overload: string): Call2 {
  if (declared.call !== undefined) return declared.call;
  const { name, overloads, unguarded = false } = declared;
  const chosen = overload === "" ? undefined : overloads.find(({ id }) => id === overload);
  if (chosen?.call !== undefined) {
    const { call } = chosen;
    if (unguarded) return call;
    return (args, frame) => (fits(chosen, args) ? call(args, frame) : noOverload(name, args));
  }
  return (args, frame) => {
    for (const candidate of overloads) {
      if (candidate.call === undefined || candidate.args.length !== args.length) continue;
      if (unguarded || fits(candidate, args)) return candidate.call(args, frame);
    }
    return noOverload(name, args);
  };
}

function noOverload(name: string, args: readonly CelValue[]): CelError {
  return new CelError(`no such overload: ${name}(${args.map(typeNameOf).join(", ")})`);
}

function fits(overload: Overload, args: readonly CelValue[]): boolean {
  const { args: types } = overload;
  if (types.length !== args.length) return false;
  for (let index = 0; index < args.length; index++) if (!isOfType(args[index]!, types[index]!)) return false;
  return true;
}

function isOfType(value: CelValue, type: CelType): boolean {
  switch (type.kind) {
    case "dyn":
    case "any":
    case "typeParam":
      return true;
    case "string":
      return typeof value === "string";
    case "int":
      return typeof value === "number" || typeof value === "bigint";
    case "bool":
      return typeof value === "boolean";
    case "list":
      return value instanceof CelList && (value.size === 0 || isOfType(value.at(0), type.params[0]!));
    case "map": {
      if (!(value instanceof CelMap)) return false;
      for (const key of value.keys()) {
        return isOfType(key, type.params[0]!) && isOfType(value.find(key)!, type.params[1]!);
      }
      return true;
    }
    default:
      return typeNameOf(value) === type.name;
  }
}
