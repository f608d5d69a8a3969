const MAXIMUM_SECONDS = 32;

/** How long refused clients are asked to wait: doubled while many are refused, shortened when few are. */
export class RetryAfter {
  #seconds = 1;
  #changedAt = 0;
  #second = 0;
  #count = 0;
  #history: { readonly second: number; readonly count: number }[] = [];

  get seconds(): number {
    return this.#seconds;
  }

  /** A request was refused at this second of the clock. */
  note(second: number): void {
    if (second === this.#second) {
      this.#count += 1;
      return;
    }
    const kept = Math.min(2 * this.#seconds, MAXIMUM_SECONDS);
    this.#history.push({ second: this.#second, count: this.#count });
    this.#history = this.#history.filter((entry) => this.#second - entry.second <= kept);
    this.#second = second;
    this.#count = 1;
    const recent = this.#history.filter((entry) => second - entry.second <= this.#seconds);
    const refused = recent.reduce((sum, { count }) => sum + count, 0);
    if (second - this.#changedAt >= this.#seconds && refused >= 3 * this.#seconds) {
      this.#seconds = Math.min(2 * this.#seconds, MAXIMUM_SECONDS);
      this.#changedAt = second;
    } else if (refused < this.#seconds && this.#seconds > 1) this.#seconds -= 1;
  }
}
