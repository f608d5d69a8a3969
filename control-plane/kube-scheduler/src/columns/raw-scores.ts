import type { Normalizer } from "./column-plugin.ts";

/**
 * One plugin's raw scores of the fitting nodes, and how many have which: so the smallest and the largest are known
 * without looking at all nodes.
 */
export class RawScores {
  readonly normalize: Normalizer;
  readonly weight: number;
  raw = new Float64Array(0);
  readonly #score: (slot: number) => number;
  readonly #counts = new Map<number, number>();
  #min = 0;
  #max = 0;
  #isSettled = false;
  #changes = 0;

  constructor(score: (slot: number) => number, normalize: Normalizer, weight: number) {
    this.#score = score;
    this.normalize = normalize;
    this.weight = weight;
  }

  /** All fitting nodes have the same. */
  get isUniform(): boolean {
    return this.#counts.size < 2;
  }

  clear(capacity: number): void {
    this.raw = new Float64Array(capacity);
    this.#counts.clear();
    this.#isSettled = false;
  }

  add(slot: number): void {
    const value = this.#score(slot);
    this.raw[slot] = value;
    const count = this.#counts.get(value) ?? 0;
    this.#counts.set(value, count + 1);
    if (count === 0) this.#isSettled = false;
  }

  remove(slot: number): void {
    const value = this.raw[slot] ?? 0;
    const count = (this.#counts.get(value) ?? 0) - 1;
    if (count > 0) this.#counts.set(value, count);
    else {
      this.#counts.delete(value);
      this.#isSettled = false;
    }
  }

  /** Finds the smallest and the largest; the answer changes when one of them does. */
  settle(): number {
    if (this.#isSettled) return this.#changes;
    let min = Infinity;
    let max = -Infinity;
    for (const value of this.#counts.keys()) {
      if (value < min) min = value;
      if (value > max) max = value;
    }
    if (min !== this.#min || max !== this.#max) {
      this.#min = min;
      this.#max = max;
      this.#changes++;
    }
    this.#isSettled = true;
    return this.#changes;
  }

  /** The weighted score, by the extremes last settled. */
  normalized(slot: number): number {
    return this.weight * this.normalize(this.raw[slot] ?? 0, this.#min, this.#max);
  }

  /** Adds the weighted scores of the nodes of the list, normalized among them. */
  addScores(slots: Int32Array, count: number, totals: Float64Array): void {
    const { raw, weight, normalize } = this;
    let min = Infinity;
    let max = -Infinity;
    for (let i = 0; i < count; i++) {
      const value = raw[slots[i] ?? 0] ?? 0;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    if (min === max) {
      const same = weight * normalize(min, min, max);
      for (let i = 0; i < count; i++) totals[i] = (totals[i] ?? 0) + same;
      return;
    }
    for (let i = 0; i < count; i++)
      totals[i] = (totals[i] ?? 0) + weight * normalize(raw[slots[i] ?? 0] ?? 0, min, max);
  }
}
