import { ACCUMULATOR, type Call, type Comprehension, type Expr } from "../syntax/expression.ts";
import { DYN, type CelType } from "../types/cel-type.ts";
import { CelBytes, codePoints } from "../values/value.ts";
import { estimateLibraryCall, regex, type CallEstimate, type Operand } from "./estimate-call.ts";
import { exactly, product, scaled, sum, union, UNKNOWN, ZERO, type Range } from "./range.ts";

/** The least and the most an expression may cost. */
export type CostEstimate = Range;

/**
 * How large what a path leads to may be. The first element of a path is a variable; the others are fields, `@items`,
 * `@keys` or `@values`. Undefined means that nothing is known.
 */
export type SizeEstimator = (path: readonly string[]) => Range | undefined;

const TEXT = 0.1;

/** Estimates a checked expression. */
export function estimateCost(expr: Expr, sizes?: SizeEstimator): CostEstimate {
  return new Estimator(sizes).cost(expr);
}

interface EntrySize {
  readonly container: "list" | "map";
  readonly key: Range;
  readonly value: Range;
}

interface Local {
  readonly path: readonly string[];
  readonly size: Range | undefined;
  readonly entries: EntrySize | undefined;
}

type Path = readonly string[] | undefined;

class Estimator {
  readonly #sizes: SizeEstimator | undefined;
  readonly #paths = new Map<Expr, readonly string[]>();
  readonly #computed = new Map<Expr, Range>();
  readonly #entries = new Map<Expr, EntrySize>();
  readonly #locals = new Map<string, Local[]>();

  constructor(sizes: SizeEstimator | undefined) {
    this.#sizes = sizes;
  }

  cost(expr: Expr): Range {
    switch (expr.kind) {
      case "literal":
        return ZERO;
      case "ident":
        if (expr.denotes === undefined) this.#paths.set(expr, this.#local(expr.name)?.path ?? [expr.name]);
        return exactly(1);
      case "select": {
        if (expr.qualified !== undefined) {
          this.#paths.set(expr, [expr.qualified.name]);
          return exactly(1);
        }
        const operand = this.cost(expr.operand);
        if (expr.testOnly) return operand;
        const { kind } = typeOf(expr.operand);
        this.#paths.set(expr, [...(this.#pathOf(expr.operand) ?? []), expr.field]);
        return kind === "map" || kind === "struct" ? sum(operand, exactly(1)) : operand;
      }
      case "call":
        return this.#call(expr);
      case "list": {
        let item: Range = { min: expr.elements.length === 0 ? 0 : UNKNOWN.max, max: 0 };
        let cost = exactly(10);
        for (const element of expr.elements) {
          cost = sum(cost, this.cost(element));
          item = union(item, this.#sizeOrUnknown(element));
        }
        this.#entries.set(expr, { container: "list", key: exactly(1), value: item });
        return cost;
      }
      case "map": {
        const empty = { min: expr.entries.length === 0 ? 0 : UNKNOWN.max, max: 0 };
        let [keySize, valueSize, cost]: [Range, Range, Range] = [empty, empty, exactly(30)];
        for (const { key, value } of expr.entries) {
          cost = sum(cost, this.cost(key), this.cost(value));
          keySize = union(keySize, this.#sizeOrUnknown(key));
          valueSize = union(valueSize, this.#sizeOrUnknown(value));
        }
        this.#entries.set(expr, { container: "map", key: keySize, value: valueSize });
        return cost;
      }
      case "struct":
        return sum(exactly(40), ...expr.fields.map((field) => this.cost(field.value)));
      case "comprehension":
        return isBind(expr) ? this.#bind(expr) : this.#comprehension(expr);
    }
  }

  #local(name: string): Local | undefined {
    return this.#locals.get(name)?.at(-1);
  }

  #push(name: string, local: Local): void {
    const stack = this.#locals.get(name);
    if (stack === undefined) this.#locals.set(name, [local]);
    else stack.push(local);
  }

  #pop(name: string): void {
    this.#locals.get(name)?.pop();
  }

