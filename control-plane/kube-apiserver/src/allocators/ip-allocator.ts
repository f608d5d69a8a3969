import type { Random } from "@coracle/base";
import { formatIp, parseCidr, parseIp } from "@coracle/apimachinery";
import { BandAllocator, bandSize } from "./band-allocator.ts";

const MAX_SIZE = 2 ** 20;

/** How taking one address went. */
export type IpOutcome = "taken" | "allocated" | "outOfRange";

/** Addresses of one service CIDR. The first and, in IPv4, the last of the block are not given out. */
export class IpAllocator {
  readonly family: "IPv4" | "IPv6";
  readonly cidr: string;
  readonly #base: bigint;
  readonly #offsets: BandAllocator;
  readonly #bits: 4 | 6;

  constructor(cidr: string) {
    const parsed = parseCidr(cidr);
    if (parsed === undefined) throw new Error(`${cidr} is no CIDR`);
    this.cidr = cidr;
    this.#bits = parsed.family;
    this.family = parsed.family === 4 ? "IPv4" : "IPv6";
    this.#base = parsed.network + 1n;
    const hostBits = (parsed.family === 4 ? 32 : 128) - parsed.prefixLength;
    const block = hostBits >= 20 ? MAX_SIZE : 2 ** hostBits;
    const size = Math.max(0, block - (parsed.family === 4 ? 2 : 1));
    this.#offsets = new BandAllocator(size, bandSize(size, 16, 16, 256));
  }

  /** The address that the `kubernetes` Service has. */
  get first(): string {
    return formatIp(this.#bits, this.#base);
  }

  #offsetOf(ip: string): number | undefined {
    const parsed = parseIp(ip);
    if (parsed === undefined || parsed.family !== this.#bits) return undefined;
    const offset = parsed.value - this.#base;
    return offset >= 0n && offset < BigInt(this.#offsets.size) ? Number(offset) : undefined;
  }

  take(ip: string): IpOutcome {
    const offset = this.#offsetOf(ip);
    if (offset === undefined) return "outOfRange";
    return this.#offsets.take(offset) ? "taken" : "allocated";
  }

  takeAny(random: Random): string | undefined {
    const offset = this.#offsets.takeAny(random);
    return offset === undefined ? undefined : formatIp(this.#bits, this.#base + BigInt(offset));
  }

  release(ip: string): void {
    const offset = this.#offsetOf(ip);
    if (offset !== undefined) this.#offsets.release(offset);
  }
}
