import type { Random } from "@coracle/base";
import { BandAllocator, bandSize } from "./band-allocator.ts";

/** Node ports, `30000-32767` unless told otherwise. */
export class PortAllocator {
  readonly #first: number;
  readonly #last: number;
  readonly #offsets: BandAllocator;

  /** `bitmap`: those that are taken, as one big-endian number whose lowest bit is the first port. */
  constructor(range: string, bitmap?: Buffer) {
    const match = /^(\d+)-(\d+)$/.exec(range);
    const first = Number(match?.[1]);
    const last = Number(match?.[2]);
    if (match === null || first < 1 || last > 65_535 || last < first) throw new Error(`${range} is no port range`);
    this.#first = first;
    this.#last = last;
    const size = last - first + 1;
    this.#offsets = new BandAllocator(size, bandSize(size, 32, 16, 128));
    if (bitmap !== undefined) this.#read(bitmap);
  }

  #read(bitmap: Buffer): void {
    for (let i = 0; i < bitmap.length; i++) {
      const byte = bitmap[bitmap.length - 1 - i] ?? 0;
      for (let bit = 0; byte >> bit !== 0; bit++) if (((byte >> bit) & 1) === 1) this.#offsets.take(i * 8 + bit);
    }
  }

  get range(): string {
    return `${this.#first}-${this.#last}`;
  }

  /** The ports that are taken, in the form that the constructor reads. */
  bitmap(): Buffer {
    const offsets = [...this.#offsets.taken];
    const length = offsets.reduce((most, offset) => Math.max(most, (offset >> 3) + 1), 0);
    const bitmap = Buffer.alloc(length);
    for (const offset of offsets) bitmap[length - 1 - (offset >> 3)]! |= 1 << (offset & 7);
    return bitmap;
  }

  /** The ports that are taken. */
  get taken(): readonly number[] {
    return [...this.#offsets.taken].map((offset) => this.#first + offset);
  }

  has(port: number): boolean {
    return this.#offsets.has(port - this.#first);
  }

  take(port: number): "taken" | "allocated" | "outOfRange" {
    if (port < this.#first || port > this.#last) return "outOfRange";
    return this.#offsets.take(port - this.#first) ? "taken" : "allocated";
  }

  takeAny(random: Random): number | undefined {
    const offset = this.#offsets.takeAny(random);
    return offset === undefined ? undefined : this.#first + offset;
  }

  release(port: number): void {
    this.#offsets.release(port - this.#first);
  }
}
