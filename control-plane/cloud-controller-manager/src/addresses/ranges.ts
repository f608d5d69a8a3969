import { formatIp, parseCidr, parseIp } from "@coracle/apimachinery";

/** IPv4 or IPv6. */
export type Family = 4 | 6;

/** Undefined: it is no address. */
export const familyOf = (address: string): Family | undefined => parseIp(address)?.family;

/** Addresses from one to another, both included. */
export interface AddressRange {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

/** Reads `ADDRESS`, `ADDRESS-ADDRESS` or `ADDRESS/PREFIX`; of a block the addresses that hosts may have. Throws. */
export function parseRange(text: string): AddressRange {
  const fail = (): never => {
    throw new Error(`${JSON.stringify(text)} is no range of addresses (ADDRESS, ADDRESS-ADDRESS or ADDRESS/PREFIX)`);
  };
  const block = blockOf(text);
  if (block !== undefined) {
    // The network's own address and that of all hosts belong to nobody.
    const isWide = block.last - block.first > 1n;
    return isWide ? { ...block, first: block.first + 1n, last: block.last - (block.family === 4 ? 1n : 0n) } : block;
  }
  const [from = "", to = from, ...rest] = text.split("-").map((part) => part.trim());
  const first = parseIp(from);
  const last = parseIp(to);
  if (first === undefined || last === undefined || rest.length > 0) return fail();
  if (first.family !== last.family || first.value > last.value) return fail();
  return { family: first.family, first: first.value, last: last.value };
}

function blockOf(text: string): AddressRange | undefined {
  const cidr = parseCidr(text);
  if (cidr === undefined) return undefined;
  const size = 1n << BigInt((cidr.family === 4 ? 32 : 128) - cidr.prefixLength);
  return { family: cidr.family, first: cidr.network, last: cidr.network + size - 1n };
}

/** Whether the block `cidr` begins or ends within `range`, another block. */
export function isWithin(cidr: string, range: string): boolean {
  const block = blockOf(cidr);
  const outer = blockOf(range);
  if (block === undefined || outer === undefined || block.family !== outer.family) return false;
  const holds = (value: bigint): boolean => value >= outer.first && value <= outer.last;
  return holds(block.first) || holds(block.last);
}

/** Whether one of the ranges has the address. */
export function holdsAddress(ranges: readonly AddressRange[], address: string): boolean {
  const ip = parseIp(address);
  return (
    ip !== undefined &&
    ranges.some(({ family, first, last }) => family === ip.family && ip.value >= first && ip.value <= last)
  );
}

/** The first address that is not taken; undefined: there is none. */
export function firstFree(ranges: readonly AddressRange[], isTaken: (address: string) => boolean): string | undefined {
  for (const { family, first, last } of ranges)
    for (let value = first; value <= last; value++) {
      const address = formatIp(family, value);
      if (!isTaken(address)) return address;
    }
  return undefined;
}
