import type { Call, Expr } from "../syntax/expression.ts";
import type { CelIssue } from "../syntax/source.ts";
import { compareText } from "../values/compare.ts";
import { toDouble, toText } from "../values/convert.ts";
import {
  CelBytes,
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  CelMap,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  isInt,
  typeNameOf,
  type CelValue,
} from "../values/value.ts";

type Clause = "s" | "d" | "f" | "e" | "b" | "x" | "X" | "o";

interface Part {
  readonly clause: Clause;
  readonly precision: number | undefined;
}

/** The text and clauses of a format, or why it is none. */
function parseFormat(format: string): Array<string | Part> | string {
  const parts: Array<string | Part> = [];
  let text = "";
  for (let at = 0; at < format.length; at++) {
    if (format[at] !== "%") {
      text += format[at]!;
      continue;
    }
    if (at + 1 >= format.length) return "unexpected end of string";
    if (format[at + 1] === "%") {
      text += "%";
      at++;
      continue;
    }
    if (text !== "") parts.push(text);
    text = "";
    const clause = parseClause(format, at + 1);
    if (typeof clause === "string") return clause;
    parts.push(clause.part);
    at = clause.end;
  }
  if (text !== "") parts.push(text);
  return parts;
}

function parseClause(format: string, start: number): { part: Part; end: number } | string {
  let at = start;
  let precision: number | undefined;
  if (format[at] === ".") {
    const digits = /^\d*/.exec(format.slice(at + 1))![0];
    at += 1 + digits.length;
    if (at >= format.length)
      return "could not parse formatting clause: error while parsing precision: could not find end of precision specifier";
    if (digits === "") {
      return 'could not parse formatting clause: error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax';
    }
    precision = Number(digits);
  }
  const clause = format[at];
  if (clause === undefined) return "unexpected end of string";
  if (!"sdfebxXo".includes(clause))
    return `could not parse formatting clause: unrecognized formatting clause "${clause}"`;
  return { part: { clause: clause as Clause, precision }, end: at };
}

/** `format.format(args)`. */
export function formatText(format: string, args: CelList): CelValue {
  const parts = parseFormat(format);
  if (typeof parts === "string") return new CelError(parts);
  let result = "";
  let next = 0;
  for (const part of parts) {
    if (typeof part === "string") {
      result += part;
      continue;
    }
    if (next >= args.size) return new CelError(`index ${next} out of range`);
    const shown = formatClause(part, args.at(next++));
    if (shown instanceof CelError) {
      return new CelError(
        `could not evaluate formatting clause: ${shown.message}`.replace(
          /^could not evaluate formatting clause: /,
          "error during formatting: ",
        ),
      );
    }
    result += shown;
  }
  return result;
}

const COMPLAINTS: Readonly<Record<Clause, (type: string) => string>> = {
  s: (type) =>
    `string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ${type}`,
  d: (type) => `decimal clause can only be used on integers, was given ${type}`,
  f: (type) => `fixed-point clause can only be used on doubles, was given ${type}`,
  e: (type) => `scientific clause can only be used on doubles, was given ${type}`,
  b: (type) => `only integers and bools can be formatted as binary, was given ${type}`,
  x: (type) => `only integers, byte buffers, and strings can be formatted as hex, was given ${type}`,
  X: (type) => `only integers, byte buffers, and strings can be formatted as hex, was given ${type}`,
  o: (type) => `octal clause can only be used on integers, was given ${type}`,
};

function formatClause({ clause, precision = 6 }: Part, value: CelValue): string | CelError {
  const integer = isInt(value) ? BigInt(value) : value instanceof CelUint ? value.value : undefined;
  const complain = (): CelError => new CelError(COMPLAINTS[clause](typeNameOf(value)));
  switch (clause) {
    case "s":
      return formatAny(value) ?? complain();
    case "d":
      return integer === undefined ? complain() : String(integer);
    case "b":
      if (typeof value === "boolean") return value ? "1" : "0";
      return integer === undefined ? complain() : integer.toString(2);
    case "o":
      return integer === undefined ? complain() : integer.toString(8);
    case "x":
    case "X": {
      const bytes =
        typeof value === "string" ? Buffer.from(value) : value instanceof CelBytes ? value.value : undefined;
      const hex = bytes === undefined ? integer?.toString(16) : Buffer.from(bytes).toString("hex");
      if (hex === undefined) return complain();
      return clause === "X" ? hex.toUpperCase() : hex;
    }
    case "f":
    case "e": {
      const isSpecial = value === "NaN" || value === "Infinity" || value === "-Infinity";
      const double = isSpecial ? toDouble(value) : value;
      if (!(double instanceof CelDouble)) return complain();
      return clause === "f" ? fixed(double.value, precision) : scientific(double.value, precision);
    }
  }
}

function special(value: number): string | undefined {
  if (Number.isNaN(value)) return "NaN";
  if (value === Infinity) return "∞";
  return value === -Infinity ? "-∞" : undefined;
}

const MOST_DIGITS = 100;

