import { Event, type ObjectReference } from "@coracle/api/core/v1";
import { isStatusError } from "@coracle/apimachinery";
import { isAbort, sleep, TaskScope, type Clock, type Logger } from "@coracle/base";
import type { ApiClient } from "@coracle/client";

export interface EventStreamOptions {
  readonly client: Pick<ApiClient, "create">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether there is something more urgent to ask the API server for. */
  readonly isBusy: () => boolean;
}

/** So many are on their way at once, and so many wait at most: what comes then is dropped. */
const MAX_SENDING = 64;
const MAX_WAITING = 20_000;
/** Beside more urgent work: fewer, but one more for so many that wait. */
const MAX_BESIDE = 16;
const WAITING_PER_SENDER = 1_000;
const RETRY_MS = 1000;
const MAX_TRIES = 5;

/**
 * Tells of things that happen once to each object: nothing is counted or combined, many are told at once. What is more urgent goes
 * first: in a burst events follow a little later, the more of them wait the sooner. Never waits and never throws; what cannot be
 * sent in time is dropped.
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
    this.#sendMore();
  }

  /** How many may be on their way now. */
  get #wanted(): number {
    const waiting = this.#waiting.length - this.#next;
    const beside = Math.min(MAX_BESIDE, 1 + Math.floor(waiting / WAITING_PER_SENDER));
    return Math.min(this.#options.isBusy() ? beside : MAX_SENDING, this.#sending + waiting);
  }

  #sendMore(): void {
    while (this.#sending < this.#wanted) {
      this.#sending += 1;
      this.#scope.run(async (signal) => this.#drain(signal));
    }
  }

  async #drain(signal: AbortSignal): Promise<void> {
    try {
      for (let event = this.#take(); event !== undefined; event = this.#take()) {
        await this.#send(event, signal);
        if (this.#sending > this.#wanted) return;
        this.#sendMore();
      }
    } finally {
      this.#sending -= 1;
    }
  }

  #take(): Event | undefined {
    const event = this.#waiting[this.#next];
    if (event === undefined) return undefined;
    this.#next += 1;
    // What was sent is let go of, also where some always wait.
    if (this.#next === this.#waiting.length || this.#next === MAX_WAITING) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    return event;
  }

  async #send(event: Event, signal: AbortSignal): Promise<void> {
    const { client, clock, logger } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        await client.create(Event, event, { metadataOnly: true, signal });
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
