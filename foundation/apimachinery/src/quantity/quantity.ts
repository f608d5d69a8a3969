/** The three ways of writing a quantity; arithmetic keeps the way of its left side. */
export type QuantityFormat = "DecimalSI" | "BinarySI" | "DecimalExponent";

/** A parsed resource quantity, exact. Immutable. */
export interface Quantity {
  /** In billionths: the smallest unit a quantity can have. */
  readonly nano: bigint;
  readonly format: QuantityFormat;
}

/** Text that is no quantity; the message is the API's own. */
export class QuantityError extends Error {
  override readonly name = "QuantityError";
}

const GRAMMAR = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$";
const PATTERN = /^([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*[-+]?\d*)$/;
const NANO = 1_000_000_000n;
const MAX = (2n ** 63n - 1n) * NANO;
const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, "": 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
const DECIMAL_SUFFIX: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(DECIMAL).map(([suffix, exponent]) => [exponent, suffix]),
);
const BINARY_SUFFIX = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/** Zero, as absent quantities count. */
export const zeroQuantity: Quantity = { nano: 0n, format: "DecimalSI" };

/** Parses `500m`, `1.5Gi`, `1e3`; rounds away from zero below one billionth. Throws QuantityError. */
export function parseQuantity(text: string | number): Quantity {
  const source = typeof text === "number" ? String(text) : text;
  const match = PATTERN.exec(source);
  if (match === null) throw new QuantityError(`quantities must match the regular expression '${GRAMMAR}'`);
  const [, sign, whole = "", fraction = "", suffix = ""] = match;
  if (whole === "" && fraction === "") {
    throw new QuantityError(`quantities must match the regular expression '${GRAMMAR}'`);
  }
  const { base, exponent, format } = interpret(suffix);
  const digits = withinReason(whole, fraction);
  if (digits === undefined) return { nano: sign === "-" ? -MAX : MAX, format };
  // value = digits × base^exponent / 10^fraction.length
  let numerator = BigInt(digits.whole + digits.fraction) * NANO;
  let denominator = 10n ** BigInt(digits.fraction.length);
  if (base === 2) numerator <<= BigInt(exponent);
  else if (exponent >= 0) numerator *= 10n ** BigInt(Math.min(exponent, 40));
  else denominator *= 10n ** BigInt(Math.min(-exponent, 400));
  let nano = numerator / denominator;
  if (nano * denominator !== numerator) nano += 1n;
  if (nano > MAX) nano = MAX;
  return { nano: sign === "-" ? -nano : nano, format };
}

/** No exponent counts beyond 400 places: what is further to the left is too large, further to the right only not nothing. */
const MOST_DIGITS = 1_000;

/** The digits that decide the value; undefined: it is larger than any quantity. */
function withinReason(whole: string, fraction: string): { whole: string; fraction: string } | undefined {
  if (whole.length + fraction.length <= MOST_DIGITS) return { whole, fraction };
  const significant = whole.replace(/^0+/, "");
  if (significant.length > MOST_DIGITS) return undefined;
  const rest = fraction.slice(MOST_DIGITS);
  return { whole: significant, fraction: fraction.slice(0, MOST_DIGITS) + (/[1-9]/.test(rest) ? "1" : "") };
}

function interpret(suffix: string): { base: 2 | 10; exponent: number; format: QuantityFormat } {
  const decimal = DECIMAL[suffix];
  if (decimal !== undefined) return { base: 10, exponent: decimal, format: "DecimalSI" };
  const binary = BINARY[suffix];
  if (binary !== undefined) return { base: 2, exponent: binary, format: "BinarySI" };
  if (/^[eE][-+]?\d+$/.test(suffix)) {
    return { base: 10, exponent: Number(suffix.slice(1)), format: "DecimalExponent" };
  }
  throw new QuantityError("unable to parse quantity's suffix");
}

