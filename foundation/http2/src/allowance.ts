import type { Clock } from "@coracle/base";

/** How much of something a peer may do: so much at once, and so much a second. */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #clock: Clock;
  #left: number;
  #at: number;

  constructor(burst: number, perSecond: number, clock: Clock) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#left = burst;
    this.#at = clock.monotonicMs();
  }

  /** False: it was too much. */
  take(): boolean {
    if (this.#left < 1) {
      // The time is asked only when there is need.
      const now = this.#clock.monotonicMs();
      this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) / 1000) * this.#perSecond);
      this.#at = now;
      if (this.#left < 1) return false;
    }
    this.#left -= 1;
    return true;
  }

  /** It may do all of it again. */
  refill(): void {
    this.#left = this.#burst;
  }
}
