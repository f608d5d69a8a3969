/** Milliseconds since the Unix epoch. */
export type Instant = number;

/** A pending timer. Disposing it twice, or after it fired, does nothing. */
export interface Timer extends Disposable {
  /** Lets the process end although the timer is pending. */
  unref(): void;
}

/** The only source of time. Everything that waits takes one, so that a test (or a user) can fast-forward it. */
export interface Clock {
  /** Wall-clock time. */
  now(): Instant;
  /** Monotonic milliseconds, for measuring. */
  monotonicMs(): number;
  /** Calls `action` once, `delayMs` from now, unless disposed before. */
  after(delayMs: number, action: () => void): Timer;
}

/** The host's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, action) {
    // Node fires timers beyond 2^31 - 1 ms at once; a day's hop keeps long waits right.
    const HOP_MS = 86_400_000;
    let handle: NodeJS.Timeout;
    let isUnref = false;
    const arm = (remainingMs: number): void => {
      handle =
        remainingMs > HOP_MS
          ? setTimeout(() => arm(remainingMs - HOP_MS), HOP_MS)
          : setTimeout(action, Math.max(0, remainingMs));
      if (isUnref) handle.unref();
    };
    arm(delayMs);
    return {
      unref() {
        isUnref = true;
        handle.unref();
      },
      [Symbol.dispose]: () => clearTimeout(handle),
    };
  },
};

/** A clock that stands still until told otherwise. */
export interface FakeClock extends Clock {
  /** Moves time forward and fires what became due, in order of due time; resolves after the promises that follow had a turn. */
  advance(ms: number): Promise<void>;
  /** Number of pending timers, for leak checks. */
  readonly pending: number;
}

export function createFakeClock(start: Instant = Date.UTC(2026, 0, 1)): FakeClock {
  let now = start;
  let sequence = 0;
  const timers = new Map<number, { due: number; action: () => void }>();
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const next = (limit: number): [number, { due: number; action: () => void }] | undefined => {
    let best: [number, { due: number; action: () => void }] | undefined;
    for (const entry of timers) {
      if (entry[1].due <= limit && (best === undefined || entry[1].due < best[1].due)) best = entry;
    }
    return best;
  };
  return {
    // Timers may be due between two milliseconds; the time of day is told in whole ones.
    now: () => Math.floor(now),
    monotonicMs: () => now - start,
    after(delayMs, action) {
      const id = sequence++;
      timers.set(id, { due: now + Math.max(0, delayMs), action });
      return { unref() {}, [Symbol.dispose]: () => void timers.delete(id) };
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      for (let entry = next(end); entry !== undefined; entry = next(end)) {
        timers.delete(entry[0]);
        now = Math.max(now, entry[1].due);
        entry[1].action();
        await settle();
      }
      now = end;
      await settle();
    },
    get pending() {
      return timers.size;
    },
  };
}