/** As many digits as asked for; halves go to the even digit. */
function exactFixed(value: number, precision: number): string {
  if (Math.abs(value) >= 1e21) return BigInt(value).toString() + (precision > 0 ? `.${"0".repeat(precision)}` : "");
  const digits = Math.min(precision, 60);
  const exact = value.toFixed(MOST_DIGITS);
  const rest = exact.slice(exact.indexOf(".") + 1 + digits);
  const truncated = exact.slice(0, exact.indexOf(".") + 1 + digits).replace(/\.$/, "");
  const isHalf = /^50*$/.test(rest);
  return isHalf && /[02468]$/.test(truncated) ? truncated : value.toFixed(digits);
}

function fixed(value: number, precision: number): string {
  const named = special(value);
  if (named !== undefined) return named;
  const [whole = "", fraction] = exactFixed(value, precision).split(".");
  const grouped = whole.replaceAll(/\B(?=(\d{3})+(?!\d))/g, ",");
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** Upstream takes what is written as precision for the least width. */
function scientific(value: number, width: number): string {
  const named = special(value);
  if (named !== undefined) return named.padStart(width);
  const [mantissa = "", exponent = "0"] = value.toExponential(6).split("e");
  const size = Math.abs(Number(exponent)).toString().padStart(2, "0");
  const superscript = Array.from(size)
    .map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)])
    .join("");
  return `${mantissa}×10${Number(exponent) < 0 ? "⁻" : ""}${superscript}`.padStart(width);
}

/** A value under `%s`; undefined for kinds that have no text. */
function formatAny(value: CelValue): string | undefined {
  if (value === null) return "null";
  if (value instanceof CelList) return formatList(value);
  if (value instanceof CelMap) return formatMap(value);
  const text = toText(value);
  return typeof text === "string" ? text : undefined;
}

function formatList(list: CelList): string | undefined {
  const parts: string[] = [];
  for (let index = 0; index < list.size; index++) {
    const part = formatInside(list.at(index));
    if (part === undefined) return undefined;
    parts.push(part);
  }
  return `[${parts.join(", ")}]`;
}

function formatMap(map: CelMap): string | undefined {
  const entries: Array<readonly [string, string]> = [];
  for (const key of map.keys()) {
    const shownKey = formatInside(key);
    const shown = formatInside(map.find(key)!);
    if (shownKey === undefined || shown === undefined) return undefined;
    entries.push([shownKey, shown]);
  }
  entries.sort(([a], [b]) => compareText(a, b));
  return `{${entries.map(([key, value]) => `${key}:${value}`).join(", ")}}`;
}

function formatInside(value: CelValue): string | undefined {
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof CelBytes) return `b${JSON.stringify(Buffer.from(value.value).toString())}`;
  if (value instanceof CelDouble) {
    if (Number.isFinite(value.value)) return exactFixed(value.value, 6);
    return JSON.stringify(Number.isNaN(value.value) ? "NaN" : value.value > 0 ? "+Inf" : "-Inf");
  }
  if (value instanceof CelTimestamp) return `timestamp(${JSON.stringify(toText(value))})`;
  if (value instanceof CelDuration) return `duration(${JSON.stringify(toText(value))})`;
  if (value instanceof CelTypeValue) return value.name;
  return formatAny(value);
}

const ALLOWED: Readonly<Record<Clause, ReadonlySet<string>>> = {
  s: new Set([
    "list",
    "map",
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "timestamp",
    "bytes",
    "duration",
    "type",
    "null",
  ]),
  d: new Set(["int", "uint"]),
  f: new Set(["double", "string"]),
  e: new Set(["double", "string"]),
  b: new Set(["int", "uint", "bool"]),
  x: new Set(["int", "uint", "string", "bytes"]),
  X: new Set(["int", "uint", "string", "bytes"]),
  o: new Set(["int", "uint"]),
};

/** Finds formats that do not fit the list literal they are given. */
export function checkFormatCall(call: Call, issues: CelIssue[]): void {
  const [args] = call.args;
  if (call.name !== "format" || call.target === undefined || call.args.length !== 1 || args?.kind !== "list") return;
  if (call.target.kind !== "literal" || typeof call.target.value !== "string") return;
  const parts = parseFormat(call.target.value);
  if (typeof parts === "string") {
    issues.push({ message: parts, at: call.at });
    return;
  }
  let next = 0;
  for (const part of parts) {
    if (typeof part === "string") continue;
    const arg = args.elements[next];
    if (arg === undefined) {
      issues.push({ message: `index ${next} out of range`, at: call.at });
      return;
    }
    next++;
    const bad = badPart(part.clause, arg);
    if (bad === undefined) continue;
    issues.push({ message: `error during formatting: ${COMPLAINTS[part.clause](bad.type!.name)}`, at: bad.at });
    return;
  }
  if (args.elements.length > next) {
    const counts = `expected ${next}, got ${args.elements.length}`;
    issues.push({ message: `too many arguments supplied to string.format (${counts})`, at: call.at });
  }
}

function badPart(clause: Clause, arg: Expr): Expr | undefined {
  const { kind } = arg.type!;
  if (kind !== "dyn" && !ALLOWED[clause].has(kind)) return arg;
  if (clause !== "s") return undefined;
  const inner =
    arg.kind === "list"
      ? arg.elements
      : arg.kind === "map"
        ? arg.entries.flatMap(({ key, value }) => [key, value])
        : [];
  for (const part of inner) {
    const bad = badPart(clause, part);
    if (bad !== undefined) return bad;
  }
  return undefined;
}
