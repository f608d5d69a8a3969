import type { Clock, Instant } from "@coracle/base";
import type { LeaseId, Store } from "@coracle/etcd";

const REUSE_SECONDS = 60;
const MAX_OBJECTS = 1_000;

/** Leases shared by objects that are written within a minute (or what is said): they live up to that much longer than asked for. */
export class LeasePool {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #reuseSeconds: number;
  readonly #open = new Map<number, { readonly lease: Promise<LeaseId>; readonly until: Instant; objects: number }>();

  constructor(store: Store, clock: Clock, reuseSeconds = REUSE_SECONDS) {
    this.#reuseSeconds = Math.max(reuseSeconds, 0);
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
    const lease = this.#store.grantLease(ttlSeconds + this.#reuseSeconds);
    const bucket = { lease, until: now + this.#reuseSeconds * 1000, objects: 1 };
    this.#open.set(ttlSeconds, bucket);
    lease.catch(() => {
      if (this.#open.get(ttlSeconds) === bucket) this.#open.delete(ttlSeconds);
    });
    return lease;
  }
}
