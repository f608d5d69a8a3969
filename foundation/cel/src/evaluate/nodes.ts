import { equalValues, NO_SUCH_OVERLOAD } from "../values/compare.ts";
import {
  ArrayList,
  CelDouble,
  CelError,
  CelList,
  CelMap,
  CelOptional,
  CelUint,
  EntryMap,
  GrowingList,
  GrowingMap,
  OPTIONAL_NONE,
  displayValue,
  isInt,
  typeNameOf,
  type CelValue,
} from "../values/value.ts";
import type { Frame } from "./context.ts";

/** A step of a planned expression. */
export interface Step {
  evaluate(frame: Frame): CelValue;
}

/** What a call costs: a number, or what the values make of it. */
export type CallCost = number | ((args: readonly CelValue[], result: CelValue) => number);

export class ConstantStep implements Step {
  readonly value: CelValue;
  constructor(value: CelValue) {
    this.value = value;
  }
  evaluate(): CelValue {
    return this.value;
  }
}

export class OrStep implements Step {
  readonly #terms: readonly Step[];
  readonly #decisive: boolean;
  /** `decisive` is the value that decides: true for `||`, false for `&&`. */
  constructor(terms: readonly Step[], decisive: boolean) {
    this.#terms = terms;
    this.#decisive = decisive;
  }
  evaluate(frame: Frame): CelValue {
    let problem: CelError | undefined;
    for (const term of this.#terms) {
      const value = term.evaluate(frame);
      if (value === this.#decisive) return value;
      if (typeof value !== "boolean") problem ??= value instanceof CelError ? value : NO_SUCH_OVERLOAD;
    }
    return problem ?? !this.#decisive;
  }
}

export class EqualStep implements Step {
  readonly #left: Step;
  readonly #right: Step;
  readonly #negated: boolean;
  readonly #cost: (args: readonly CelValue[]) => number;
  constructor(left: Step, right: Step, negated: boolean, cost: (args: readonly CelValue[]) => number) {
    this.#left = left;
    this.#right = right;
    this.#negated = negated;
    this.#cost = cost;
  }
  evaluate(frame: Frame): CelValue {
    const left = this.#left.evaluate(frame);
    const right = this.#right.evaluate(frame);
    const simple = (typeof left === "number" || typeof left === "boolean") && typeof right === typeof left;
    frame.charge(simple ? 1 : this.#cost([left, right]));
    if (left instanceof CelError) return left;
    if (right instanceof CelError) return right;
    const equal = simple ? left === right : equalValues(left, right);
    if (this.#negated) return equal !== true;
    return equal;
  }
}

/** A call whose arguments are all evaluated before any is looked at. */
export class CallStep implements Step {
  readonly #args: readonly Step[];
  readonly #call: (args: readonly CelValue[], frame: Frame) => CelValue;
  readonly #cost: CallCost;
  /** Stops at the first argument that is an error and then costs nothing itself. */
  readonly #eager: boolean;
  readonly #nonStrict: boolean;
  constructor(
    args: readonly Step[],
    call: (args: readonly CelValue[], frame: Frame) => CelValue,
    cost: CallCost,
    options: { readonly stopsAtError: boolean; readonly nonStrict?: boolean },
  ) {
    this.#args = args;
    this.#call = call;
    this.#cost = cost;
    this.#eager = options.stopsAtError;
    this.#nonStrict = options.nonStrict === true;
  }
  evaluate(frame: Frame): CelValue {
    const steps = this.#args;
    const values: CelValue[] = [];
    let problem: CelError | undefined;
    for (let index = 0; index < steps.length; index++) {
      const value = steps[index]!.evaluate(frame);
      if (value instanceof CelError && !this.#nonStrict) {
        if (this.#eager) {
          if (index === steps.length - 1) frame.charge(this.#charge([...values, value], value));
          return value;
        }
        problem ??= value;
      }
      values.push(value);
    }
    const result = problem ?? this.#call(values, frame);
    frame.charge(typeof this.#cost === "number" ? this.#cost : this.#cost(values, result));
    return result;
  }
  #charge(values: readonly CelValue[], result: CelValue): number {
    return typeof this.#cost === "number" ? this.#cost : this.#cost(values, result);
  }
}

export class SetMembershipStep implements Step {
  readonly #value: Step;
  readonly #members: EntryMap;
  constructor(value: Step, members: EntryMap) {
    this.#value = value;
    this.#members = members;
  }
  evaluate(frame: Frame): CelValue {
    const value = this.#value.evaluate(frame);
    return value instanceof CelError ? value : this.#members.find(value) !== undefined;
  }
}

export class OptionalOrStep implements Step {
  readonly #optional: Step;
  readonly #otherwise: Step;
  readonly #unwraps: boolean;
  constructor(optional: Step, otherwise: Step, unwraps: boolean) {
    this.#optional = optional;
    this.#otherwise = otherwise;
    this.#unwraps = unwraps;
  }
  evaluate(frame: Frame): CelValue {
    const value = this.#optional.evaluate(frame);
    if (!(value instanceof CelOptional)) return value;
    if (value.value === undefined) return this.#otherwise.evaluate(frame);
    return this.#unwraps ? value.value : value;
  }
}

export class ListStep implements Step {
  readonly elements: readonly Step[];
  readonly #optional: readonly boolean[];
  constructor(elements: readonly Step[], optional: readonly boolean[]) {
    this.elements = elements;
    this.#optional = optional;
  }
  evaluate(frame: Frame): CelValue {
    const value = this.#build(frame);
    frame.charge(10);
    return value;
  }
  #build(frame: Frame): CelValue {
    const values: CelValue[] = [];
    for (let index = 0; index < this.elements.length; index++) {
      const value = this.elements[index]!.evaluate(frame);
      if (value instanceof CelError) return value;
      if (this.#optional[index] !== true) values.push(value);
      else if (!(value instanceof CelOptional)) {
        return new CelError(`cannot initialize optional list element from non-optional value ${displayValue(value)}`);
      } else if (value.value !== undefined) values.push(value.value);
    }
    return new ArrayList(values);
  }
}

export interface EntryStep {
  readonly key: Step;
  readonly value: Step;
  readonly optional: boolean;
}

export class MapStep implements Step {
  readonly entries: readonly EntryStep[];
  constructor(entries: readonly EntryStep[]) {
    this.entries = entries;
  }
  evaluate(frame: Frame): CelValue {
    const value = this.#build(frame);
    frame.charge(30);
    return value;
  }
  #build(frame: Frame): CelValue {
    const result = new EntryMap();
    for (const entry of this.entries) {
      const key = entry.key.evaluate(frame);
      if (key instanceof CelError) return key;
      const value = entry.value.evaluate(frame);
      if (value instanceof CelError) return value;
      if (!entry.optional) result.set(key, value);
      else if (!(value instanceof CelOptional)) {
        const shown = `${displayValue(key)}' from non-optional value ${displayValue(value)}`;
        return new CelError(`cannot initialize optional entry '${shown}`);
      } else if (value.value !== undefined) result.set(key, value.value);
    }
    return result;
  }
}

export class StructStep implements Step {
  readonly #fields: ReadonlyArray<{ readonly name: string; readonly value: Step; readonly optional: boolean }>;
  readonly #construct: (fields: ReadonlyMap<string, CelValue>) => CelValue;
  constructor(
    fields: ReadonlyArray<{ readonly name: string; readonly value: Step; readonly optional: boolean }>,
    construct: (fields: ReadonlyMap<string, CelValue>) => CelValue,
  ) {
    this.#fields = fields;
    this.#construct = construct;
  }
  evaluate(frame: Frame): CelValue {
    const value = this.#build(frame);
    frame.charge(40);
    return value;
  }
  #build(frame: Frame): CelValue {
    const fields = new Map<string, CelValue>();
    for (const field of this.#fields) {
      const value = field.value.evaluate(frame);
      if (value instanceof CelError) return value;
      if (!field.optional) fields.set(field.name, value);
      else if (!(value instanceof CelOptional)) {
        const shown = `${field.name}' from non-optional value ${displayValue(value)}`;
        return new CelError(`cannot initialize optional entry '${shown}`);
      } else if (value.value !== undefined) fields.set(field.name, value.value);
    }
    return this.#construct(fields);
  }
}

/** A variable handed in by name. */
export class VariableStep implements Step {
  readonly #name: string;
  constructor(name: string) {
    this.#name = name;
  }
  evaluate(frame: Frame): CelValue {
    return frame.variables.resolve(this.#name) ?? missingVariable(frame, this.#name);
  }
}

function missingVariable(frame: Frame, name: string): CelValue {
  const value = frame.variables.resolve(name);
  return value === undefined ? new CelError(`no such attribute(s): ${name}`) : value;
}

/** A variable of a comprehension. */
export class SlotStep implements Step {
  readonly #slot: number;
  constructor(slot: number) {
    this.#slot = slot;
  }
  evaluate(frame: Frame): CelValue {
    return frame.slots[this.#slot]!;
  }
}

/** The accumulator of a comprehension, which starts when it is first asked for. */
export class AccumulatorStep implements Step {
  readonly #slot: number;
  readonly #initial: Step;
  readonly #grows: boolean;
  constructor(slot: number, initial: Step, grows: boolean) {
    this.#slot = slot;
    this.#initial = initial;
    this.#grows = grows;
  }
  evaluate(frame: Frame): CelValue {
    let value = frame.slots[this.#slot];
    if (value === undefined) {
      value = this.#initial.evaluate(frame);
      if (this.#grows && value instanceof CelList && value.size === 0) value = new GrowingList([]);
      else if (this.#grows && value instanceof CelMap && value.size === 0) value = new GrowingMap();
      frame.slots[this.#slot] = value;
    }
    return value;
  }
}

export interface FoldParts {
  readonly range: Step;
  readonly first: number;
  readonly second: number | undefined;
  readonly accumulator: number;
  readonly condition: Step;
  readonly step: Step;
  readonly result: Step;
}

/** A comprehension. */
export class FoldStep implements Step {
  readonly #parts: FoldParts;
  constructor(parts: FoldParts) {
    this.#parts = parts;
  }
  evaluate(frame: Frame): CelValue {
    const { range, first, second, accumulator, result } = this.#parts;
    const over = range.evaluate(frame);
    if (over instanceof CelError) return over;
    const { slots } = frame;
    slots[accumulator] = undefined;
    if (over instanceof CelList) {
      const { size } = over;
      for (let index = 0; index < size; index++) {
        slots[first] = second === undefined ? over.at(index) : index;
        if (second !== undefined) slots[second] = over.at(index);
        if (!this.#turn(frame)) break;
      }
    } else if (over instanceof CelMap) {
      for (const key of over.keys()) {
        slots[first] = key;
        if (second !== undefined) slots[second] = over.find(key) ?? null;
        if (!this.#turn(frame)) break;
      }
    } else return notIterable(over, second !== undefined);
    const value = result.evaluate(frame);
    if (value instanceof GrowingList) return new ArrayList(value.values);
    return value instanceof GrowingMap ? new EntryMap(value.entries) : value;
  }
  #turn(frame: Frame): boolean {
    const { condition, step, accumulator } = this.#parts;
    if (condition.evaluate(frame) === false) return false;
    frame.slots[accumulator] = step.evaluate(frame);
    frame.turn();
    return true;
  }
}

/** A part of a path: `.field`, `[index]`, and the same when they may be missing. */
export interface Qualifier {
  readonly key: CelValue | undefined;
  /** What gives the key when it is not constant. */
  readonly step: Step | undefined;
  readonly optional: boolean;
  /** `has(…)`: only asks whether it is there. */
  readonly testOnly: boolean;
}

/** A value and the path into it: `a.b[c]`. */
export class PathStep implements Step {
  readonly base: PathBase;
  readonly qualifiers: Qualifier[] = [];
  /** Whether the path itself costs: the branches of a condition do not. */
  readonly cost: number;
  isTest = false;
  constructor(base: PathBase) {
    this.base = base;
    this.cost = base instanceof ConditionalBase ? 0 : 1;
  }
  evaluate(frame: Frame): CelValue {
    const value = this.resolve(frame);
    if (this.isTest) return value instanceof CelOptional ? value.value !== undefined : value;
    if (this.cost > 0) frame.charge(this.cost);
    return value;
  }
  /** The value without the path's own cost. */
  resolve(frame: Frame): CelValue {
    return this.base.resolve(frame, this.qualifiers);
  }
}

/** What a path starts from. */
export interface PathBase {
  resolve(frame: Frame, qualifiers: readonly Qualifier[]): CelValue;
}

/** Starts from a variable or from the result of a step. */
export class StepBase implements PathBase {
  readonly step: Step;
  constructor(step: Step) {
    this.step = step;
  }
  resolve(frame: Frame, qualifiers: readonly Qualifier[]): CelValue {
    const value = this.step.evaluate(frame);
    if (qualifiers.length === 0 || value instanceof CelError) return value;
    return applyQualifiers(frame, value, qualifiers);
  }
}

/** Starts from one of two: the path continues in both. */
export class ConditionalBase implements PathBase {
  readonly #condition: Step;
  readonly #yes: PathStep;
  readonly #no: PathStep;
  constructor(condition: Step, yes: PathStep, no: PathStep) {
    this.#condition = condition;
    this.#yes = yes;
    this.#no = no;
  }
  resolve(frame: Frame, qualifiers: readonly Qualifier[]): CelValue {
    const condition = this.#condition.evaluate(frame);
    if (typeof condition !== "boolean") return condition instanceof CelError ? condition : NO_SUCH_OVERLOAD;
    const branch = condition ? this.#yes : this.#no;
    return branch.base.resolve(frame, [...branch.qualifiers, ...qualifiers]);
  }
}

function applyQualifiers(frame: Frame, start: CelValue, qualifiers: readonly Qualifier[]): CelValue {
  let value = start;
  let isOptional = false;
  if (value instanceof CelOptional) {
    if (value.value === undefined) return value;
    value = value.value;
    isOptional = true;
  }
  for (const qualifier of qualifiers) {
    isOptional ||= qualifier.optional;
    const key =
      qualifier.step === undefined
        ? qualifier.key!
        : qualifier.step instanceof PathStep
          ? qualifier.step.resolve(frame)
          : qualifier.step.evaluate(frame);
    if (key instanceof CelError) {
      if (!isOptional) frame.charge(1);
      return key;
    }
    const found = qualify(value, key);
    if (qualifier.testOnly) {
      frame.charge(1);
      if (found instanceof CelError) return found;
      if (isOptional) {
        if (found === undefined) return OPTIONAL_NONE;
        value = found;
      } else value = found !== undefined;
      continue;
    }
    if (found === undefined) {
      if (isOptional) return OPTIONAL_NONE;
      frame.charge(1);
      return missing(value, key);
    }
    if (!isOptional || !(found instanceof CelError)) frame.charge(1);
    if (found instanceof CelError) return found;
    value = found;
  }
  return isOptional ? new CelOptional(value) : value;
}

function missing(value: CelValue, key: CelValue): CelError {
  const what = value instanceof CelList ? "index out of bounds" : "no such key";
  return new CelError(`${what}: ${displayValue(key)}`);
}

function qualify(value: CelValue, key: CelValue): CelValue | undefined {
  if (value instanceof CelMap) return value.find(key);
  if (value instanceof CelList) {
    const index = indexOf(key);
    if (index instanceof CelError) return index;
    return index >= 0 && index < value.size ? value.at(index) : undefined;
  }
  return value instanceof CelError ? value : undefined;
}

function indexOf(key: CelValue): number | CelError {
  if (isInt(key)) return Number(key);
  if (key instanceof CelUint) return Number(key.value);
  if (key instanceof CelDouble && Number.isInteger(key.value)) return key.value;
  if (key instanceof CelDouble) return new CelError(`unsupported index value ${displayValue(key)} in list`);
  return new CelError(`unsupported index type '${typeNameOf(key)}' in list`);
}

const GO_NAMES: Readonly<Record<string, string>> = {
  null_type: "types.Null",
  bool: "types.Bool",
  int: "types.Int",
  uint: "types.Uint",
  double: "types.Double",
  string: "types.String",
  bytes: "types.Bytes",
  "google.protobuf.Duration": "types.Duration",
  "google.protobuf.Timestamp": "types.Timestamp",
  type: "*types.Type",
  optional_type: "*types.Optional",
};

function notIterable(value: CelValue, isPair: boolean): CelError {
  const name = GO_NAMES[typeNameOf(value)] ?? typeNameOf(value);
  return new CelError(
    isPair ? `unsupported comprehension range type: ${name}` : `got '${name}', expected iterable type`,
  );
}