/** The canonical text: no fraction, the largest suffix that fits. */
export function formatQuantity({ nano, format }: Quantity): string {
  if (nano === 0n) return "0";
  const isSmall = nano > -1024n * NANO && nano < 1024n * NANO;
  if (format === "BinarySI" && !isSmall) {
    let value = divideUp(nano, NANO);
    let power = 0;
    while (power < 6 && value % 1024n === 0n) {
      value /= 1024n;
      power++;
    }
    return `${value}${BINARY_SUFFIX[power]}`;
  }
  let value = nano;
  let exponent = -9;
  while (exponent < 18 && value % 1000n === 0n) {
    value /= 1000n;
    exponent += 3;
  }
  if (format === "DecimalExponent") return exponent === 0 ? `${value}` : `${value}e${exponent}`;
  return `${value}${DECIMAL_SUFFIX[exponent]}`;
}

// Whole numbers without trailing zeros, and plain milli values, are canonical already.
const CANONICAL = /^(?:0|[1-9]\d{0,2}(?:[kMGT]|Mi|Gi|Ki)?|[1-9]\d{0,2}m)$/;

/** The canonical text of a quantity as written; `isRoundedToMilli` as resource lists are. Throws QuantityError. */
export function canonicalQuantity(text: string | number, isRoundedToMilli = false): string {
  if (typeof text === "string" && CANONICAL.test(text)) return text;
  const quantity = parseQuantity(text);
  return formatQuantity(isRoundedToMilli ? roundUpToMilli(quantity) : quantity);
}

/** Rounds away from zero to thousandths. */
export function roundUpToMilli(quantity: Quantity): Quantity {
  const milli = divideUp(quantity.nano, 1_000_000n);
  const nano = milli * 1_000_000n;
  return nano === quantity.nano ? quantity : { nano, format: quantity.format };
}

/** Negative, zero or positive as `a` is less than, equal to or greater than `b`. */
export function compareQuantities(a: Quantity, b: Quantity): -1 | 0 | 1 {
  return a.nano < b.nano ? -1 : a.nano > b.nano ? 1 : 0;
}

export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return { nano: a.nano + b.nano, format: a.nano === 0n ? b.format : a.format };
}

export function subtractQuantities(a: Quantity, b: Quantity): Quantity {
  return { nano: a.nano - b.nano, format: a.nano === 0n ? b.format : a.format };
}

/** A whole number as a quantity. */
export function quantityOf(value: number | bigint, format: QuantityFormat = "DecimalSI"): Quantity {
  return { nano: BigInt(value) * NANO, format };
}

/** A number of thousandths as a quantity. */
export function milliQuantityOf(milli: number | bigint, format: QuantityFormat = "DecimalSI"): Quantity {
  return { nano: BigInt(milli) * 1_000_000n, format };
}

const FAST = /^(\d{1,13})(m|Ki|Mi|Gi|k|M|G)?$/;
const FACTOR: Readonly<Record<string, number>> = {
  "": 1,
  Ki: 1024,
  Mi: 1048576,
  Gi: 1073741824,
  k: 1e3,
  M: 1e6,
  G: 1e9,
};

/** The value rounded up to a whole number: bytes, counts. Exact up to 2^53. Absent counts as 0. */
export function quantityValue(text: string | number | undefined): number {
  if (text === undefined) return 0;
  const fast = FAST.exec(String(text));
  if (fast !== null) {
    const [, digits, suffix = ""] = fast;
    const factor = FACTOR[suffix];
    return factor === undefined ? Math.ceil(Number(digits) / 1000) : Number(digits) * factor;
  }
  return Number(divideUp(parseQuantity(text).nano, NANO));
}

/** The value in thousandths, rounded up: CPU. Exact up to 2^53. Absent counts as 0. */
export function quantityMilliValue(text: string | number | undefined): number {
  if (text === undefined) return 0;
  const fast = FAST.exec(String(text));
  if (fast !== null) {
    const [, digits, suffix = ""] = fast;
    const factor = FACTOR[suffix];
    return factor === undefined ? Number(digits) : Number(digits) * factor * 1000;
  }
  return Number(divideUp(parseQuantity(text).nano, 1_000_000n));
}

/** Division rounding away from zero. */
function divideUp(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return quotient * by === value ? quotient : value < 0n ? quotient - 1n : quotient + 1n;
}
