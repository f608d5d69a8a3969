import { Event, type ObjectReference } from "@coracle/api/core/v1";
import { isStatusError } from "@coracle/apimachinery";
import { isAbort, sleep, TaskScope, type Clock, type Logger } from "@coracle/base";
import type { ApiClient } from "@coracle/client";

export interface EventStreamOptions {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** So many are on their way at once, and so many wait at most: what comes then is dropped. */
const MAX_SENDING = 16;
const MAX_WAITING = 20_000;
const RETRY_MS = 1000;
const MAX_TRIES = 5;

/**
 * Tells of things that happen once to each object: nothing is counted or combined, many are told at once. Never waits
 * and never throws; what cannot be sent in time is dropped.
 */
export class EventStream {
  readonly #options: EventStreamOptions;
  readonly #scope = new TaskScope();
  #waiting: Event[] = [];
  #next = 0;
  #sending = 0;
  #sequence = 0;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  event(component: string, regarding: ObjectReference, reason: string, message: string): void {
    if (this.#waiting.length - this.#next >= MAX_WAITING || this.#scope.signal.aborted) return;
    const now = this.#options.clock.now();
    const timestamp = `${new Date(now).toISOString().slice(0, 19)}Z`;
    const nanos = BigInt(now) * 1_000_000n + BigInt(this.#sequence++ % 1_000_000);
    this.#waiting.push({
      metadata: { name: `${regarding.name}.${nanos.toString(16)}`, namespace: regarding.namespace ?? "default" },
      involvedObject: regarding,
      reason,
      message,
      source: { component },
      firstTimestamp: timestamp,
      lastTimestamp: timestamp,
      count: 1,
      type: "Normal",
      reportingComponent: component,
      reportingInstance: "",
    });
    if (this.#sending >= MAX_SENDING) return;
    this.#sending += 1;
    this.#scope.run(async (signal) => this.#drain(signal));
  }

  async #drain(signal: AbortSignal): Promise<void> {
    try {
      while (this.#next < this.#waiting.length) {
        const event = this.#waiting[this.#next++];
        if (this.#next === this.#waiting.length) {
          this.#waiting = [];
          this.#next = 0;
        }
        if (event !== undefined) await this.#send(event, signal);
      }
    } finally {
      this.#sending -= 1;
    }
  }

  async #send(event: Event, signal: AbortSignal): Promise<void> {
    const { client, clock, logger } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        await client.create(Event, event, { signal });
        return;
      } catch (error) {
        if (isAbort(error, signal)) throw error;
        const isUnreachable = isStatusError(error, "ServiceUnavailable", "InternalError", "Timeout");
        if (!isUnreachable || tries >= MAX_TRIES) {
          logger.debug("event not recorded", { reason: event.reason, error: String(error) });
          return;
        }
        await sleep(clock, RETRY_MS, signal);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope[Symbol.asyncDispose]();
  }
}
