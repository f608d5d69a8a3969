import { performance } from "node:perf_hooks";
import { systemClock, type Clock } from "@coracle/base";
import { TooManyRequests } from "./too-many-requests.ts";

/** Bodies from here on may take the one thread for longer than others notice. */
const LONG_BYTES = 128 * 1024;
/** All that wait, beyond which more are refused. */
const MOST_WAITING_BYTES = 64 * 1024 * 1024;
/** Whoever waits for something else (a webhook, a disk) for so long makes room for the next. */
const LONGEST_TURN_MS = 1_000;
/** What took less is not noticed. */
const UNNOTICED_MS = 20;
const LONGEST_PAUSE_MS = 10_000;

interface Waiting {
  readonly user: string;
  readonly bytes: number;
  begin(): void;
}

/** What is measured, and what waits, is this process's own thread: not the time of a test. */
export interface LongBodiesDeps {
  readonly clock: Clock;
  /** Milliseconds that the thread was busy since it began. */
  busyMs(): number;
}

const OWN_THREAD: LongBodiesDeps = {
  clock: systemClock,
  busyMs: () => performance.eventLoopUtilization().active,
};

/**
 * Long bodies are worked on one at a time, users in turn, and after each, all other requests have the thread for as
 * long as it took: whoever sends many of them slows down his own, and others wait for one at most.
 */
export class LongBodies {
  readonly #deps: LongBodiesDeps;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isBusy = false;
  #lastUser = "";

  constructor(deps: LongBodiesDeps = OWN_THREAD) {
    this.#deps = deps;
  }

  /**
   * Resolves when a body of this length may be worked on, with what is to be called when that is done. Undefined: it is
   * short, and may be at once. Throws 429 when too much waits already.
   */
  enter(user: string, bytes: number): Promise<() => void> | undefined {
    if (bytes < LONG_BYTES) return undefined;
    if (!this.#isBusy) return Promise.resolve(this.#begin(user));
    if (this.#waitingBytes + bytes > MOST_WAITING_BYTES) throw new TooManyRequests(1);
    this.#waitingBytes += bytes;
    return new Promise((resolve) => this.#waiting.push({ user, bytes, begin: () => resolve(this.#begin(user)) }));
  }

  #begin(user: string): () => void {
    this.#isBusy = true;
    this.#lastUser = user;
    const busyBefore = this.#deps.busyMs();
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      limit[Symbol.dispose]();
      this.#pause(this.#deps.busyMs() - busyBefore);
    };
    const limit = this.#deps.clock.after(LONGEST_TURN_MS, end);
    limit.unref();
    return end;
  }

  #pause(tookMs: number): void {
    if (tookMs < UNNOTICED_MS) this.#next();
    else this.#deps.clock.after(Math.min(tookMs, LONGEST_PAUSE_MS), () => this.#next()).unref();
  }

  #next(): void {
    const other = this.#waiting.findIndex(({ user }) => user !== this.#lastUser);
    const [next] = this.#waiting.splice(Math.max(0, other), 1);
    this.#isBusy = false;
    if (next === undefined) return;
    this.#waitingBytes -= next.bytes;
    next.begin();
  }
}
