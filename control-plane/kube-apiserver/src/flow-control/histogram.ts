/** Upper bounds of a histogram's buckets. */
export const SECONDS: readonly number[] = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
export const SEATS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 100];
export const QUEUE_LENGTHS: readonly number[] = [0, 10, 25, 50, 100, 250, 500, 1000];

/** Counts observations by size. Takes no memory until the first. */
export class Histogram {
  readonly #bounds: readonly number[];
  #counts: Float64Array | undefined;
  #sum = 0;
  #total = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  observe(value: number): void {
    const counts = (this.#counts ??= new Float64Array(this.#bounds.length));
    let i = 0;
    while (i < counts.length && value > this.#bounds[i]!) i += 1;
    if (i < counts.length) counts[i]! += 1;
    this.#sum += value;
    this.#total += 1;
  }

  /** The lines of a metric; none when nothing was observed. */
  *lines(name: string, labels: string): Generator<string> {
    if (this.#counts === undefined) return;
    let running = 0;
    for (const [i, bound] of this.#bounds.entries()) {
      running += this.#counts[i]!;
      yield `${name}_bucket{${labels},le="${bound}"} ${running}`;
    }
    yield `${name}_bucket{${labels},le="+Inf"} ${this.#total}`;
    yield `${name}_sum{${labels}} ${this.#sum}`;
    yield `${name}_count{${labels}} ${this.#total}`;
  }
}
