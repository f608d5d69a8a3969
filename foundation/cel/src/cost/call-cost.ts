import type { CallCost } from "../evaluate/nodes.ts";
import { CelBytes, CelList, CelMap, CelOpaque, isInt, sizeForCost, type CelValue } from "../values/value.ts";

const TEXT = 0.1;
const REGEX = 0.25;

function traversal(value: CelValue): number {
  if (typeof value === "string") return Math.floor(Buffer.byteLength(value) * TEXT);
  if (value instanceof CelBytes) return Math.floor(value.value.length * TEXT);
  let cost = 0;
  if (value instanceof CelList) {
    for (let index = 0; index < value.size; index++) cost += traversal(value.at(index));
    return cost;
  }
  if (value instanceof CelMap) {
    for (const key of value.keys()) cost += traversal(key) + traversal(value.find(key)!);
    return cost;
  }
  return 1;
}

function perText(index: number, factor = 1): CallCost {
  return (args) => Math.ceil(sizeForCost(args[index]) * factor * TEXT);
}

function regexCost(text: number, pattern: number): number {
  return Math.ceil((1 + text) * TEXT) * Math.ceil(pattern * REGEX);
}

function smaller(args: readonly CelValue[]): number {
  return Math.ceil(Math.min(sizeForCost(args[0]), sizeForCost(args[1])) * TEXT);
}

/** What `==` costs at run time. */
export function equalityCost(args: readonly CelValue[]): number {
  return args[0] instanceof CelOpaque ? 1 : smaller(args);
}

/** What `!=` costs at run time. */
export const inequalityCost = smaller;

function selectorCost(length: number): number {
  return 10 + Math.ceil(length * TEXT) + Math.ceil(Math.ceil(length * 0.5) * 50);
}

function containsIp(withText: boolean): CallCost {
  return ([cidr, other]) => {
    const cost = Math.ceil(2 * sizeForCost(cidr) * TEXT);
    return withText ? cost + Math.ceil(sizeForCost(other) * TEXT) : cost;
  };
}

function containsCidr(withText: boolean): CallCost {
  return ([cidr, other]) => {
    const size = sizeForCost(cidr);
    const cost = Math.ceil(2 * size * TEXT) + Math.ceil(size * TEXT) + 1;
    return withText ? cost + Math.ceil(sizeForCost(other) * TEXT) : cost;
  };
}

function selfCompare(list: CelValue | undefined): number {
  const size = sizeForCost(list);
  const first = list instanceof CelList && size > 0 ? list.at(0) : undefined;
  const factor = typeof first === "string" || first instanceof CelBytes ? 2 + TEXT : 2;
  return Math.floor(size * size * factor) + 11;
}

function sets(factor: number): CallCost {
  return ([a, b]) => 1 + Math.floor(sizeForCost(a) * sizeForCost(b) * factor);
}

const outputSize: CallCost = (_args, result) => sizeForCost(result) + 11;

const flattened: CallCost = (args) => {
  const depth = args.length === 2 && isInt(args[1]!) ? Number(args[1]) : 1;
  return Math.floor(sizeForCost(args[0]) * depth) + 11;
};

const traversed: CallCost = (args) => traversal(args[0]!);

const matched: CallCost = ([text, pattern]) => regexCost(sizeForCost(text), sizeForCost(pattern));

/** Costs that hold whatever overload is called. */
const BY_FUNCTION: ReadonlyMap<string, CallCost> = new Map<string, CallCost>([
  ["check", 350_000],
  ["fieldSelector", ([, selector]) => selectorCost(sizeForCost(selector))],
  ["labelSelector", ([, selector]) => selectorCost(sizeForCost(selector))],
  ...["isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"].map((name) => [name, traversed] as const),
  ...["url", "lowerAscii", "upperAscii", "substring", "trim", "jsonpatch.escapeKey"].map(
    (name) => [name, perText(0)] as const,
  ),
  ...["cidr", "isIP", "isCIDR", "quantity", "isQuantity", "semver", "isSemver"].map(
    (name) => [name, perText(0)] as const,
  ),
  ...["replace", "split", "ip.isCanonical"].map((name) => [name, perText(0, 2)] as const),
  ["join", (_args, result) => Math.ceil(sizeForCost(result) * 2 * TEXT)],
  ["find", matched],
  ["findAll", matched],
]);

/** Costs of single overloads; they go before those of functions where both are there. */
const BY_OVERLOAD: ReadonlyMap<string, CallCost> = new Map<string, CallCost>([
  ["string_to_ip", perText(0)],
  ["cidr_contains_ip_string", containsIp(true)],
  ["cidr_contains_ip_ip", containsIp(false)],
  ["cidr_contains_cidr_string", containsCidr(true)],
  ["cidr_contains_cidr", containsCidr(false)],
  ["list_sets_contains_list", sets(1)],
  ["list_sets_intersects_list", sets(1)],
  ["list_sets_equivalent_list", sets(2)],
  ["list_slice", outputSize],
  ["lists_range", outputSize],
  ["list_reverse", outputSize],
  ["list_flatten", flattened],
  ["list_flatten_int", flattened],
  ["list_distinct", ([list]) => selfCompare(list)],
  ["starts_with_string", perText(0)],
  ["ends_with_string", perText(0)],
  ["string_to_bytes", perText(0)],
  ["bytes_to_string", perText(0)],
  ["strings_quote", perText(0)],
  ["string_format", perText(0)],
  ["in_list", ([, list]) => sizeForCost(list)],
  ["add_string", ([a, b]) => Math.ceil((sizeForCost(a) + sizeForCost(b)) * TEXT)],
  ["add_bytes", ([a, b]) => Math.ceil((sizeForCost(a) + sizeForCost(b)) * TEXT)],
  ["matches_string", matched],
  ["contains_string", ([a, b]) => Math.ceil(sizeForCost(a) * TEXT) * Math.ceil(sizeForCost(b) * TEXT)],
  ...["less", "less_equals", "greater", "greater_equals"].flatMap((name) => [
    [`${name}_string`, smaller] as const,
    [`${name}_bytes`, smaller] as const,
  ]),
]);

/** What a call costs at run time. `overload` is empty where only the values decide which one it is. */
export function callCost(name: string, overload: string): CallCost {
  const special = BY_OVERLOAD.get(overload);
  if (special !== undefined) return special;
  if (overload.endsWith("_sort")) return ([list]) => selfCompare(list);
  if (overload.endsWith("_sortByAssociatedKeys")) return ([, keys]) => selfCompare(keys);
  if (name === "validate") return ([format, text]) => regexCost(sizeForCost(text), regexSizeOf(format));
  if (name === "ip" && overload !== "cidr_ip") return perText(0);
  return BY_FUNCTION.get(name) ?? 1;
}

function regexSizeOf(format: CelValue | undefined): number {
  return typeof format === "object" && format !== null && "maxRegexSize" in format ? Number(format.maxRegexSize) : 0;
}
