import type { Random } from "@coracle/base";

/**
 * Numbers 0 … size-1, each given out once. Numbers that the caller does not choose come from above the lower band as
 * long as there are some, so that chosen numbers rarely meet them.
 */
export class BandAllocator {
  readonly size: number;
  readonly #band: number;
  readonly #taken = new Set<number>();

  constructor(size: number, band: number) {
    this.size = size;
    this.#band = Math.min(band, size);
  }

  /** False when it is taken or out of range. */
  take(number: number): boolean {
    if (number < 0 || number >= this.size || this.#taken.has(number)) return false;
    this.#taken.add(number);
    return true;
  }

  /** Undefined: none is left. */
  takeAny(random: Random): number | undefined {
    if (this.#taken.size >= this.size) return undefined;
    return this.#takeBetween(this.#band, this.size, random) ?? this.#takeBetween(0, this.#band, random);
  }

  #takeBetween(from: number, to: number, random: Random): number | undefined {
    const span = to - from;
    const start = Math.floor(random.next() * span);
    for (let i = 0; i < span; i++) {
      const number = from + ((start + i) % span);
      if (this.take(number)) return number;
    }
    return undefined;
  }

  release(number: number): void {
    this.#taken.delete(number);
  }

  has(number: number): boolean {
    return this.#taken.has(number);
  }

  get taken(): Iterable<number> {
    return this.#taken;
  }
}

/** Size of the lower band: the part of the range that is left to those who choose. */
export function bandSize(size: number, part: number, min: number, max: number): number {
  if (size <= min) return 0;
  return Math.min(Math.max(min, Math.floor(size / part)), max);
}
