import type { Clock } from "@coracle/base";

/** Counts requests that come to an end by themselves, so that a server that stops can wait for them. */
export class InFlightRequests {
  #count = 0;
  #onIdle: (() => void) | undefined;

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#onIdle?.();
  }

  /** Resolves when there are none, or when that takes too long. */
  idle(clock: Clock, limitMs: number): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = clock.after(limitMs, resolve);
      this.#onIdle = () => {
        timer[Symbol.dispose]();
        resolve();
      };
    });
  }
}
