/** Counts of values by buckets. Made once for each set of labels; what it counts costs no strings. */
export class Histogram {
  readonly labels: string;
  readonly #limits: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;
  #total = 0;

  /** `labels`: as they are rendered, without braces. */
  constructor(labels: string, limits: readonly number[]) {
    this.labels = labels;
    this.#limits = limits;
    this.#counts = new Float64Array(limits.length);
  }

  get total(): number {
    return this.#total;
  }

  observe(value: number): void {
    const limits = this.#limits;
    let i = 0;
    while (i < limits.length && value > limits[i]!) i++;
    if (i < limits.length) this.#counts[i]! += 1;
    this.#sum += value;
    this.#total += 1;
  }

  /** Adds its lines of the Prometheus text format; nothing as long as nothing was counted. */
  render(name: string, lines: string[]): void {
    if (this.#total === 0) return;
    let running = 0;
    for (const [i, limit] of this.#limits.entries()) {
      running += this.#counts[i]!;
      lines.push(`${name}_bucket{${this.labels},le="${limit}"} ${running}`);
    }
    lines.push(
      `${name}_bucket{${this.labels},le="+Inf"} ${this.#total}`,
      `${name}_sum{${this.labels}} ${this.#sum}`,
      `${name}_count{${this.labels}} ${this.#total}`,
    );
  }
}

/** A whole family in the Prometheus text format. */
export function renderHistograms(name: string, series: Iterable<Histogram>, lines: string[]): void {
  lines.push(`# TYPE ${name} histogram`);
  for (const one of series) one.render(name, lines);
}
