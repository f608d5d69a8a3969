import type { Expr } from "../syntax/expression.ts";
import type { CelType } from "../types/cel-type.ts";
import { isInt } from "../values/value.ts";
import { exactly, product, scaled, sum, UNKNOWN, ZERO, type Range } from "./range.ts";

const TEXT = 0.1;
const REGEX = 0.25;

/** An operand of a call, as far as its cost goes. */
export interface Operand {
  readonly path: readonly string[] | undefined;
  readonly type: CelType;
  readonly expr: Expr | undefined;
  readonly size: Range | undefined;
}

/** What a call costs besides its operands, and how large its result may be. */
export interface CallEstimate {
  readonly cost: Range;
  readonly size?: Range;
}

/** Asks for the size of what a path leads to. */
export type SizeOf = (operand: Operand) => Range | undefined;

const ONE: CallEstimate = { cost: exactly(1) };
const NOMINAL = new Set([
  "serviceAccount",
  "path",
  "group",
  "resource",
  "subresource",
  "namespace",
  "name",
  "allowed",
  "reason",
  "error",
  "errored",
  "masked",
  "prefixLength",
  "family",
  "isUnspecified",
  "isLoopback",
  "isLinkLocalMulticast",
  "isLinkLocalUnicast",
  "isGlobalUnicast",
  "format.named",
  "sign",
  "asInteger",
  "isInteger",
  "asApproximateFloat",
  "isGreaterThan",
  "isLessThan",
  "compareTo",
  "add",
  "sub",
  "major",
  "minor",
  "patch",
  "getScheme",
  "getHostname",
  "getHost",
  "getPort",
  "getEscapedPath",
  "getQuery",
]);
const OPAQUE_EQUALITY = new Set([
  "net.IP",
  "net.CIDR",
  "kubernetes.Quantity",
  "kubernetes.Semver",
  "kubernetes.authorization.Authorizer",
  "kubernetes.authorization.PathCheck",
  "kubernetes.authorization.GroupCheck",
  "kubernetes.authorization.ResourceCheck",
  "kubernetes.authorization.Decision",
]);

/** The cost of a function of Kubernetes' libraries; undefined for those of the language. */
export function estimateLibraryCall(
  name: string,
  overload: string,
  target: Operand | undefined,
  args: readonly Operand[],
  sizeOf: SizeOf,
): CallEstimate | undefined {
  const special = estimateLists(overload, target, args, sizeOf);
  if (special !== undefined) return special;
  if (NOMINAL.has(name)) return ONE;
  const size = (operand: Operand): Range => operand.size ?? sizeOf(operand) ?? UNKNOWN;
  const [first, second] = args;
  switch (name) {
    case "check":
      return { cost: exactly(350_000) };
    case "fieldSelector":
    case "labelSelector": {
      if (args.length !== 1) return undefined;
      const length = size(first!);
      return { cost: sum(exactly(10), scaled(length, TEXT), scaled(scaled(length, 0.5), 50)) };
    }
    case "isSorted":
    case "sum":
    case "max":
    case "min":
    case "indexOf":
    case "lastIndexOf": {
      if (target === undefined) return undefined;
      const element = elementOf(target);
      if (element === undefined) return { cost: scaled(size(target), TEXT) };
      const isText = element.type.kind === "string" || element.type.kind === "bytes";
      const each = isText ? sum(exactly(1), scaled(size(element), TEXT)) : exactly(1);
      return { cost: product(size(target), each) };
    }
    case "url":
    case "jsonpatch.escapeKey":
      return args.length === 1 ? { cost: scaled(size(first!), TEXT), size: size(first!) } : undefined;
    case "lowerAscii":
    case "upperAscii":
    case "substring":
    case "trim":
      return target === undefined ? undefined : { cost: scaled(size(target), TEXT), size: size(target) };
    case "replace":
      if (target === undefined || args.length < 2) return undefined;
      return { cost: scaled(size(target), 2 * TEXT), size: replacedSize(size(target), size(first!), size(second!)) };
    case "split": {
      if (target === undefined) return undefined;
      const text = size(target);
      return { cost: scaled(text, 2 * TEXT), size: { min: 0, max: literalInt(second) ?? text.max } };
    }
    case "join": {
      if (target === undefined) return undefined;
      const count = size(target);
      const element = elementOf(target);
      let joined = element === undefined ? ZERO : product(count, size(element));
      if (first !== undefined) {
        const separators = { min: Math.max(0, count.min - 1), max: Math.max(0, count.max - 1) };
        joined = sum(joined, product(size(first), separators));
      }
      return { cost: scaled(joined, TEXT), size: joined };
    }
    case "find":
    case "findAll": {
      if (target === undefined || first === undefined) return undefined;
      const text = size(target);
      return { cost: regex(text, size(first)), size: { min: 0, max: text.max } };
    }
    case "ip":
      if (overload === "cidr_ip") return ONE;
      return first === undefined ? undefined : { cost: scaled(size(first), TEXT) };
    case "cidr":
    case "isIP":
    case "isCIDR":
    case "quantity":
    case "isQuantity":
    case "semver":
    case "isSemver":
      return first === undefined ? undefined : { cost: scaled(size(first), TEXT) };
    case "ip.isCanonical":
      return first === undefined ? undefined : { cost: scaled(size(first), 2 * TEXT) };
    case "containsIP": {
      if (first === undefined) return undefined;
      const cost = scaled({ min: 8, max: 32 }, TEXT);
      return { cost: overload === "cidr_contains_ip_string" ? sum(cost, scaled(size(first), TEXT)) : cost };
    }
    case "containsCIDR": {
      if (first === undefined) return undefined;
      const cost = sum(scaled({ min: 8, max: 32 }, TEXT), scaled({ min: 4, max: 16 }, TEXT), exactly(1));
      return { cost: overload === "cidr_contains_cidr_string" ? sum(cost, scaled(size(first), TEXT)) : cost };
    }
    case "validate":
      return first === undefined ? undefined : { cost: scaled(scaled(size(first), TEXT), 128 * REGEX) };
    case "_==_":
      return estimateEquality(args);
    default:
      return undefined;
  }
}