  #pathOf(expr: Expr): Path {
    if (expr.kind === "ident") {
      const local = this.#local(expr.name);
      if (local !== undefined) return local.path;
    }
    return this.#paths.get(expr);
  }

  #operand(expr: Expr): Operand {
    const path = this.#pathOf(expr);
    const visible = path?.[0] === ACCUMULATOR ? undefined : path;
    return { path: visible, type: typeOf(expr), expr, size: this.#size(expr) };
  }

  #estimate(path: Path): Range | undefined {
    return path === undefined || path.length === 0 ? undefined : this.#sizes?.(path);
  }

  #size(expr: Expr): Range | undefined {
    const computed = this.#computed.get(expr) ?? literalSize(expr);
    if (computed !== undefined) return computed;
    const estimated = this.#estimate(this.#pathOf(expr));
    if (estimated !== undefined) {
      this.#computed.set(expr, estimated);
      return estimated;
    }
    if (isScalar(typeOf(expr))) return exactly(1);
    return expr.kind === "ident" ? this.#local(expr.name)?.size : undefined;
  }

  #sizeOrUnknown(expr: Expr): Range {
    return this.#size(expr) ?? UNKNOWN;
  }

  #entrySize(expr: Expr | undefined): EntrySize | undefined {
    if (expr === undefined) return undefined;
    const found = this.#entries.get(expr);
    if (found !== undefined) return found;
    return expr.kind === "ident" ? this.#local(expr.name)?.entries : undefined;
  }

  #call(expr: Call): Range {
    if (expr.name === "dyn") {
      const [arg] = expr.args;
      const cost = this.cost(arg!);
      this.#copySizes(expr, arg!);
      return sum(exactly(1), cost);
    }
    const args: Operand[] = [];
    const argCosts: Range[] = [];
    for (const arg of expr.args) {
      argCosts.push(this.cost(arg));
      args.push(this.#operand(arg));
    }
    if (expr.overloads.length === 0) return ZERO;
    let targetCost = ZERO;
    let target: Operand | undefined;
    if (expr.target !== undefined) {
      targetCost = this.cost(expr.target);
      target = this.#operand(expr.target);
    }
    let cost: Range = { min: UNKNOWN.max, max: 0 };
    let size: Range | undefined;
    for (const overload of expr.overloads) {
      const estimate = this.#function(expr, overload, target, args, argCosts);
      cost = union(cost, estimate.cost);
      if (estimate.size !== undefined) size = size === undefined ? estimate.size : union(size, estimate.size);
      if (overload === "index_list" || overload === "index_map") {
        size = this.#entrySize(expr.args[0])?.value;
        const step = overload === "index_list" ? "@items" : "@values";
        this.#paths.set(expr, [...(this.#pathOf(expr.args[0]!) ?? []), step]);
      }
      size ??= this.#size(expr);
    }
    if (size !== undefined) this.#computed.set(expr, size);
    return sum(targetCost, cost);
  }

  #function(
    expr: Call,
    overload: string,
    target: Operand | undefined,
    args: readonly Operand[],
    argCosts: readonly Range[],
  ): CallEstimate {
    const withArgs = (cost: Range, size?: Range): CallEstimate => {
      const total = sum(cost, ...argCosts);
      return size === undefined ? { cost: total } : { cost: total, size };
    };
    const library = estimateLibraryCall(expr.name, overload, target, args, (operand) => this.#estimate(operand.path));
    if (library !== undefined) return withArgs(library.cost, library.size);
    const size = (operand: Operand): Range => operand.size ?? UNKNOWN;
    const [first, second, third] = args;
    switch (overload) {
      case "string_format":
        if (target !== undefined) return withArgs(scaled(size(target), TEXT));
        break;
      case "string_to_bytes": {
        const text = size(first!);
        return withArgs(scaled(text, TEXT), { min: text.min, max: text.max * 4 });
      }
      case "bytes_to_string": {
        const bytes = size(first!);
        return withArgs(scaled(bytes, TEXT), { min: Math.floor(bytes.min / 4), max: bytes.max });
      }
      case "strings_quote": {
        const text = size(first!);
        return withArgs(scaled(text, TEXT), { min: text.min + 2, max: text.max * 2 + 2 });
      }
      case "starts_with_string":
      case "ends_with_string":
        return withArgs(scaled(size(first!), TEXT));
      case "in_list":
        return withArgs(size(second!));
      case "matches_string":
        if (target !== undefined) return withArgs(regex(size(target), size(first!)));
        break;
      case "contains_string":
        if (target !== undefined) return withArgs(product(scaled(size(target), TEXT), scaled(size(first!), TEXT)));
        break;
      case "logical_or":
      case "logical_and":
        return { cost: { min: argCosts[0]!.min, max: sum(argCosts[0]!, argCosts[1]!).max } };
      case "conditional": {
        const joined = uniteEntries(this.#entrySize(second!.expr), this.#entrySize(third!.expr));
        if (joined !== undefined) this.#entries.set(expr, joined);
        return {
          cost: sum(argCosts[0]!, union(argCosts[1]!, argCosts[2]!)),
          size: union(size(second!), size(third!)),
        };
      }
      case "add_string":
      case "add_bytes":
      case "add_list": {
        const total = sum(size(first!), size(second!));
        const joined = uniteEntries(this.#entrySize(first!.expr), this.#entrySize(second!.expr));
        if (joined !== undefined) this.#entries.set(expr, joined);
        return withArgs(overload === "add_list" ? exactly(1) : scaled(total, TEXT), total);
      }
      default:
        if (!COMPARISONS.test(overload)) break;
        return withArgs(scaled(comparison(size(first!), size(second!)), TEXT));
    }
    return withArgs(exactly(1));
  }

  #copySizes(to: Expr, from: Expr): void {
    const size = this.#size(from);
    if (size !== undefined) this.#computed.set(to, size);
    const entries = this.#entrySize(from);
    if (entries !== undefined) this.#entries.set(to, entries);
  }

  #comprehension(expr: Comprehension): Range {
    const start = sum(this.cost(expr.range), this.cost(expr.accuInit));
    this.#pushLocal(expr.accuVar, expr.accuInit);
    this.#pushElements(expr);
    const turn = sum(this.cost(expr.condition), this.cost(expr.step));
    this.#pop(expr.iterVar);
    if (expr.iterVar2 !== undefined) this.#pop(expr.iterVar2);
    const result = this.cost(expr.result);
    this.#pop(expr.accuVar);
    const count = this.#sizeOrUnknown(expr.range);
    if (expr.accuInit.kind === "literal") {
      const size = this.#size(expr.accuInit);
      if (size !== undefined) this.#computed.set(expr, size);
    } else if (expr.accuInit.kind === "list" || expr.accuInit.kind === "map") {
      this.#computed.set(expr, count);
      const entries = this.#entrySize(expr.step);
      if (entries !== undefined) this.#entries.set(expr, entries);
    }
    return sum(start, result, product(count, turn));
  }

  #pushLocal(name: string, value: Expr): void {
    const entries = this.#entrySize(value);
    this.#push(name, { path: this.#pathOf(value) ?? [], size: this.#size(value), entries });
  }

  #pushElements({ range, iterVar, iterVar2 }: Comprehension): void {
    const entries = this.#entrySize(range);
    const isList = (entries?.container ?? typeOf(range).kind) === "list";
    const path = this.#pathOf(range) ?? [];
    const key = { size: entries?.key, entries: undefined };
    const value = { size: entries?.value, entries: undefined };
    if (iterVar2 === undefined) {
      this.#push(iterVar, isList ? { path: [...path, "@items"], ...value } : { path: [...path, "@keys"], ...key });
      return;
    }
    this.#push(iterVar, { path: [...path, isList ? "@indices" : "@keys"], ...key });
    this.#push(iterVar2, { path: [...path, isList ? "@items" : "@values"], ...value });
  }

  #bind(expr: Comprehension): Range {
    const start = sum(this.cost(expr.range), this.cost(expr.accuInit));
    this.#pushLocal(expr.accuVar, expr.accuInit);
    const result = this.cost(expr.result);
    this.#copySizes(expr, expr.result);
    this.#pop(expr.accuVar);
    return sum(start, result);
  }
}

