import { isObject } from "@coracle/apimachinery";

/** What a field may hold. `any` is taken as it is. Types have the names that they have in Go, which errors tell. */
export type Shape =
  | "string"
  | "boolean"
  | "int32"
  | "int64"
  | "float32"
  | "duration"
  | "any"
  /** A string with a type of its own. */
  | { readonly word: string }
  | { readonly list: Shape }
  | { readonly map: Shape }
  | {
      readonly type: string;
      readonly fields: Readonly<Record<string, Shape>>;
      /** Field → the structure inside the other where it really is. */
      readonly embedded?: Readonly<Record<string, string>>;
    };

/** Where a value stands: the structure that has the field, and the fields down to it. */
export interface Place {
  readonly struct: string;
  readonly path: string;
  /** Where the value is, for those who look for it. */
  readonly at: string;
}

const GO_TYPES = { string: "string", boolean: "bool", int32: "int32", int64: "int64", float32: "float32" } as const;
const DURATION = /^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*$/;

function goType(shape: Exclude<Shape, "any" | "duration">): string {
  if (typeof shape === "string") return GO_TYPES[shape];
  if ("word" in shape) return shape.word;
  if ("list" in shape) return `[]${goType(shape.list as typeof shape)}`;
  if ("map" in shape) return `map[string]${goType(shape.map as typeof shape)}`;
  return shape.type;
}

/**
 * Checks a parsed document against its shape: throws for a value of another kind, and adds fields that nobody knows to
 * `unknown`, with their paths.
 */
export function checkShape(
  value: unknown,
  shape: Shape,
  unknown: string[],
  place: Place = { struct: "", path: "", at: "" },
): void {
  if (value === null || value === undefined || shape === "any") return;
  if (shape === "duration") return checkDuration(value);
  const refuse = (): never => {
    throw new Error(
      `json: cannot unmarshal ${kindOf(value)} into Go struct field ${place.struct}.${place.path} of type ${goType(shape)}`,
    );
  };
  if (typeof shape === "string") {
    if (!isOf(shape, value)) refuse();
  } else if ("word" in shape) {
    if (typeof value !== "string") refuse();
  } else if ("list" in shape) {
    if (!Array.isArray(value)) return refuse();
    for (const [i, item] of value.entries())
      checkShape(item, shape.list, unknown, { ...place, at: `${place.at}[${i}]` });
  } else if (!isObject(value)) refuse();
  else
    for (const [name, member] of Object.entries(value)) {
      const at = place.at === "" ? name : `${place.at}.${name}`;
      const inner = "map" in shape ? shape.map : shape.fields[name];
      if (inner === undefined) {
        unknown.push(at);
        continue;
      }
      const embedded = "map" in shape ? undefined : shape.embedded?.[name];
      const own = embedded === undefined ? name : `${embedded}.${name}`;
      const path = place.path === "" ? own : `${place.path}.${own}`;
      const struct = "map" in shape ? place.struct : shape.type.replace(/^.*\./, "");
      checkShape(member, inner, unknown, { struct, path, at });
    }
}

function checkDuration(value: unknown): void {
  if (typeof value !== "string")
    throw new Error(`json: cannot unmarshal ${kindOf(value)} into Go value of type string`);
  if (value !== "0" && !DURATION.test(value)) throw new Error(`time: invalid duration ${JSON.stringify(value)}`);
}

function isOf(type: keyof typeof GO_TYPES, value: unknown): boolean {
  if (type === "string" || type === "boolean") return typeof value === type;
  if (typeof value !== "number" || (type !== "float32" && !Number.isInteger(value))) return false;
  return type !== "int32" || Math.abs(value) <= 2 ** 31 - 1;
}

/** JSON's name of what this is, as Go's errors have it. */
export const kindOf = (value: unknown): string =>
  Array.isArray(value) ? "array" : isObject(value) ? "object" : wordOf(value);

const wordOf = (value: unknown): string =>
  typeof value === "boolean"
    ? "bool"
    : typeof value === "number"
      ? Number.isInteger(value)
        ? "number"
        : `number ${value}`
      : "string";

/** `1h30m`, `10s`: milliseconds. */
export function durationMs(text: string): number {
  const units: Readonly<Record<string, number>> = {
    ns: 1e-6,
    us: 1e-3,
    µs: 1e-3,
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
  };
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g))
    total += Number(amount) * (units[unit ?? ""] ?? 0);
  return text.startsWith("-") ? -total : total;
}
