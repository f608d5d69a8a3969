import type { Clock } from "@coracle/base";
import type { CacheKey } from "@coracle/client";

/**
 * Passes over services with many pods keep a distance: a pass looks at all pods of its service, and pods of large ones
 * change all the time. What changes meanwhile is seen together by the next one. Small services never wait.
 */
export class PassPace {
  readonly #clock: Clock;
  readonly #podsPerMs: number;
  readonly #nextAtMs = new Map<CacheKey, number>();

  /** A pass over so many pods keeps the next one away for a millisecond. */
  constructor(clock: Clock, podsPerMs: number) {
    this.#clock = clock;
    this.#podsPerMs = podsPerMs;
  }

  /** How long the next pass has to wait; 0: not at all. */
  waitMs(service: CacheKey): number {
    return Math.max(0, (this.#nextAtMs.get(service) ?? 0) - this.#clock.monotonicMs());
  }

  /** A pass over the service's pods begins. */
  begin(service: CacheKey, pods: number): void {
    const pauseMs = Math.floor(pods / this.#podsPerMs);
    if (pauseMs > 0) this.#nextAtMs.set(service, this.#clock.monotonicMs() + pauseMs);
    else this.#nextAtMs.delete(service);
  }

  /** The service is gone. */
  forget(service: CacheKey): void {
    this.#nextAtMs.delete(service);
  }
}
