import type { Clock } from "@coracle/base";
import type { CacheKey } from "@coracle/client";

/** Measures how long it takes until all balancers have heard of a change of the nodes. */
export class NodeSync {
  readonly #clock: Clock;
  readonly #observe: (seconds: number) => void;
  readonly #waiting = new Set<CacheKey>();
  #startedAtMs = 0;

  constructor(clock: Clock, observe: (seconds: number) => void) {
    this.#clock = clock;
    this.#observe = observe;
  }

  /** Nodes changed, and these Services' balancers do not know it yet. Answers them. */
  started(services: Iterable<CacheKey>): readonly CacheKey[] {
    const all = [...services];
    if (this.#waiting.size === 0) this.#startedAtMs = this.#clock.monotonicMs();
    for (const service of all) this.#waiting.add(service);
    if (this.#waiting.size === 0) this.#observe(0);
    return all;
  }

  /** This Service's balancer knows, or could not be told. */
  ended(service: CacheKey): void {
    if (this.#waiting.delete(service) && this.#waiting.size === 0)
      this.#observe((this.#clock.monotonicMs() - this.#startedAtMs) / 1000);
  }
}
