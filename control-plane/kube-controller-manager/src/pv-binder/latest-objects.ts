import type { KubeObject } from "@coracle/api";
import { cacheKeyOf, type Lister } from "@coracle/client";

/**
 * A cache and what was written since: a write is seen at once, not when it comes back by the watch, so that one pass
 * does not undo what the last one did. What comes back, or is gone, is forgotten.
 */
export class LatestObjects<T extends KubeObject> {
  readonly #lister: Lister<T>;
  readonly #written = new Map<string, T>();

  constructor(lister: Lister<T>) {
    this.#lister = lister;
  }

  byKey(key: string): T | undefined {
    const seen = this.#lister.byKey(key);
    if (seen === undefined) this.#written.delete(key);
    return seen === undefined ? undefined : this.#newer(key, seen);
  }

  byIndex(index: string, value: string): readonly T[] {
    const found = this.#lister.byIndex(index, value);
    return this.#written.size === 0 ? found : found.map((seen) => this.#newer(cacheKeyOf(seen), seen));
  }

  /** Remembers what the server made of a write. */
  store(object: T): T {
    this.#written.set(cacheKeyOf(object), object);
    return object;
  }

  #newer(key: string, seen: T): T {
    const written = this.#written.get(key);
    if (written === undefined) return seen;
    const isNewer =
      written.metadata.uid === seen.metadata.uid &&
      BigInt(written.metadata.resourceVersion ?? "0") > BigInt(seen.metadata.resourceVersion ?? "0");
    if (isNewer) return written;
    this.#written.delete(key);
    return seen;
  }
}
