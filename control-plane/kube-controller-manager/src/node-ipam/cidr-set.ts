import type { RangeObserver } from "./monitor.ts";

/** An address range. Numbers are big so that both families are the same code. */
export interface Cidr {
  readonly isIpv6: boolean;
  readonly base: bigint;
  readonly prefix: number;
}

const bitsOf = (cidr: Pick<Cidr, "isIpv6">): number => (cidr.isIpv6 ? 128 : 32);

/** Reads `10.0.0.0/16` or `fd00::/48`; undefined when it is none. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = "", prefixText = ""] = text.trim().split("/");
  const isIpv6 = address.includes(":");
  const value = isIpv6 ? parseIpv6(address) : parseIpv4(address);
  const prefix = Number(prefixText);
  if (value === undefined || !/^\d+$/.test(prefixText) || prefix > bitsOf({ isIpv6 })) return undefined;
  const host = BigInt(bitsOf({ isIpv6 }) - prefix);
  return { isIpv6, base: (value >> host) << host, prefix };
}

export function formatCidr({ isIpv6, base, prefix }: Cidr): string {
  if (!isIpv6) return `${[24n, 16n, 8n, 0n].map((shift) => (base >> shift) & 255n).join(".")}/${prefix}`;
  const groups = Array.from({ length: 8 }, (_, i) => ((base >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const zeros = [...groups.join(":").matchAll(/(?:^|:)(?:0(?::|$)){2,}/g)].toSorted(
    (a, b) => b[0].length - a[0].length,
  )[0];
  const text = zeros === undefined ? groups.join(":") : groups.join(":").replace(zeros[0], "::");
  return `${text}/${prefix}`;
}

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return undefined;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseIpv6(text: string): bigint | undefined {
  const [head = "", tail, more] = text.split("::");
  if (more !== undefined) return undefined;
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 0) return undefined;
  const groups = [...left, ...Array.from({ length: missing }, () => "0"), ...right];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** Hands out the sub-ranges of one range, lowest free one first after the last handed out, and never one twice. */
export class CidrSet {
  readonly #range: Cidr;
  readonly #nodePrefix: number;
  readonly #used = new Set<number>();
  readonly #size: number;
  #next = 0;
  /** Told of what is taken and given back. */
  observer: RangeObserver | undefined;

  constructor(range: Cidr, nodePrefix: number) {
    if (nodePrefix < range.prefix) throw new Error(`a /${nodePrefix} does not fit into ${formatCidr(range)}`);
    this.#range = range;
    this.#nodePrefix = nodePrefix;
    this.#size = 2 ** Math.min(nodePrefix - range.prefix, 24);
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  get used(): number {
    return this.#used.size;
  }

  get isIpv6(): boolean {
    return this.#range.isIpv6;
  }

  /** The next free one; undefined when all are in use. */
  allocate(): string | undefined {
    for (let i = 0; i < this.#size; i++) {
      const index = (this.#next + i) % this.#size;
      if (this.#used.has(index)) continue;
      this.#take(index);
      this.observer?.searched(i);
      this.#next = (index + 1) % this.#size;
      return formatCidr({ isIpv6: this.isIpv6, base: this.#baseOf(index), prefix: this.#nodePrefix });
    }
    return undefined;
  }

  /** Marks everything that overlaps `text` as in use. */
  occupy(text: string): void {
    for (const index of this.#indexesOf(text)) this.#take(index);
  }

  #take(index: number): void {
    if (this.#used.has(index)) return;
    this.#used.add(index);
    this.observer?.allocated();
  }

  release(text: string): void {
    for (const index of this.#indexesOf(text)) if (this.#used.delete(index)) this.observer?.released();
  }

  #baseOf(index: number): bigint {
    return this.#range.base + (BigInt(index) << BigInt(bitsOf(this.#range) - this.#nodePrefix));
  }

  *#indexesOf(text: string): Generator<number> {
    const cidr = parseCidr(text);
    if (cidr === undefined || cidr.isIpv6 !== this.isIpv6) return;
    const shift = BigInt(bitsOf(cidr) - this.#nodePrefix);
    const last = cidr.base + (1n << BigInt(bitsOf(cidr) - cidr.prefix)) - 1n;
    const from = (cidr.base - this.#range.base) >> shift;
    const to = (last - this.#range.base) >> shift;
    for (let i = from < 0n ? 0n : from; i <= to && i < BigInt(this.#size); i++) yield Number(i);
  }
}
