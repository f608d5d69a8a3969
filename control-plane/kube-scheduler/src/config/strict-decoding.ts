import { isObject } from "@coracle/apimachinery";

/** What a field may hold. `any` is taken as it is. */
export type Shape =
  | "string"
  | "boolean"
  | "int32"
  | "int64"
  | "float32"
  | "duration"
  | "any"
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly fields: Readonly<Record<string, Shape>> };

/** Go's names for what a field holds, as its errors have them. */
const GO_TYPES = { string: "string", boolean: "bool", int32: "int32", int64: "int64", float32: "float32" } as const;
const DURATION = /^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*$/;

/**
 * Checks a parsed document against its shape: throws for a value of another kind, and adds fields that nobody knows to
 * `unknown`, with their paths.
 */
export function checkShape(value: unknown, shape: Shape, kind: string, unknown: string[], path = ""): void {
  if (value === null || value === undefined || shape === "any") return;
  const refuse = (goType: string): never => {
    const what = Array.isArray(value) ? "array" : isObject(value) ? "object" : wordOf(value);
    const field = `${kind}${path === "" ? "" : `.${path.replaceAll(/\[\d+\]/g, "")}`}`;
    throw new Error(`json: cannot unmarshal ${what} into Go struct field ${field} of type ${goType}`);
  };
  if (typeof shape === "string") {
    if (shape === "duration") {
      if (typeof value !== "string") refuse("string");
      else if (value !== "0" && !DURATION.test(value))
        throw new Error(`time: invalid duration ${JSON.stringify(value)}`);
      return;
    }
    const isRight =
      shape === "string"
        ? typeof value === "string"
        : shape === "boolean"
          ? typeof value === "boolean"
          : typeof value === "number" && (shape === "float32" || Number.isInteger(value));
    if (!isRight) refuse(GO_TYPES[shape]);
    if (shape === "int32" && Math.abs(value as number) > 2 ** 31 - 1) refuse("int32");
    return;
  }
  if ("list" in shape) {
    if (!Array.isArray(value)) return refuse("[]");
    for (const [i, item] of value.entries()) checkShape(item, shape.list, kind, unknown, `${path}[${i}]`);
    return;
  }
  if (!isObject(value)) return refuse("object");
  for (const [name, member] of Object.entries(value)) {
    const at = path === "" ? name : `${path}.${name}`;
    const inner = "map" in shape ? shape.map : shape.fields[name];
    if (inner === undefined) unknown.push(at);
    else checkShape(member, inner, kind, unknown, at);
  }
}

const wordOf = (value: unknown): string =>
  typeof value === "boolean"
    ? "bool"
    : typeof value === "number"
      ? Number.isInteger(value)
        ? "number"
        : `number ${value}`
      : "string";

/** Upstream's message for fields nobody knows; undefined when there are none. */
export function strictError(unknown: readonly string[]): string | undefined {
  if (unknown.length === 0) return undefined;
  return `strict decoding error: ${unknown.map((path) => `unknown field ${JSON.stringify(path)}`).join(", ")}`;
}

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
