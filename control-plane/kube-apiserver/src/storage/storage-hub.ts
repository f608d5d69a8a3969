import { sleep, type Clock, type Logger } from "@coracle/base";
import {
  prefixEnd,
  StoreError,
  type KeyValue,
  type Revision,
  type Store,
  type StoreEvent,
  type WatchHandle,
} from "@coracle/etcd";
import { serviceUnavailable } from "@coracle/apimachinery";
import { ResourceCache } from "./resource-cache.ts";
import { readJsonValue, type ValueReader } from "./stored-version.ts";
import type { StoredValueGuard } from "./stored-value-guard.ts";
import type { IndexFunction } from "./watcher-index.ts";

/** What a cache has seen. */
interface CacheCounts {
  /** Of its resource, from the store. */
  events: number;
  /** Times that it was read whole. */
  initializations: number;
}

/** Where everything of Kubernetes is in the store. */
export const STORE_ROOT = "/registry/";

/** What a resource needs to be cached. */
export interface CachedResource {
  readonly prefix: string;
  readonly indexes?: Readonly<Record<string, IndexFunction>> | undefined;
}

/** Key-values that are read at once. */
const PAGE = 2_000;
const RETRY_MS = 1_000;

interface RevisionWaiter {
  readonly revision: Revision;
  readonly resolve: () => void;
}

/**
 * The one watch on the store, that feeds the caches of all resources. `revision` is how far all of them are; a
 * resource may be added at any time.
 */
export class StorageHub implements AsyncDisposable {
  readonly store: Store;
  readonly clock: Clock;
  /** Absent: everything in the store can be read. */
  readonly guard: StoredValueGuard | undefined;
  readonly #logger: Logger;
  readonly #read: ValueReader;
  readonly #caches = new Map<string, ResourceCache>();
  readonly #counts = new WeakMap<ResourceCache, CacheCounts>();
  /** Caches that are being filled: their events wait. */
  readonly #loading = new Map<ResourceCache, StoreEvent[]>();
  #waiters: RevisionWaiter[] = [];
  #revision: Revision = 0;
  #handle: WatchHandle | undefined;
  #closed: StoreError | undefined;
  #asking: Promise<void> | undefined;
  /** How often the state was read anew. */
  #beginnings = 0;
  readonly #over = new AbortController();

  constructor(options: {
    readonly store: Store;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly read?: ValueReader | undefined;
    readonly guard?: StoredValueGuard | undefined;
  }) {
    this.store = options.store;
    this.clock = options.clock;
    this.guard = options.guard;
    this.#logger = options.logger;
    this.#read = options.read ?? readJsonValue;
  }

  get revision(): Revision {
    return this.#revision;
  }

  /** Reads the whole state once and follows it from there. */
  async start(resources: readonly CachedResource[]): Promise<void> {
    for (const resource of resources) this.#register(resource);
    const end = prefixEnd(STORE_ROOT);
    const state = await this.store.range({ key: STORE_ROOT, end, limit: PAGE });
    this.#fill(state.kvs, state.revision, [...this.#caches.values()]);
    // What is read whole at once is in memory whole at once, beside what becomes of it.
    for (let page = state; page.more;) {
      const last = page.kvs.at(-1)!.key;
      // A turn for the store, which lets go of what was read.
      await new Promise((resolve) => setImmediate(resolve));
      page = await this.store.range({ key: `${last}\0`, end, limit: PAGE, revision: state.revision });
      this.#fill(page.kvs, state.revision, []);
    }
    this.#revision = state.revision;
    this.#handle = await this.#follow(state.revision);
  }

  /** Gives caches what is theirs; `all`: caches that are told even if there is nothing for them. */
  #fill(kvs: readonly KeyValue[], revision: Revision, all: readonly ResourceCache[]): void {
    const byCache = new Map<ResourceCache, KeyValue[]>(all.map((cache) => [cache, []]));
    for (const kv of kvs) {
      const cache = this.#cacheOf(kv.key);
      if (cache === undefined) continue;
      const known = byCache.get(cache);
      if (known === undefined) byCache.set(cache, [kv]);
      else known.push(kv);
    }
    for (const [cache, own] of byCache) cache.load(own, revision, this.#onBad);
    for (const cache of all) this.#countLoad(cache);
  }

