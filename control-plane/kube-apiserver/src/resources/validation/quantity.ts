import { parseQuantity, QuantityError } from "@coracle/apimachinery";

const seen = new Map<string, bigint>();
const MOST_SEEN = 4096;
const LONGEST_SEEN = 64;

/** A quantity's value in nano units, exact; what is absent or no quantity (decoding refuses those) counts as 0. */
export function quantityNanos(value: string | number | null | undefined): bigint {
  if (value === undefined || value === null) return 0n;
  const source = String(value);
  let nanos = seen.get(source);
  if (nanos === undefined) {
    nanos = nanosOf(source);
    if (seen.size > MOST_SEEN) seen.clear();
    if (source.length <= LONGEST_SEEN) seen.set(source, nanos);
  }
  return nanos;
}

function nanosOf(source: string): bigint {
  try {
    return parseQuantity(source).nano;
  } catch (error) {
    if (error instanceof QuantityError) return 0n;
    throw error;
  }
}

/** Whether the quantity has no fraction. */
export const isWholeQuantity = (value: string | number | undefined): boolean =>
  quantityNanos(value) % 1_000_000_000n === 0n;