/** The cost of matching a pattern against a text. */
export function regex(text: Range, pattern: Range): Range {
  return product(scaled(sum(text, exactly(1)), TEXT), scaled(pattern, REGEX));
}

function estimateEquality(args: readonly Operand[]): CallEstimate | undefined {
  const [left, right] = args;
  if (left === undefined || right === undefined || left.type.name !== right.type.name) return undefined;
  const { name, kind } = left.type;
  if (kind !== "opaque" && kind !== "struct") return undefined;
  if (OPAQUE_EQUALITY.has(name)) return ONE;
  if (name === "kubernetes.NamedFormat") return { cost: scaled({ min: 1, max: 64 }, TEXT) };
  if (name === "kubernetes.URL") return { cost: scaled({ min: 1, max: right.size?.max ?? 1 }, TEXT) };
  return undefined;
}

function elementOf(list: Operand): Operand | undefined {
  const [type] = list.type.params;
  if (type === undefined) return undefined;
  const path = list.path === undefined ? undefined : [...list.path, "@items"];
  return { path, type, expr: undefined, size: undefined };
}

function literalInt(operand: Operand | undefined): number | undefined {
  if (operand?.expr?.kind !== "literal" || !isInt(operand.expr.value)) return undefined;
  const value = Number(operand.expr.value);
  return value < 0 ? UNKNOWN.max : value;
}

function replacedSize(text: Range, old: Range, fresh: Range): Range {
  let [countMin, countMax, keptMin, keptMax] = [0, 0, 0, 0];
  if (old.min === 0) {
    countMax = text.max + 1;
    keptMax = text.max;
  } else if (fresh.max <= old.min) keptMax = text.max;
  else countMax = Math.ceil(text.max / old.min);
  if (old.max === 0) {
    countMin = text.min + 1;
    keptMin = text.min;
  } else if (old.max <= fresh.min) keptMin = text.min;
  else countMin = Math.ceil(text.min / old.max);
  return sum(product({ min: countMin, max: countMax }, fresh), { min: keptMin, max: keptMax });
}

function estimateLists(
  overload: string,
  target: Operand | undefined,
  args: readonly Operand[],
  sizeOf: SizeOf,
): CallEstimate | undefined {
  const size = (operand: Operand): Range => operand.size ?? sizeOf(operand) ?? UNKNOWN;
  const allocating = (list: Range, factor: number): CallEstimate => ({
    cost: sum(scaled(list, factor), exactly(11)),
    size: list,
  });
  const [first, second] = args;
  switch (overload) {
    case "list_sets_contains_list":
    case "list_sets_intersects_list":
      return { cost: sum(product(size(first!), size(second!)), exactly(1)) };
    case "list_sets_equivalent_list":
      return { cost: sum(scaled(product(size(first!), size(second!)), 2), exactly(1)) };
    case "list_slice": {
      const start = intArg(first!, 0);
      const end = intArg(second!, size(target!).max);
      const length = end - start;
      return allocating(exactly(length < 0 ? length + UNKNOWN.max : length), 1);
    }
    case "lists_range":
      return allocating(exactly(intArg(first!, UNKNOWN.max)), 1);
    case "list_reverse":
      return allocating(size(target!), 1);
    case "list_flatten":
      return allocating(size(target!), 1);
    case "list_flatten_int":
      return allocating(size(target!), intArg(first!, UNKNOWN.max));
    case "list_distinct":
      return allocating(product(size(target!), size(target!)), 2);
    default:
  }
  const sorted = /^list_(.+)_(sort|sortByAssociatedKeys)$/.exec(overload);
  if (sorted === null || target === undefined) return undefined;
  const keys = size(sorted[2] === "sort" ? target : first!);
  return allocating(product(keys, keys), sorted[1] === "string" || sorted[1] === "bytes" ? 2 + TEXT : 2);
}

function intArg(operand: Operand, otherwise: number): number {
  if (operand.expr?.kind !== "literal" || !isInt(operand.expr.value)) return otherwise;
  return Math.max(0, Number(operand.expr.value));
}
