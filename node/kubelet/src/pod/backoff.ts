import type { Instant } from "@coracle/base";

export interface BackoffLimits {
  readonly initialMs: number;
  readonly maxMs: number;
}

interface Entry {
  readonly delayMs: number;
  readonly updatedAt: Instant;
}

/** Delays per key that double each time, and start over when a key was quiet for twice the longest delay. */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #entries = new Map<string, Entry>();

  constructor(limits: BackoffLimits) {
    this.#limits = limits;
  }

  /** The delay in force for `key`; 0 when there is none. */
  delayMs(key: string): number {
    return this.#entries.get(key)?.delayMs ?? 0;
  }

  /** Milliseconds until `key` may be tried again after what happened at `eventAt`; 0 when now. */
  remainingMs(key: string, eventAt: Instant, now: Instant): number {
    const entry = this.#entries.get(key);
    if (entry === undefined || eventAt - entry.updatedAt > 2 * this.#limits.maxMs) return 0;
    return Math.max(0, eventAt + entry.delayMs - now);
  }

  /** Notes another try of `key`. */
  next(key: string, eventAt: Instant, now: Instant): void {
    const entry = this.#entries.get(key);
    const startOver = entry === undefined || eventAt - entry.updatedAt > 2 * this.#limits.maxMs;
    const delayMs = startOver ? this.#limits.initialMs : Math.min(entry.delayMs * 2, this.#limits.maxMs);
    this.#entries.set(key, { delayMs, updatedAt: now });
  }

  reset(key: string): void {
    this.#entries.delete(key);
  }

  /** Forgets all keys that begin with `prefix`. */
  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }
}

/** `10s`, `1m20s`, `5m0s`: a duration as messages spell it. */
export function spellDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours > 0) return `${hours}h${minutes % 60}m${seconds % 60}s`;
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}
