import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  quantityOf,
  subtractQuantities,
  zeroQuantity,
  type Quantity,
} from "../quantity/quantity.ts";

/** How much of each resource: a `ResourceList`, read. */
export type Amounts = ReadonlyMap<string, Quantity>;

/** Reads a `ResourceList`. Throws QuantityError. */
export function readAmounts(list: Readonly<Record<string, string | number>> | undefined | null): Map<string, Quantity> {
  const out = new Map<string, Quantity>();
  for (const [name, text] of Object.entries(list ?? {})) out.set(name, parseQuantity(text));
  return out;
}

/** Writes a `ResourceList`. */
export function writeAmounts(amounts: Amounts): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, quantity] of amounts) out[name] = formatQuantity(quantity);
  return out;
}

/** `a` and `b` together. */
export function addAmounts(a: Amounts, b: Amounts): Map<string, Quantity> {
  const out = new Map(a);
  for (const [name, quantity] of b) {
    const known = out.get(name);
    out.set(name, known === undefined ? quantity : addQuantities(known, quantity));
  }
  return out;
}

/** Adds in place. */
export function addInto(into: Map<string, Quantity>, more: Amounts): void {
  for (const [name, quantity] of more) {
    const known = into.get(name);
    into.set(name, known === undefined ? quantity : addQuantities(known, quantity));
  }
}

/** Raises each amount to at least that of `more`, in place. */
export function raiseInto(into: Map<string, Quantity>, more: Amounts): void {
  for (const [name, quantity] of more) {
    const known = into.get(name);
    if (known === undefined || compareQuantities(quantity, known) > 0) into.set(name, quantity);
  }
}

/** What `a` has more than `b`; what would be negative is zero. */
export function growth(a: Amounts, b: Amounts): Map<string, Quantity> {
  const out = new Map<string, Quantity>();
  for (const [name, quantity] of a) {
    const before = b.get(name);
    const left = before === undefined ? quantity : subtractQuantities(quantity, before);
    out.set(name, left.nano < 0n ? { nano: 0n, format: left.format } : left);
  }
  for (const name of b.keys()) if (!out.has(name)) out.set(name, zeroQuantity);
  return out;
}

/** Only the amounts of these names. */
export function maskAmounts(amounts: Amounts, names: Iterable<string>): Map<string, Quantity> {
  const out = new Map<string, Quantity>();
  for (const name of names) {
    const quantity = amounts.get(name);
    if (quantity !== undefined) out.set(name, quantity);
  }
  return out;
}

/** Without those that are zero. */
export function withoutZeros(amounts: Amounts): Map<string, Quantity> {
  return new Map([...amounts].filter(([, { nano }]) => nano !== 0n));
}

/** The same names with the same values. */
export function equalAmounts(a: Amounts, b: Amounts): boolean {
  if (a.size !== b.size) return false;
  for (const [name, quantity] of a) {
    const other = b.get(name);
    if (other === undefined || other.nano !== quantity.nano) return false;
  }
  return true;
}

/** Names of which there is more than the bound allows; what has no bound is free. */
export function exceeding(amounts: Amounts, bounds: Amounts): string[] {
  return [...amounts].flatMap(([name, quantity]) => {
    const bound = bounds.get(name);
    return bound !== undefined && compareQuantities(quantity, bound) > 0 ? [name] : [];
  });
}

/** `pods=1,requests.cpu=100m`: in order of the names. */
export function printAmounts(amounts: Amounts): string {
  return [...amounts.keys()]
    .toSorted()
    .map((name) => `${name}=${formatQuantity(amounts.get(name)!)}`)
    .join(",");
}

/** One. */
export const ONE: Quantity = quantityOf(1);
