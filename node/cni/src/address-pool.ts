import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A range of IPv4 addresses, as numbers. */
export interface AddressRange {
  readonly network: number;
  readonly prefixLength: number;
  /** First address after the network's own: the gateway. */
  readonly gateway: number;
  readonly first: number;
  readonly last: number;
}

export function parseIpv4(text: string): number {
  const parts = text.split(".");
  if (parts.length !== 4 || parts.some((part) => !/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255)) {
    throw new Error(`invalid IPv4 address "${text}"`);
  }
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

/** Reads a CIDR. The network address, the gateway (first) and the broadcast address (last) are for no pod. */
export function parseRange(cidr: string): AddressRange {
  const [address = "", length = ""] = cidr.split("/");
  const prefixLength = Number(length);
  if (!/^\d+$/.test(length) || prefixLength > 30) throw new Error(`invalid pod CIDR "${cidr}"`);
  const size = 2 ** (32 - prefixLength);
  const network = Math.floor(parseIpv4(address) / size) * size;
  return { network, prefixLength, gateway: network + 1, first: network + 2, last: network + size - 2 };
}

/** Addresses given to pods, remembered on disk: one file for each address, holding its owner. */
export class AddressPool {
  readonly #folder: string;
  readonly #range: AddressRange;
  readonly #owners = new Map<number, string>();
  #next: number;

  private constructor(folder: string, range: AddressRange) {
    this.#folder = folder;
    this.#range = range;
    this.#next = range.first;
  }

  /** Opens the pool, with what was given before. */
  static async open(folder: string, range: AddressRange): Promise<AddressPool> {
    await mkdir(folder, { recursive: true });
    const pool = new AddressPool(folder, range);
    for (const name of await readdir(folder)) {
      if (!/^\d+\.\d+\.\d+\.\d+$/.test(name)) continue;
      const owner = (await readFile(join(folder, name), "utf8")).trim();
      const address = parseIpv4(name);
      pool.#owners.set(address, owner);
      if (address >= pool.#next && address < range.last) pool.#next = address + 1;
    }
    return pool;
  }

  get size(): number {
    return this.#owners.size;
  }

  addressOf(owner: string): number | undefined {
    for (const [address, other] of this.#owners) if (other === owner) return address;
    return undefined;
  }

  /**
   * Takes the next free address in turn, so that one just given back rests as long as the range allows: peers may
   * still have connections to its last owner. The same owner gets the same address again.
   */
  async take(owner: string): Promise<number> {
    const before = this.addressOf(owner);
    if (before !== undefined) return before;
    const { first, last } = this.#range;
    for (let tried = first; tried <= last; tried++) {
      const address = this.#next;
      this.#next = address >= last ? first : address + 1;
      if (this.#owners.has(address)) continue;
      this.#owners.set(address, owner);
      try {
        await writeFile(join(this.#folder, formatIpv4(address)), owner, { flag: "wx" });
        return address;
      } catch (error) {
        this.#owners.delete(address);
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
    }
    throw new Error(`no IP addresses available in range set: ${formatIpv4(first)}-${formatIpv4(last)}`);
  }

  /** Gives back whatever the owner has; nothing is no error. */
  async release(owner: string): Promise<void> {
    const address = this.addressOf(owner);
    if (address === undefined) return;
    await rm(join(this.#folder, formatIpv4(address)), { force: true });
    this.#owners.delete(address);
  }
}
