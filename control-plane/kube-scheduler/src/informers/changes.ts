import type { KubeObject } from "@coracle/api";
import { sleep, type Clock } from "@coracle/base";
import type { Informer } from "@coracle/client";

/** Wakes all who wait for the next change. */
export class Changes {
  #waiting = new Set<() => void>();

  follow(informer: Informer<KubeObject>): void {
    const wake = (): void => this.wake();
    informer.addHandlers({ added: wake, updated: wake, deleted: wake });
  }

  wake(): void {
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const resolve of waiting) resolve();
  }

  /** Settles at the next change, or after so long; rejects when the signal aborts. */
  async next(clock: Clock, maxWaitMs: number, signal: AbortSignal): Promise<void> {
    const cancel = new AbortController();
    const stop = (): void => cancel.abort(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    let isChanged = false;
    const wake = (): void => {
      isChanged = true;
      cancel.abort();
    };
    this.#waiting.add(wake);
    try {
      await sleep(clock, maxWaitMs, cancel.signal);
    } catch (error) {
      if (!isChanged) throw error;
    } finally {
      this.#waiting.delete(wake);
      signal.removeEventListener("abort", stop);
    }
  }
}
