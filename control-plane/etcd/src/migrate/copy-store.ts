import { StoreError, type KeyValue, type LeaseId, type Op, type Store } from "../store/store.ts";
import { contentHash, liveKeys } from "./content-hash.ts";

/** Below etcd's limits of 128 operations and 1.5 MiB. */
const MAX_OPS = 100;
const MAX_BYTES = 1_000_000;

/** What was copied. */
export interface Copied {
  readonly keys: number;
  readonly leases: number;
  /** Of both stores, the same. */
  readonly hash: string;
}

/**
 * Copies what a store holds now into an empty one, leases with the time they have left, and verifies it by hash. Nobody may write to either
 * meanwhile: a difference at the end fails. History is not copied, and revisions are the new store's own.
 */
export async function copyStore(options: {
  readonly from: Store;
  readonly to: Store;
  /** Seconds that a lease of the source has left; undefined: it is gone. */
  readonly secondsLeft: (lease: LeaseId) => Promise<number | undefined>;
}): Promise<Copied> {
  const { from, to } = options;
  if ((await to.range({ key: "\0", end: "\0", countOnly: true })).count > 0) {
    throw new StoreError("unavailable", "the store to migrate to is not empty");
  }
  const leases = new Set<LeaseId>();
  let batch: (Op & { readonly type: "put" })[] = [];
  let bytes = 0;
  const write = async (): Promise<void> => {
    if (batch.length > 0) await to.txn({ compare: [], success: batch });
    batch = [];
    bytes = 0;
  };
  const add = async ({ key, value, lease }: KeyValue): Promise<void> => {
    if (lease !== 0 && !leases.has(lease)) {
      await to.grantLease(Math.max(1, (await options.secondsLeft(lease)) ?? 1), lease);
      leases.add(lease);
    }
    if (batch.length === MAX_OPS || bytes + key.length + value.length > MAX_BYTES) await write();
    batch.push({ type: "put", key, value, lease });
    bytes += key.length + value.length;
  };
  for await (const page of liveKeys(from, await from.revision())) {
    // oxlint-disable-next-line no-await-in-loop
    for (const kv of page) await add(kv);
  }
  await write();
  const [source, target] = await Promise.all([contentHash(from), contentHash(to)]);
  if (source.hash !== target.hash) {
    throw new StoreError(
      "unavailable",
      `the copy differs from its source (${source.keys} and ${target.keys} keys): was something written meanwhile?`,
    );
  }
  return { keys: source.keys, leases: leases.size, hash: source.hash };
}
