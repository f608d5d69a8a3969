import type { ObjectMeta } from "@coracle/api/meta/v1";

interface Assumed<T> {
  readonly object: T;
  /** The version it stands for: once the cache has another, it is history. */
  readonly over: string | undefined;
}

/** Objects as they will be once our writes have come back, over a cache that lags behind. */
export class AssumedObjects<T extends { readonly metadata: ObjectMeta }> {
  readonly #assumed = new Map<string, Assumed<T>>();

  /** What counts now, given what the cache has. */
  current(key: string, cached: T | undefined): T | undefined {
    if (this.#assumed.size === 0) return cached;
    const assumed = this.#assumed.get(key);
    if (assumed === undefined) return cached;
    if (cached !== undefined && cached.metadata.resourceVersion === assumed.over) return assumed.object;
    this.#assumed.delete(key);
    return cached;
  }

  /** From now on `object` counts, until the cache has another version than `over`. */
  assume(key: string, object: T, over: T): void {
    this.#assumed.set(key, { object, over: over.metadata.resourceVersion });
  }

  /** What the cache has counts again. */
  restore(key: string): void {
    this.#assumed.delete(key);
  }

  get size(): number {
    return this.#assumed.size;
  }
}
