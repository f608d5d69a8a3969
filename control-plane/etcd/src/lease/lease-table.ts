import type { Clock, Timer } from "@coracle/base";
import type { LeaseId } from "../store/store.ts";
import type { ByteKey } from "../mvcc/key-range.ts";

/** A lease as it is written to disk. `expiresAt` is wall-clock time. */
export interface LeaseRecord {
  readonly id: LeaseId;
  readonly ttlSeconds: number;
  readonly expiresAt: number;
}

interface Lease {
  readonly id: LeaseId;
  readonly ttlMs: number;
  deadlineMs: number;
  /** Keys that were ever put with this lease; some may have another one, or none, by now. */
  readonly keys: Set<ByteKey>;
}

/** Leases and when they end. One timer, for the one that ends first; none while there are none. */
export class LeaseTable implements Disposable {
  readonly #leases = new Map<LeaseId, Lease>();
  readonly #clock: Clock;
  readonly #expired: (lease: LeaseId) => void;
  #timer: { readonly dueMs: number; readonly timer: Timer } | undefined;

  /** `expired` is called once for each lease that ran out; the lease stays until `remove`. */
  constructor(clock: Clock, expired: (lease: LeaseId) => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  has(id: LeaseId): boolean {
    return this.#leases.has(id);
  }

  add(id: LeaseId, ttlMs: number, remainingMs: number = ttlMs): void {
    const deadlineMs = this.#clock.monotonicMs() + remainingMs;
    this.#leases.set(id, { id, ttlMs, deadlineMs, keys: new Set() });
    this.#arm(deadlineMs);
  }

  /** Starts the lease's time anew; false when there is no such lease. */
  renew(id: LeaseId): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    lease.deadlineMs = this.#clock.monotonicMs() + lease.ttlMs;
    return true;
  }

  attach(id: LeaseId, key: ByteKey): void {
    this.#leases.get(id)?.keys.add(key);
  }

  /** Keys that may be attached; whoever acts on them looks whether they still are. */
  keysOf(id: LeaseId): ReadonlySet<ByteKey> {
    return this.#leases.get(id)?.keys ?? new Set();
  }

  /** How long the lease lives, and how long it has left. */
  stateOf(id: LeaseId): { readonly ttlSeconds: number; readonly remainingSeconds: number } | undefined {
    const lease = this.#leases.get(id);
    if (lease === undefined) return undefined;
    const remainingMs = Math.max(0, lease.deadlineMs - this.#clock.monotonicMs());
    return { ttlSeconds: lease.ttlMs / 1000, remainingSeconds: Math.ceil(Math.min(remainingMs, lease.ttlMs) / 1000) };
  }

  ids(): readonly LeaseId[] {
    return [...this.#leases.keys()];
  }

  /** The lease as it is to be written to disk. */
  recordOf(id: LeaseId): LeaseRecord | undefined {
    const lease = this.#leases.get(id);
    if (lease === undefined) return undefined;
    const remainingMs = lease.deadlineMs - this.#clock.monotonicMs();
    return { id, ttlSeconds: lease.ttlMs / 1000, expiresAt: Math.round(this.#clock.now() + remainingMs) };
  }

  remove(id: LeaseId): void {
    this.#leases.delete(id);
    if (this.#leases.size === 0) this.#disarm();
  }

  [Symbol.dispose](): void {
    this.#leases.clear();
    this.#disarm();
  }

  #disarm(): void {
    this.#timer?.timer[Symbol.dispose]();
    this.#timer = undefined;
  }

  #arm(dueMs: number): void {
    if (this.#timer !== undefined) {
      if (this.#timer.dueMs <= dueMs) return;
      this.#disarm();
    }
    const timer = this.#clock.after(dueMs - this.#clock.monotonicMs(), () => this.#fire());
    timer.unref();
    this.#timer = { dueMs, timer };
  }

  #fire(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonicMs();
    let nextMs = Infinity;
    for (const lease of this.#leases.values()) {
      if (lease.deadlineMs <= now) {
        lease.deadlineMs = Infinity;
        this.#expired(lease.id);
      } else nextMs = Math.min(nextMs, lease.deadlineMs);
    }
    if (nextMs < Infinity) this.#arm(nextMs);
  }
}
