import type { Clock, Instant } from "@coracle/base";
import type { LeaseId, Store } from "@coracle/etcd";

const REUSE_MS = 60_000;
const MAX_OBJECTS = 1_000;

/** Leases shared by objects that are written within a minute: they live up to a minute longer than asked for. */
export class LeasePool {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #open = new Map<number, { readonly lease: Promise<LeaseId>; readonly until: Instant; objects: number }>();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** A lease that ends no earlier than `ttlSeconds` from now. */
  lease(ttlSeconds: number): Promise<LeaseId> {
    const now = this.#clock.now();
    const open = this.#open.get(ttlSeconds);
    if (open !== undefined && now < open.until && open.objects < MAX_OBJECTS) {
      open.objects++;
      return open.lease;
    }
    const lease = this.#store.grantLease(ttlSeconds + REUSE_MS / 1000);
    const bucket = { lease, until: now + REUSE_MS, objects: 1 };
    this.#open.set(ttlSeconds, bucket);
    lease.catch(() => {
      if (this.#open.get(ttlSeconds) === bucket) this.#open.delete(ttlSeconds);
    });
    return lease;
  }
}
