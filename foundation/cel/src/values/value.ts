import type { CelType } from "../types/cel-type.ts";

/**
 * A value of an expression. Integers are numbers while they are safe, else bigints; text, booleans and null are
 * themselves; everything else is one of the classes below. Errors are values, too: `||` and `&&` absorb them.
 */
export type CelValue =
  | null
  | boolean
  | string
  | number
  | bigint
  | CelUint
  | CelDouble
  | CelBytes
  | CelDuration
  | CelTimestamp
  | CelTypeValue
  | CelOptional
  | CelList
  | CelMap
  | CelOpaque
  | CelError;

/** Why an expression has no value. */
export class CelError {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

/** An unsigned 64-bit integer. */
export class CelUint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

/** A double, apart from integers, which are plain numbers. */
export class CelDouble {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A sequence of bytes. */
export class CelBytes {
  readonly value: Uint8Array;
  constructor(value: Uint8Array) {
    this.value = value;
  }
}

/** A span of time in nanoseconds. */
export class CelDuration {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

/** A moment in nanoseconds since 1970; `offset` minutes are kept for printing. */
export class CelTimestamp {
  readonly nanos: bigint;
  readonly offset: number;
  constructor(nanos: bigint, offset = 0) {
    this.nanos = nanos;
    this.offset = offset;
  }
}

/** A type as a value, such as what `type(1)` gives. */
export class CelTypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A value that may be missing. */
export class CelOptional {
  readonly value: CelValue | undefined;
  constructor(value: CelValue | undefined) {
    this.value = value;
  }
}

/** The optional without a value. */
export const OPTIONAL_NONE = new CelOptional(undefined);

/** A list; elements may be converted only when they are asked for. */
export abstract class CelList {
  abstract get size(): number;
  abstract at(index: number): CelValue;
}

/** A map; values may be converted only when they are asked for. */
export abstract class CelMap {
  abstract get size(): number;
  /** The value, an error, or undefined when there is no such key. */
  abstract find(key: CelValue): CelValue | undefined;
  abstract keys(): Iterable<CelValue>;
  /** What `in` says; a map may find more than it has. */
  has(key: CelValue): boolean | CelError {
    const found = this.find(key);
    return found instanceof CelError ? found : found !== undefined;
  }
}

/** A value that only functions of a library understand. */
export abstract class CelOpaque {
  abstract readonly type: CelType;
  abstract equals(other: CelOpaque): boolean;
  /** The size the cost of comparing counts; 1 for most. */
  get size(): number {
    return 1;
  }
}

/** A list made of values. */
export class ArrayList extends CelList {
  readonly values: CelValue[];
  constructor(values: CelValue[]) {
    super();
    this.values = values;
  }
  get size(): number {
    return this.values.length;
  }
  at(index: number): CelValue {
    return this.values[index]!;
  }
}

/** The list that a comprehension is filling: adding to it changes it. */
export class GrowingList extends ArrayList {}

/** A map made of values. */
export class EntryMap extends CelMap {
  readonly entries: Map<unknown, readonly [CelValue, CelValue]>;
  constructor(entries: Map<unknown, readonly [CelValue, CelValue]> = new Map()) {
    super();
    this.entries = entries;
  }
  get size(): number {
    return this.entries.size;
  }
  find(key: CelValue): CelValue | undefined {
    return this.entries.get(mapKey(key))?.[1];
  }
  *keys(): Iterable<CelValue> {
    for (const [key] of this.entries.values()) yield key;
  }
  set(key: CelValue, value: CelValue): void {
    this.entries.set(mapKey(key), [key, value]);
  }
}

/** The map that a comprehension is filling: inserting changes it. */
export class GrowingMap extends EntryMap {}

/** What a key is found by: numbers of different kinds and the same value are the same key. */
export function mapKey(key: CelValue): unknown {
  if (key instanceof CelUint) return normalInt(key.value);
  if (key instanceof CelDouble) {
    return Number.isInteger(key.value) ? normalInt(BigInt(key.value)) : key;
  }
  return key;
}

export const INT_MIN = -(2n ** 63n);
export const INT_MAX = 2n ** 63n - 1n;
export const UINT_MAX = 2n ** 64n - 1n;

/** The integer as it is kept: a number where that is exact. */
export function normalInt(value: bigint): number | bigint {
  return value <= 9007199254740991n && value >= -9007199254740991n ? Number(value) : value;
}

/** The integer, or the error when it has more than 64 bits. */
export function checkedInt(value: bigint): number | bigint | CelError {
  return value < INT_MIN || value > INT_MAX ? new CelError("integer overflow") : normalInt(value);
}

/** Whether the value is an integer. */
export function isInt(value: CelValue): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

const NAMES = new Map<unknown, string>([
  [CelUint, "uint"],
  [CelDouble, "double"],
  [CelBytes, "bytes"],
  [CelDuration, "google.protobuf.Duration"],
  [CelTimestamp, "google.protobuf.Timestamp"],
  [CelTypeValue, "type"],
  [CelOptional, "optional_type"],
  [CelError, "error"],
]);

/** The name of the value's type at run time. */
export function typeNameOf(value: CelValue): string {
  switch (typeof value) {
    case "string":
      return "string";
    case "boolean":
      return "bool";
    case "number":
    case "bigint":
      return "int";
    default:
      if (value === null) return "null_type";
      if (value instanceof CelList) return "list";
      if (value instanceof CelMap) return "map";
      if (value instanceof CelOpaque) return value.type.name;
      return NAMES.get(value.constructor) ?? "unknown";
  }
}

/** The size that costs are counted by; 1 for what has none. */
export function sizeForCost(value: CelValue | undefined): number {
  if (typeof value === "string") return codePoints(value);
  if (value instanceof CelList || value instanceof CelMap || value instanceof CelOpaque) return value.size;
  if (value instanceof CelBytes) return value.value.length;
  if (value instanceof CelOptional && value.value !== undefined) return sizeForCost(value.value);
  return 1;
}

/** How many code points the text has. */
export function codePoints(text: string): number {
  let count = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit >= 0xd800 && unit < 0xdc00 && index + 1 < text.length) {
      const next = text.charCodeAt(index + 1);
      if (next >= 0xdc00 && next < 0xe000) {
        count--;
        index++;
      }
    }
  }
  return count;
}

/** The value as error messages show it. */
export function displayValue(value: CelValue): string {
  if (typeof value === "string") return value;
  if (value === null) return "null";
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelDouble) return formatDouble(value.value);
  if (value instanceof CelError) return value.message;
  if (value instanceof CelTypeValue) return value.name;
  if (typeof value === "object") return typeNameOf(value);
  return String(value);
}

/** A double the way Go prints it; from `large` on as a power of ten. */
export function formatDouble(value: number, large = 21): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (Object.is(value, -0)) return "-0";
  if (value === 0) return "0";
  const [mantissa = "", exponentText = "0"] = value.toExponential().split("e");
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= large) {
    const sign = exponent < 0 ? "-" : "+";
    return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return plainDouble(value);
}

/** A double without exponent and with as many digits as it needs. */
export function plainDouble(value: number): string {
  const text = String(value);
  if (!text.includes("e")) return text;
  const [mantissa = "", exponentText = "0"] = text.split("e");
  const exponent = Number(exponentText);
  const sign = mantissa.startsWith("-") ? "-" : "";
  const [whole = "", fraction = ""] = mantissa.replace("-", "").split(".");
  const digits = whole + fraction;
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - whole.length)}${digits}`;
  return sign + digits.padEnd(whole.length + exponent, "0");
}
