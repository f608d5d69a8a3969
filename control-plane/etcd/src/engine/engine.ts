import type { LeaseId, Store } from "../store/store.ts";

/** A lease as it is now. */
export interface LeaseState {
  readonly ttlSeconds: number;
  /** Whole seconds until it ends, rounded up. */
  readonly remainingSeconds: number;
  readonly keys: readonly string[];
}

/** A store of our own: what an etcd server answers beside what the port has. */
export interface Engine extends Store {
  /** Undefined: there is no such lease. */
  leaseState(lease: LeaseId): LeaseState | undefined;
  leases(): readonly LeaseId[];
}
