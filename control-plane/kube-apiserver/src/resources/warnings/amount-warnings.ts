import type { PersistentVolumeClaimSpec } from "@coracle/api/core/v1";
import { canonicalQuantity } from "@coracle/apimachinery";
import type { Decoded } from "../validation/decoded.ts";
import { quantityNanos } from "../validation/quantity.ts";

type Amounts = Readonly<Record<string, string | number | undefined>> | undefined;

/** Counted in thousandths, of which what is less is one. */
const isWhole = (value: string | number): boolean => {
  const nanos = quantityNanos(value);
  return nanos % 1_000_000_000n === 0n || ((nanos + 999_999n) / 1_000_000n) % 1000n === 0n;
};

/** Parts of a byte, of which there are none. */
export function warningsForBytes(path: string, amounts: Amounts, names: readonly string[]): string[] {
  if (amounts === undefined) return [];
  const out: string[] = [];
  for (const name of names) {
    const value = amounts[name];
    if (value !== undefined && !isWhole(value))
      out.push(
        `${path}[${name}]: fractional byte value ${JSON.stringify(canonicalQuantity(value, true))} is invalid, must be an integer`,
      );
  }
  return out;
}

const STORAGE: readonly string[] = ["storage"];

/** What to say of a claim's size. */
export const warningsForClaimSpec = (path: string, spec: Decoded<PersistentVolumeClaimSpec> | undefined): string[] => [
  ...warningsForBytes(`${path}.resources.requests`, spec?.resources?.requests, STORAGE),
  ...warningsForBytes(`${path}.resources.limits`, spec?.resources?.limits, STORAGE),
];
