import type { KubeObject } from "@coracle/api";
import type { CacheKey, Lister } from "../informer.ts";

/** `NAMESPACE/NAME`, or `NAME` for cluster-scoped objects. */
export function cacheKeyOf(object: KubeObject): CacheKey {
  const { namespace, name = "" } = object.metadata;
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/** The parts of a key. */
export function splitCacheKey(key: CacheKey): { readonly namespace: string | undefined; readonly name: string } {
  const slash = key.indexOf("/");
  return slash === -1
    ? { namespace: undefined, name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

type IndexFunction<T> = (object: T) => readonly string[];

class Index<T extends KubeObject> {
  readonly #valuesOf: IndexFunction<T>;
  readonly #buckets = new Map<string, Set<T>>();

  constructor(valuesOf: IndexFunction<T>) {
    this.#valuesOf = valuesOf;
  }

  add(object: T): void {
    for (const value of this.#valuesOf(object)) {
      const bucket = this.#buckets.get(value);
      if (bucket === undefined) this.#buckets.set(value, new Set([object]));
      else bucket.add(object);
    }
  }

  remove(object: T): void {
    for (const value of this.#valuesOf(object)) {
      const bucket = this.#buckets.get(value);
      if (bucket?.delete(object) === true && bucket.size === 0) this.#buckets.delete(value);
    }
  }

  get(value: string): readonly T[] {
    const bucket = this.#buckets.get(value);
    return bucket === undefined ? [] : [...bucket];
  }

  count(value: string): number {
    return this.#buckets.get(value)?.size ?? 0;
  }
}

/** Objects by key, with indexes kept in step. The namespace index is made when first asked for. */
export class ObjectCache<T extends KubeObject> implements Lister<T> {
  readonly #objects = new Map<CacheKey, T>();
  readonly #indexes = new Map<string, Index<T>>();
  #byNamespace: Index<T> | undefined;

  get size(): number {
    return this.#objects.size;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(namespace === undefined || namespace === "" ? name : `${namespace}/${name}`);
  }

  byKey(key: CacheKey): T | undefined {
    return this.#objects.get(key);
  }

  keys(): IterableIterator<CacheKey> {
    return this.#objects.keys();
  }

  list(namespace?: string): readonly T[] {
    if (namespace === undefined || namespace === "") return [...this.#objects.values()];
    this.#byNamespace ??= this.#build((object) => [object.metadata.namespace ?? ""]);
    return this.#byNamespace.get(namespace);
  }

  byIndex(index: string, value: string): readonly T[] {
    return this.#index(index).get(value);
  }

  countByIndex(index: string, value: string): number {
    return this.#index(index).count(value);
  }

  #index(name: string): Index<T> {
    const found = this.#indexes.get(name);
    if (found === undefined) throw new Error(`the informer was made without index ${name}`);
    return found;
  }

  /** Adds an index unless there is one of that name. */
  ensureIndex(name: string, valuesOf: IndexFunction<T>): void {
    if (!this.#indexes.has(name)) this.#indexes.set(name, this.#build(valuesOf));
  }

  /** Puts `object` in and returns what it replaced. */
  set(key: CacheKey, object: T): T | undefined {
    const old = this.delete(key);
    this.#objects.set(key, object);
    this.#byNamespace?.add(object);
    for (const index of this.#indexes.values()) index.add(object);
    return old;
  }

  delete(key: CacheKey): T | undefined {
    const old = this.#objects.get(key);
    if (old === undefined) return undefined;
    this.#objects.delete(key);
    this.#byNamespace?.remove(old);
    for (const index of this.#indexes.values()) index.remove(old);
    return old;
  }

  #build(valuesOf: IndexFunction<T>): Index<T> {
    const index = new Index(valuesOf);
    for (const object of this.#objects.values()) index.add(object);
    return index;
  }
}
