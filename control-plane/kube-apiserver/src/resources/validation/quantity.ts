/** Quantities in nano units, exact; the schema engine has refused what is no quantity. */

const SUFFIXES: Readonly<Record<string, bigint>> = {
  n: 1n,
  u: 1000n,
  m: 1_000_000n,
  "": 10n ** 9n,
  k: 10n ** 12n,
  M: 10n ** 15n,
  G: 10n ** 18n,
  T: 10n ** 21n,
  P: 10n ** 24n,
  E: 10n ** 27n,
  Ki: 2n ** 10n * 10n ** 9n,
  Mi: 2n ** 20n * 10n ** 9n,
  Gi: 2n ** 30n * 10n ** 9n,
  Ti: 2n ** 40n * 10n ** 9n,
  Pi: 2n ** 50n * 10n ** 9n,
  Ei: 2n ** 60n * 10n ** 9n,
};
const GRAMMAR = /^([+-]?)(\d*)(?:\.(\d*))?(?:([eE][+-]?\d+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)$/;

const seen = new Map<string, bigint>();

/** A quantity's value in nano units, rounded up; what does not parse counts as 0. */
export function quantityNanos(value: string | number | null | undefined): bigint {
  if (value === undefined || value === null) return 0n;
  const source = String(value);
  let nanos = seen.get(source);
  if (nanos === undefined) {
    nanos = parse(source);
    if (seen.size > 4096) seen.clear();
    seen.set(source, nanos);
  }
  return nanos;
}

function parse(source: string): bigint {
  const match = GRAMMAR.exec(source);
  if (match === null) return 0n;
  const [, sign, whole = "", fraction = "", exponent, suffix = ""] = match;
  let scale = SUFFIXES[suffix] ?? 10n ** 9n;
  let divisor = 10n ** BigInt(fraction.length);
  if (exponent !== undefined) {
    const power = Number(exponent.slice(1));
    if (power >= 0) scale *= 10n ** BigInt(Math.min(power, 64));
    else divisor *= 10n ** BigInt(Math.min(-power, 64));
  }
  const product = BigInt(`${whole}${fraction}` || "0") * scale;
  const nanos = (product + divisor - 1n) / divisor;
  return sign === "-" ? -nanos : nanos;
}

const MILLI = 1_000_000n;
/** Whether the quantity has no fraction. */
export const isWholeQuantity = (value: string | number | undefined): boolean =>
  quantityNanos(value) % 1_000_000_000n === 0n;
/** Rounded up to whole milli units. */
export const quantityMillis = (value: string | number | undefined): bigint => {
  const nanos = quantityNanos(value);
  return nanos >= 0n ? (nanos + MILLI - 1n) / MILLI : nanos / MILLI;
};
