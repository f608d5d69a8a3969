import { createHash } from "node:crypto";
import { keyToBytes } from "../store/key-text.ts";
import type { KeyValue, Revision, Store } from "../store/store.ts";

const PAGE = 500;

/** Every live key at one revision, in key order, a page at a time. */
export async function* liveKeys(store: Store, revision: Revision): AsyncGenerator<readonly KeyValue[]> {
  for (let key = "\0"; ;) {
    // oxlint-disable-next-line no-await-in-loop
    const { kvs, more } = await store.range({ key, end: "\0", revision, limit: PAGE });
    yield kvs;
    const last = kvs.at(-1);
    if (!more || last === undefined) return;
    key = `${last.key}\0`;
  }
}

/** What a store holds now, whatever its history: a sum over keys, values and which keys have a lease. */
export async function contentHash(store: Store): Promise<{ readonly hash: string; readonly keys: number }> {
  const sum = createHash("sha256");
  let keys = 0;
  for await (const page of liveKeys(store, await store.revision())) {
    for (const { key, value, lease } of page) {
      const bytes = keyToBytes(key);
      sum
        .update(`${bytes.length} ${value.length} ${lease === 0 ? 0 : 1}\n`)
        .update(bytes)
        .update(value);
    }
    keys += page.length;
  }
  return { hash: sum.digest("hex"), keys };
}
