import { aborted, systemClock, type Clock, type Timer } from "@coracle/base";

export interface WorkQueueOptions {
  readonly clock?: Clock | undefined;
  /** Delay after a key's first failure; doubles with each further one. */
  readonly baseDelayMs?: number | undefined;
  readonly maxDelayMs?: number | undefined;
  /** Told of every key; absent: nobody counts. */
  readonly observer?: WorkQueueObserver | undefined;
}

/** Who counts what a queue does. */
export interface WorkQueueObserver {
  /** A key waits that did not. */
  readonly added: (key: unknown) => void;
  /** A key was put off. */
  readonly delayed: () => void;
  readonly started: (key: unknown) => void;
  readonly finished: (key: unknown) => void;
}

/**
 * Keys to be worked on. A key waits in it once however often it is added, is never worked on by two workers at a
 * time, and is worked on again if it was added meanwhile. Work begins when the present turn of the event loop is over:
 * of a burst of changes that came in one piece each key is worked on once.
 */
export interface WorkQueue<K> {
  add(key: K): void;
  /** Adds `key` in `delayMs`; of several the earliest counts. */
  addAfter(key: K, delayMs: number): void;
  /** Adds `key` after its back-off, which grows with each call until `forget`; of all keys ten a second, after a hundred. */
  addRateLimited(key: K): void;
  /** The key succeeded: its back-off starts anew. */
  forget(key: K): void;
  /** Failures since the last `forget`. */
  failures(key: K): number;
  /** Waiting now; without those that are delayed or worked on. */
  readonly length: number;
  /**
   * Works through the queue with up to `workers` keys at a time, until `signal` aborts; then waits for those in work.
   * `work` must not reject.
   */
  run(workers: number, work: (key: K) => Promise<void>, signal: AbortSignal): Promise<void>;
}

const BASE_DELAY_MS = 5;
const MAX_DELAY_MS = 1_000_000;
const RETRIES_AT_ONCE = 100;
const RETRY_EVERY_MS = 100;

export function createWorkQueue<K extends string | object>(options: WorkQueueOptions = {}): WorkQueue<K> {
  const { clock = systemClock, baseDelayMs = BASE_DELAY_MS, maxDelayMs = MAX_DELAY_MS, observer } = options;
  const waiting = new Set<K>();
  const inWork = new Set<K>();
  const again = new Set<K>();
  const failures = new Map<K, number>();
  const delayed = new Map<K, { readonly due: number; readonly timer: Timer }>();
  /** When all retries so far would have been made, were there never more than one in `RETRY_EVERY_MS`. */
  let retriesUntilMs = 0;
  let start: (() => void) | undefined;
  let isStarting = false;
  let stopped = false;

  function add(key: K): void {
    if (stopped) return;
    if (inWork.has(key)) again.add(key);
    else {
      if (observer !== undefined && !waiting.has(key)) observer.added(key);
      waiting.add(key);
      startSoon();
    }
  }

  function startSoon(): void {
    if (isStarting || start === undefined) return;
    isStarting = true;
    setImmediate(() => {
      isStarting = false;
      start?.();
    });
  }

  function addAfter(key: K, delayMs: number): void {
    if (stopped) return;
    if (delayMs <= 0) return add(key);
    observer?.delayed();
    const due = clock.monotonicMs() + delayMs;
    const pending = delayed.get(key);
    if (pending !== undefined && pending.due <= due) return;
    pending?.timer[Symbol.dispose]();
    const timer = clock.after(delayMs, () => {
      delayed.delete(key);
      add(key);
    });
    delayed.set(key, { due, timer });
  }

  function untilTurnMs(): number {
    const now = clock.monotonicMs();
    retriesUntilMs = Math.max(retriesUntilMs, now) + RETRY_EVERY_MS;
    return retriesUntilMs - now - RETRIES_AT_ONCE * RETRY_EVERY_MS;
  }

  return {
    add,
    addAfter,
    addRateLimited(key) {
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      const backoffMs = Math.min(baseDelayMs * 2 ** Math.min(count, 40), maxDelayMs);
      addAfter(key, Math.max(backoffMs, untilTurnMs()));
    },
    forget: (key) => void failures.delete(key),
    failures: (key) => failures.get(key) ?? 0,
    get length() {
      return waiting.size;
    },
    async run(workers, work, signal) {
      let idle: (() => void) | undefined;
      const process = async (key: K): Promise<void> => {
        await work(key);
        observer?.finished(key);
        inWork.delete(key);
        if (again.delete(key)) add(key);
        if (inWork.size === 0) idle?.();
        start?.();
      };
      start = () => {
        while (inWork.size < workers && !signal.aborted) {
          const next = waiting.values().next();
          if (next.done === true) return;
          waiting.delete(next.value);
          inWork.add(next.value);
          observer?.started(next.value);
          void process(next.value);
        }
      };
      start();
      await aborted(signal);
      stopped = true;
      start = undefined;
      for (const { timer } of delayed.values()) timer[Symbol.dispose]();
      delayed.clear();
      waiting.clear();
      if (inWork.size > 0) await new Promise<void>((resolve) => (idle = resolve));
    },
  };
}
