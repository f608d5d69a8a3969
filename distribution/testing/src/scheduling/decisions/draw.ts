import { createSeededRandom } from "@coracle/base";

/** Draws things by lot; the same seed draws the same. */
export class Draw {
  readonly #random: ReturnType<typeof createSeededRandom>;

  constructor(seed: number) {
    this.#random = createSeededRandom(seed);
  }

  /** True in so many of a hundred cases. */
  chance(percent: number): boolean {
    return this.#random.next() * 100 < percent;
  }

  /** A whole number, both ends included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.#random.next() * (to - from + 1));
  }

  /** One of them. */
  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.between(0, items.length - 1)] ?? items[0];
  }

  /** Some of them, each once, in their order. */
  some<T>(items: readonly T[], from: number, to: number): T[] {
    const left = [...items.keys()];
    const count = Math.min(items.length, this.between(from, to));
    const taken: number[] = [];
    while (taken.length < count) taken.push(...left.splice(this.between(0, left.length - 1), 1));
    return taken.sort((a, b) => a - b).map((i) => items[i] as T);
  }

  /** What `make` makes, in so many of a hundred cases; nothing to spread into an object otherwise. */
  maybe<T extends object>(percent: number, make: () => T): T | Record<never, never> {
    return this.chance(percent) ? make() : {};
  }

  /** As many as the number drawn says. */
  times<T>(from: number, to: number, make: (i: number) => T): T[] {
    return Array.from({ length: this.between(from, to) }, (_, i) => make(i));
  }
}
