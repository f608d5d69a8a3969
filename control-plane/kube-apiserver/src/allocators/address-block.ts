import type { Random } from "@coracle/base";
import { formatIp, parseCidr, parseIp } from "@coracle/apimachinery";
import { bandSize } from "./band-allocator.ts";

/** Family of an address, as Services name it. */
export type IpFamily = "IPv4" | "IPv6";

const SHORTEST_IPV6_PREFIX = 64;

/** Undefined for text that is no address. */
export function familyOf(ip: string): IpFamily | undefined {
  const parsed = parseIp(ip);
  if (parsed === undefined) return undefined;
  return parsed.family === 4 ? "IPv4" : "IPv6";
}

/** The one form that an address is written in; undefined for text that is no address. */
export function canonicalIp(ip: string): string | undefined {
  const parsed = parseIp(ip);
  return parsed === undefined ? undefined : formatIp(parsed.family, parsed.value);
}

/**
 * The addresses of one block of service addresses. The first and, in IPv4, the last of the block are not given out;
 * the lower band is left, as long as possible, to those who choose their address.
 */
export class AddressBlock {
  readonly cidr: string;
  readonly family: IpFamily;
  readonly prefixLength: number;
  readonly #bits: 4 | 6;
  readonly #network: bigint;
  readonly #last: bigint;
  readonly #band: bigint;

  private constructor(cidr: string, bits: 4 | 6, network: bigint, prefixLength: number) {
    this.cidr = cidr;
    this.family = bits === 4 ? "IPv4" : "IPv6";
    this.prefixLength = prefixLength;
    this.#bits = bits;
    this.#network = network;
    const hosts = 1n << BigInt((bits === 4 ? 32 : 128) - prefixLength);
    this.#last = network + hosts - (bits === 4 ? 2n : 1n);
    this.#band = BigInt(bandSize(Number(hosts), 16, 16, 256));
  }

  /** Undefined for what is no block that addresses can be taken from. */
  static of(cidr: string): AddressBlock | undefined {
    const parsed = parseCidr(cidr);
    if (parsed === undefined) return undefined;
    if (parsed.family === 6 && parsed.prefixLength < SHORTEST_IPV6_PREFIX) return undefined;
    return new AddressBlock(cidr, parsed.family, parsed.network, parsed.prefixLength);
  }

  /** The network's own address, which no Service has. */
  get network(): string {
    return formatIp(this.#bits, this.#network);
  }

  /** The address that the `kubernetes` Service has. */
  get first(): string {
    return formatIp(this.#bits, this.#network + 1n);
  }

  /** Whether a Service may have this address. */
  contains(ip: string): boolean {
    const parsed = parseIp(ip);
    return (
      parsed !== undefined && parsed.family === this.#bits && parsed.value > this.#network && parsed.value <= this.#last
    );
  }

  /** Each address once: from a random place above the band on, then from a random place in it. */
  *candidates(random: Random): Generator<string, undefined> {
    const first = this.#network + 1n;
    yield* this.#between(first + this.#band, this.#last + 1n, random);
    yield* this.#between(first, first + this.#band, random);
    return undefined;
  }

  *#between(from: bigint, to: bigint, random: Random): Generator<string, undefined> {
    const span = to - from;
    if (span <= 0n) return undefined;
    const start = BigInt(Math.floor(random.next() * Number(span))) % span;
    for (let i = 0n; i < span; i++) yield formatIp(this.#bits, from + ((start + i) % span));
    return undefined;
  }
}
