/** What a period showed of the seats that a priority level could have used. */
export interface DemandObservation {
  readonly highWatermark: number;
  readonly average: number;
  readonly deviation: number;
}

const SMOOTHING = 0.977;

/** Follows how many seats a priority level could use, over time. Times in milliseconds. */
export class SeatDemand {
  #demand = 0;
  #since: number;
  #start: number;
  #integral = 0;
  #squares = 0;
  #max = 0;
  /** Falls slowly, rises at once. */
  smoothed = 0;
  last: DemandObservation = { highWatermark: 0, average: 0, deviation: 0 };

  constructor(now: number) {
    this.#since = now;
    this.#start = now;
  }

  get current(): number {
    return this.#demand;
  }

  set(demand: number, now: number): void {
    this.#take(now);
    this.#demand = demand;
    if (demand > this.#max) this.#max = demand;
  }

  #take(now: number): void {
    const elapsed = now - this.#since;
    if (elapsed <= 0) return;
    this.#integral += this.#demand * elapsed;
    this.#squares += this.#demand * this.#demand * elapsed;
    this.#since = now;
  }

  /** Ends a period that counts as so many. */
  endPeriod(now: number, periods: number): DemandObservation {
    this.#take(now);
    const elapsed = now - this.#start;
    const average = elapsed > 0 ? this.#integral / elapsed : this.#demand;
    const variance = elapsed > 0 ? this.#squares / elapsed - average * average : 0;
    this.last = { highWatermark: this.#max, average, deviation: Math.sqrt(Math.max(0, variance)) };
    const envelope = this.last.average + this.last.deviation;
    if (envelope >= this.smoothed) this.smoothed = envelope;
    else this.smoothed = envelope + (this.smoothed - envelope) * SMOOTHING ** periods;
    this.#start = now;
    this.#integral = 0;
    this.#squares = 0;
    this.#max = this.#demand;
    return this.last;
  }
}
