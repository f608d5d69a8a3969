import type { CelType } from "../types/cel-type.ts";
import type { CelValue } from "../values/value.ts";

/** What every node of an expression has. */
interface Node {
  /** The place in the source in code points. */
  readonly at: number;
  /** How deep the node nests, as the parser counts it. */
  depth: number;
  /** The type the checker found; undefined before. */
  type: CelType | undefined;
}

export interface Literal extends Node {
  readonly kind: "literal";
  readonly value: CelValue;
}

export interface Ident extends Node {
  readonly kind: "ident";
  name: string;
  /** The type that the identifier names, when it names one. */
  denotes: CelType | undefined;
}

export interface Select extends Node {
  readonly kind: "select";
  readonly operand: Expr;
  readonly field: string;
  /** `has(operand.field)`. */
  readonly testOnly: boolean;
  /** The qualified name this selection turned out to be. */
  qualified: Ident | undefined;
}

export interface Call extends Node {
  readonly kind: "call";
  name: string;
  target: Expr | undefined;
  readonly args: readonly Expr[];
  /** The ids of the overloads that may apply. */
  overloads: readonly string[];
}

export interface ListLiteral extends Node {
  readonly kind: "list";
  readonly elements: readonly Expr[];
  /** Which elements are written `?element`. */
  readonly optional: readonly boolean[];
}

export interface MapEntry {
  readonly key: Expr;
  readonly value: Expr;
  readonly optional: boolean;
}

export interface MapLiteral extends Node {
  readonly kind: "map";
  readonly entries: readonly MapEntry[];
}

export interface StructField {
  readonly at: number;
  readonly name: string;
  readonly value: Expr;
  readonly optional: boolean;
}

export interface StructLiteral extends Node {
  readonly kind: "struct";
  name: string;
  readonly fields: readonly StructField[];
}

export interface Comprehension extends Node {
  readonly kind: "comprehension";
  readonly range: Expr;
  readonly iterVar: string;
  readonly iterVar2: string | undefined;
  readonly accuVar: string;
  readonly accuInit: Expr;
  readonly condition: Expr;
  readonly step: Expr;
  readonly result: Expr;
}

/** A node of an expression. */
export type Expr = Literal | Ident | Select | Call | ListLiteral | MapLiteral | StructLiteral | Comprehension;

export const ACCUMULATOR = "@result";

export function literal(at: number, value: CelValue): Literal {
  return { kind: "literal", at, depth: 0, type: undefined, value };
}

export function ident(at: number, name: string): Ident {
  return { kind: "ident", at, depth: 0, type: undefined, name, denotes: undefined };
}

export function select(at: number, operand: Expr, field: string, testOnly = false): Select {
  return {
    kind: "select",
    at,
    depth: operand.depth + 1,
    type: undefined,
    operand,
    field,
    testOnly,
    qualified: undefined,
  };
}

export function call(at: number, name: string, args: readonly Expr[], target?: Expr): Call {
  return { kind: "call", at, depth: deepest(args, target), type: undefined, name, target, args, overloads: [] };
}

export function list(at: number, elements: readonly Expr[], optional: readonly boolean[] = []): ListLiteral {
  return { kind: "list", at, depth: deepest(elements), type: undefined, elements, optional };
}

export function map(at: number, entries: readonly MapEntry[]): MapLiteral {
  const depth = Math.max(0, ...entries.flatMap((entry) => [entry.key.depth, entry.value.depth]));
  return { kind: "map", at, depth, type: undefined, entries };
}

export function struct(at: number, name: string, fields: readonly StructField[]): StructLiteral {
  return { kind: "struct", at, depth: deepest(fields.map((field) => field.value)), type: undefined, name, fields };
}

export function comprehension(at: number, parts: Omit<Comprehension, keyof Node | "kind">): Comprehension {
  return { kind: "comprehension", at, depth: 0, type: undefined, ...parts };
}

/** A deep copy, for macros that use an argument twice. */
export function copyExpr(expr: Expr): Expr {
  switch (expr.kind) {
    case "literal":
    case "ident":
      return { ...expr };
    case "select":
      return { ...expr, operand: copyExpr(expr.operand) };
    case "call":
      return {
        ...expr,
        target: expr.target === undefined ? undefined : copyExpr(expr.target),
        args: expr.args.map(copyExpr),
      };
    case "list":
      return { ...expr, elements: expr.elements.map(copyExpr) };
    case "map":
      return {
        ...expr,
        entries: expr.entries.map((entry) => ({ ...entry, key: copyExpr(entry.key), value: copyExpr(entry.value) })),
      };
    case "struct":
      return { ...expr, fields: expr.fields.map((field) => ({ ...field, value: copyExpr(field.value) })) };
    case "comprehension":
      return {
        ...expr,
        range: copyExpr(expr.range),
        accuInit: copyExpr(expr.accuInit),
        condition: copyExpr(expr.condition),
        step: copyExpr(expr.step),
        result: copyExpr(expr.result),
      };
  }
}

/** `a.b.c` as a name, or undefined when the expression is anything else. */
export function qualifiedName(expr: Expr): string | undefined {
  if (expr.kind === "ident") return expr.name;
  if (expr.kind !== "select" || expr.testOnly) return undefined;
  const prefix = qualifiedName(expr.operand);
  return prefix === undefined ? undefined : `${prefix}.${expr.field}`;
}

/** Every node below and including the given one. */
export function* walk(expr: Expr): Generator<Expr> {
  yield expr;
  switch (expr.kind) {
    case "select":
      yield* walk(expr.operand);
      return;
    case "call":
      if (expr.target !== undefined) yield* walk(expr.target);
      for (const arg of expr.args) yield* walk(arg);
      return;
    case "list":
      for (const element of expr.elements) yield* walk(element);
      return;
    case "map":
      for (const entry of expr.entries) {
        yield* walk(entry.key);
        yield* walk(entry.value);
      }
      return;
    case "struct":
      for (const field of expr.fields) yield* walk(field.value);
      return;
    case "comprehension":
      yield* walk(expr.range);
      yield* walk(expr.accuInit);
      yield* walk(expr.condition);
      yield* walk(expr.step);
      yield* walk(expr.result);
      return;
    default:
  }
}

function deepest(parts: readonly Expr[], target?: Expr): number {
  let depth = target === undefined ? 0 : target.depth;
  for (const part of parts) depth = Math.max(depth, part.depth);
  return depth;
}