const COMPARISONS = /^(?:equals|not_equals|(?:less|greater)(?:_equals)?_(?:string|bytes))$/;

function comparison(left: Range, right: Range): Range {
  const max = Math.min(left.max, right.max);
  return { min: max > 0 ? 1 : 0, max };
}

function isBind({ range, condition, accuVar }: Comprehension): boolean {
  const isEmpty = range.kind === "list" && range.elements.length === 0;
  return isEmpty && condition.kind === "literal" && condition.value === false && accuVar !== "__result__";
}

function uniteEntries(a: EntrySize | undefined, b: EntrySize | undefined): EntrySize | undefined {
  if (a === undefined || b === undefined) return undefined;
  return { container: a.container, key: union(a.key, b.key), value: union(a.value, b.value) };
}

function typeOf(expr: Expr): CelType {
  return expr.type ?? DYN;
}

function literalSize(expr: Expr): Range | undefined {
  switch (expr.kind) {
    case "literal":
      if (typeof expr.value === "string") return exactly(codePoints(expr.value));
      return exactly(expr.value instanceof CelBytes ? expr.value.value.length : 1);
    case "list":
      return exactly(expr.elements.length);
    case "map":
      return exactly(expr.entries.length);
    default:
      return undefined;
  }
}

const SCALARS = new Set(["bool", "double", "duration", "int", "timestamp", "uint"]);

function isScalar(type: CelType): boolean {
  if (type.kind === "opaque" && type.name === "optional_type") return isScalar(type.params[0]!);
  return SCALARS.has(type.kind);
}