  #countLoad(cache: ResourceCache): void {
    const counts = this.#counts.get(cache);
    if (counts !== undefined) counts.initializations += 1;
  }

  /** What each cache has seen so far, by the keys of its resource: `/registry/pods`. */
  *cacheCounts(): Iterable<CacheCounts & { readonly prefix: string; readonly revision: Revision }> {
    for (const [prefix, cache] of this.#caches) {
      const counts = this.#counts.get(cache);
      if (counts !== undefined) yield { ...counts, prefix, revision: cache.revision };
    }
  }

  #register({ prefix, indexes = {} }: CachedResource): ResourceCache {
    const cache = new ResourceCache({ prefix, indexes, read: this.#read, clock: this.clock }, this.#revision);
    this.#caches.set(prefix, cache);
    this.#counts.set(cache, { events: 0, initializations: 0 });
    return cache;
  }

  /** The cache of a resource that `start` was given, or was added since. */
  cache(prefix: string): ResourceCache | undefined {
    return this.#caches.get(prefix);
  }

  /** Begins to cache another resource. */
  async add(resource: CachedResource): Promise<ResourceCache> {
    const known = this.#caches.get(resource.prefix);
    if (known !== undefined) return known;
    const cache = this.#register(resource);
    await this.#readAlone(cache);
    return cache;
  }

  /** Reads the resources of these keys anew: they can be read by now. Their watches are closed, so that nobody misses them. */
  async reread(keys: readonly string[]): Promise<void> {
    const caches = new Set(keys.map((key) => this.#cacheOf(key)));
    for (const cache of caches) {
      if (cache !== undefined && !this.#loading.has(cache)) await this.#readAlone(cache);
    }
  }

  /** Reads one resource while the watch goes on: what happens meanwhile comes after it. */
  async #readAlone(cache: ResourceCache): Promise<void> {
    const waiting: StoreEvent[] = [];
    this.#loading.set(cache, waiting);
    try {
      const key = `${cache.prefix}/`;
      let beginning: number;
      do {
        beginning = this.#beginnings;
        const state = await this.store.range({ key, end: prefixEnd(key) });
        await this.waitFor(state.revision);
        cache.reload(state.kvs, state.revision, this.#onBad);
        this.#countLoad(cache);
        for (const event of waiting) if (revisionOf(event) > state.revision) this.#applyOne(cache, event);
        // When the watch began anew in between, events are missing.
      } while (beginning !== this.#beginnings);
    } finally {
      this.#loading.delete(cache);
    }
    cache.advance(this.#revision);
  }

  /** Stops caching a resource; its watches are closed. */
  remove(prefix: string): void {
    const cache = this.#caches.get(prefix);
    this.#caches.delete(prefix);
    cache?.closeWatches("expired");
  }

  readonly #onBad = (key: string, error: unknown): void => {
    this.#logger.error("an object in the store cannot be read; it is left out", { key, error });
  };

  #cacheOf(key: string): ResourceCache | undefined {
    const one = key.indexOf("/", STORE_ROOT.length);
    if (one === -1) return undefined;
    const cache = this.#caches.get(key.slice(0, one));
    if (cache !== undefined) return cache;
    const two = key.indexOf("/", one + 1);
    return two === -1 ? undefined : this.#caches.get(key.slice(0, two));
  }

  #apply(events: readonly StoreEvent[], revision: Revision): void {
    for (const event of events) {
      const cache = this.#cacheOf(event.type === "put" ? event.kv.key : event.key);
      if (cache === undefined) continue;
      const waiting = this.#loading.get(cache);
      if (waiting === undefined) this.#applyOne(cache, event);
      else waiting.push(event);
    }
    if (revision <= this.#revision) return;
    this.#revision = revision;
    for (const cache of this.#caches.values()) if (!this.#loading.has(cache)) cache.advance(revision);
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter((waiter) => waiter.revision <= revision);
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > revision);
    for (const waiter of ready) waiter.resolve();
  }

  #applyOne(cache: ResourceCache, event: StoreEvent): void {
    const counts = this.#counts.get(cache);
    if (counts !== undefined) counts.events += 1;
    if (event.type === "put") cache.applyPut(event.kv, this.#onBad);
    else cache.applyDelete(event.key, event.modRevision);
  }

  #onClosed(reason: StoreError): void {
    if (reason.code === "compacted") {
      this.#logger.warn("the store no longer has what happened while it was out of reach; its state is read anew");
      void this.#beginAnew();
      return;
    }
    this.#closed = reason;
    if (reason.code !== "closed") this.#logger.error("the watch on the store ended", { error: reason });
    this.#endWatches();
  }

  /** Reads everything, as often as it takes. All watches are closed, so that nobody misses what was in between. */
  async #beginAnew(): Promise<void> {
    while (this.#closed === undefined) {
      try {
        const end = prefixEnd(STORE_ROOT);
        const state = await this.store.range({ key: STORE_ROOT, end });
        this.#beginnings += 1;
        const caches = [...this.#caches.values()].filter((cache) => !this.#loading.has(cache));
        const byCache = new Map<ResourceCache, KeyValue[]>(caches.map((cache) => [cache, []]));
        for (const kv of state.kvs) {
          const cache = this.#cacheOf(kv.key);
          if (cache !== undefined) byCache.get(cache)?.push(kv);
        }
        for (const [cache, own] of byCache) {
          cache.reload(own, state.revision, this.#onBad);
          this.#countLoad(cache);
        }
        this.#apply([], state.revision);
        this.#handle = await this.#follow(state.revision);
        if (this.#over.signal.aborted) this.#handle[Symbol.dispose]();
        return;
      } catch (error) {
        this.#logger.error("the store's state cannot be read", { error });
        await sleep(this.clock, RETRY_MS, this.#over.signal).catch(() => undefined);
      }
    }
  }

  #follow(revision: Revision): Promise<WatchHandle> {
    return this.store.watch(
      { key: STORE_ROOT, end: prefixEnd(STORE_ROOT), startRevision: revision + 1, progress: true },
      { events: (events, at) => this.#apply(events, at), closed: (reason) => this.#onClosed(reason) },
    );
  }

  #endWatches(): void {
    for (const cache of this.#caches.values()) cache.closeWatches("shutdown");
    for (const waiter of this.#waiters.splice(0)) waiter.resolve();
  }

  /** Resolves when the caches have everything up to `revision`. */
  async waitFor(revision: Revision): Promise<void> {
    if (this.#revision >= revision) return;
    if (this.#closed === undefined) {
      await new Promise<void>((resolve) => this.#waiters.push({ revision, resolve }));
    }
    if (this.#revision < revision) throw serviceUnavailable("the store is closed", { cause: this.#closed });
  }

  /**
   * For a store that others write to as well: resolves when the caches have everything that was committed before the call. Calls
   * that come while one is about to ask share its question.
   */
  get freshen(): (() => Promise<void>) | undefined {
    return this.store.isShared === true ? this.#freshen : undefined;
  }

  readonly #freshen = (): Promise<void> => {
    this.#asking ??= Promise.resolve().then(async () => {
      this.#asking = undefined;
      await this.waitFor(await this.store.revision());
    });
    return this.#asking;
  };

  /** Like `waitFor`, with a limit; false when it was reached. */
  async waitAtMost(revision: Revision, ms: number): Promise<boolean> {
    if (this.#revision >= revision) return true;
    await new Promise<void>((resolve) => {
      const waiter: RevisionWaiter = { revision, resolve: done };
      const timer = this.clock.after(ms, done);
      function done(): void {
        timer[Symbol.dispose]();
        resolve();
      }
      this.#waiters.push(waiter);
    });
    return this.#revision >= revision;
  }

  // oxlint-disable-next-line require-await
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new DOMException("the storage is closed", "AbortError"));
    this.#handle?.[Symbol.dispose]();
    this.#closed ??= new StoreError("closed", "the storage is closed");
    this.#endWatches();
  }
}

const revisionOf = (event: StoreEvent): Revision => (event.type === "put" ? event.kv.modRevision : event.modRevision);
