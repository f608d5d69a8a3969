import {
  durationSeconds,
  formatTimestamp,
  checkedTimestamp,
  floorDivide,
  parseGoDuration,
  parseRfc3339,
  SECOND,
} from "./time.ts";
import {
  CelBytes,
  CelDouble,
  CelDuration,
  CelError,
  CelOpaque,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  INT_MAX,
  INT_MIN,
  formatDouble,
  isInt,
  normalInt,
  typeNameOf,
  UINT_MAX,
  type CelValue,
} from "./value.ts";

const UINT_OVERFLOW = new CelError("unsigned integer overflow");
const INT_OVERFLOW = new CelError("integer overflow");

function failed(value: CelValue, to: string): CelError {
  return new CelError(`type conversion error from '${typeNameOf(value)}' to '${to}'`);
}

/** `int(value)`. */
export function toInt(value: CelValue): CelValue {
  if (isInt(value)) return value;
  if (typeof value === "string") {
    if (!/^[+-]?\d+$/.test(value)) return failed(value, "int");
    const parsed = BigInt(value.replace(/^\+/, ""));
    return parsed < INT_MIN || parsed > INT_MAX ? failed(value, "int") : normalInt(parsed);
  }
  if (value instanceof CelUint) return value.value > INT_MAX ? INT_OVERFLOW : normalInt(value.value);
  if (value instanceof CelDouble) {
    const { value: double } = value;
    if (!Number.isFinite(double) || double <= -(2 ** 63) || double >= 2 ** 63) return INT_OVERFLOW;
    return normalInt(BigInt(Math.trunc(double)));
  }
  if (value instanceof CelTimestamp) return normalInt(floorDivide(value.nanos, SECOND));
  if (value instanceof CelDuration) return normalInt(value.nanos);
  return failed(value, "int");
}

/** `uint(value)`. */
export function toUint(value: CelValue): CelValue {
  if (value instanceof CelUint) return value;
  if (isInt(value)) return value < 0 ? UINT_OVERFLOW : new CelUint(BigInt(value));
  if (typeof value === "string") {
    if (!/^\d+$/.test(value)) return failed(value, "uint");
    const parsed = BigInt(value);
    return parsed > UINT_MAX ? failed(value, "uint") : new CelUint(parsed);
  }
  if (value instanceof CelDouble) {
    const { value: double } = value;
    if (!Number.isFinite(double) || double < 0 || double >= 2 ** 64) return UINT_OVERFLOW;
    return new CelUint(BigInt(Math.trunc(double)));
  }
  return failed(value, "uint");
}

const FLOAT = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)$/i;

/** `double(value)`. */
export function toDouble(value: CelValue): CelValue {
  if (value instanceof CelDouble) return value;
  if (isInt(value)) return new CelDouble(Number(value));
  if (value instanceof CelUint) return new CelDouble(Number(value.value));
  if (typeof value === "string") {
    if (!FLOAT.test(value)) return failed(value, "double");
    const lower = value.toLowerCase().replace(/^[+-]/, "");
    const sign = value.startsWith("-") ? -1 : 1;
    if (lower.startsWith("inf")) return new CelDouble(sign * Infinity);
    if (lower === "nan") return new CelDouble(Number.NaN);
    const parsed = Number(value);
    return Number.isFinite(parsed) ? new CelDouble(parsed) : failed(value, "double");
  }
  return failed(value, "double");
}

const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "F", "false", "FALSE", "False"]);

/** `bool(value)`. */
export function toBool(value: CelValue): CelValue {
  if (typeof value === "boolean") return value;
  if (typeof value === "string" && TRUE.has(value)) return true;
  if (typeof value === "string" && FALSE.has(value)) return false;
  return failed(value, "bool");
}

/** `string(value)`. */
export function toText(value: CelValue): CelValue {
  if (typeof value === "string") return value;
  if (typeof value === "boolean" || isInt(value)) return String(value);
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelDouble) return formatDouble(value.value, 6);
  if (value instanceof CelBytes) {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value.value);
    } catch {
      return new CelError("invalid UTF-8 in bytes, cannot convert to string");
    }
  }
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return `${durationSeconds(value.nanos)}s`;
  if (value instanceof CelTypeValue) return value.name;
  return failed(value, "string");
}

/** `bytes(value)`. */
export function toBytes(value: CelValue): CelValue {
  if (value instanceof CelBytes) return value;
  return typeof value === "string" ? new CelBytes(Buffer.from(value, "utf8")) : failed(value, "bytes");
}

/** `duration(value)`. */
export function toDuration(value: CelValue): CelValue {
  if (value instanceof CelDuration) return value;
  const nanos = typeof value === "string" ? parseGoDuration(value) : undefined;
  return nanos === undefined ? failed(value, "google.protobuf.Duration") : new CelDuration(nanos);
}

/** `timestamp(value)`. */
export function toTimestamp(value: CelValue): CelValue {
  if (value instanceof CelTimestamp) return value;
  if (isInt(value)) return checkedTimestamp(BigInt(value) * SECOND);
  const parsed = typeof value === "string" ? parseRfc3339(value) : undefined;
  return parsed === undefined
    ? failed(value, "google.protobuf.Timestamp")
    : checkedTimestamp(parsed.nanos, parsed.offset);
}

/** Whether the value is what its type is without anything in it. */
export function isZero(value: CelValue): boolean {
  if (value === null || value === false || value === "" || value === 0) return true;
  if (typeof value !== "object") return false;
  if (value instanceof CelDouble) return value.value === 0;
  if (value instanceof CelUint) return value.value === 0n;
  if (value instanceof CelBytes) return value.value.length === 0;
  if (value instanceof CelDuration) return value.nanos === 0n;
  if (value instanceof CelTimestamp) return value.nanos === -62135596800n * SECOND;
  if (value instanceof CelOpaque || value instanceof CelError || value instanceof CelTypeValue) return false;
  return "size" in value ? value.size === 0 : value.value === undefined || isZero(value.value);
}
