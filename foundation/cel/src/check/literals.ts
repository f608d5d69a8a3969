import { checkFormatCall } from "../library/format-text.ts";
import { compileRegex } from "../library/regular-expressions.ts";
import { walk, type Call, type Expr, type ListLiteral, type MapLiteral } from "../syntax/expression.ts";
import type { CelIssue } from "../syntax/source.ts";
import { equivalentType, formatType, isOptional, type CelType } from "../types/cel-type.ts";
import { toDuration, toTimestamp } from "../values/convert.ts";
import { CelError } from "../values/value.ts";

/** Finds literals that can be seen to be wrong: durations, times, patterns, formats, and mixed lists and maps. */
export function validateLiterals(expr: Expr, issues: CelIssue[]): void {
  for (const node of walk(expr)) if (node.kind === "call" && node.name === "duration") checkArgument(node, issues);
  for (const node of walk(expr)) if (node.kind === "call" && node.name === "timestamp") checkArgument(node, issues);
  for (const node of walk(expr)) if (node.kind === "call" && node.name === "matches") checkArgument(node, issues);
  checkAggregates(expr, false, issues);
  for (const node of walk(expr)) if (node.kind === "call") checkFormatCall(node, issues);
}

function checkArgument(call: Call, issues: CelIssue[]): void {
  const [arg] = call.args;
  if (arg === undefined || arg.kind !== "literal") return;
  if (!isBad(call.name, arg.value)) return;
  issues.push({ message: `invalid ${call.name} argument`, at: arg.at });
}

function isBad(name: string, value: Parameters<typeof toDuration>[0]): boolean {
  switch (name) {
    case "duration":
      return toDuration(value) instanceof CelError;
    case "timestamp":
      return toTimestamp(value) instanceof CelError;
    default:
      return typeof value === "string" && compileRegex(value) instanceof CelError;
  }
}

function checkAggregates(expr: Expr, exempt: boolean, issues: CelIssue[]): void {
  const inside = exempt || (expr.kind === "call" && expr.name === "format");
  if (!inside && expr.kind === "list") checkList(expr, issues);
  if (!inside && expr.kind === "map") checkMap(expr, issues);
  for (const child of childrenOf(expr)) checkAggregates(child, inside, issues);
}

function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case "select":
      return [expr.operand];
    case "call":
      return expr.target === undefined ? expr.args : [expr.target, ...expr.args];
    case "list":
      return expr.elements;
    case "map":
      return expr.entries.flatMap((entry) => [entry.key, entry.value]);
    case "struct":
      return expr.fields.map((field) => field.value);
    case "comprehension":
      return [expr.range, expr.accuInit, expr.condition, expr.step, expr.result];
    default:
      return [];
  }
}

function partType(expr: Expr, optional: boolean): CelType {
  const type = expr.type!;
  return optional && isOptional(type) ? type.params[0]! : type;
}

function checkList(expr: ListLiteral, issues: CelIssue[]): void {
  let wanted: CelType | undefined;
  for (const [index, element] of expr.elements.entries()) {
    const type = partType(element, expr.optional[index] === true);
    wanted ??= type;
    if (equivalentType(wanted, type)) continue;
    mismatch(element, wanted, type, issues);
    return;
  }
}

function checkMap(expr: MapLiteral, issues: CelIssue[]): void {
  let keys: CelType | undefined;
  let values: CelType | undefined;
  for (const entry of expr.entries) {
    const key = entry.key.type!;
    const value = partType(entry.value, entry.optional);
    keys ??= key;
    values ??= value;
    if (!equivalentType(keys, key)) mismatch(entry.key, keys, key, issues);
    if (!equivalentType(values, value)) mismatch(entry.value, values, value, issues);
  }
}

function mismatch(expr: Expr, wanted: CelType, found: CelType, issues: CelIssue[]): void {
  issues.push({ message: `expected type '${formatType(wanted)}' but found '${formatType(found)}'`, at: expr.at });
}
