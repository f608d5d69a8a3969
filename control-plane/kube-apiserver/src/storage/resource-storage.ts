import { StoreError, type LeaseId, type Op, type Revision, type TxnResult } from "@coracle/etcd";
import {
  alreadyExists,
  expired,
  internalError,
  requestEntityTooLarge,
  serviceUnavailable,
} from "@coracle/apimachinery";
import { createResourceStoreMetrics, type ResourceStoreMetrics, type StoreSeries } from "../metrics/store-metrics.ts";
import type { ApiDraft } from "../registry/resource-definition.ts";
import type { LeasePool } from "./lease-pool.ts";
import type {
  ObjectStorage,
  StorageListRequest,
  StorageListResult,
  StorageWatcher,
  StorageWatchRequest,
  StoredObject,
} from "./object-storage.ts";
import { pick, type ResourceCache } from "./resource-cache.ts";
import type { StorageHub } from "./storage-hub.ts";
import { refuseUnreadable, unreadable } from "./stored-value-guard.ts";
import {
  readJsonValue,
  serialiseForStore,
  versionFromValue,
  type StoredVersion,
  type ValueReader,
} from "./stored-version.ts";

const MAX_TXN_BYTES = 1_572_864;

/** One resource's objects in the store: reads from its cache, writes through transactions on the version. */
export class ResourceStorage implements ObjectStorage {
  readonly #hub: StorageHub;
  readonly #cache: ResourceCache;
  readonly #leases: LeasePool;
  readonly #resource: { readonly group: string; readonly resource: string };
  readonly #read: ValueReader;
  readonly #metrics: ResourceStoreMetrics;

  constructor(options: {
    readonly hub: StorageHub;
    readonly cache: ResourceCache;
    readonly leases: LeasePool;
    readonly resource: { readonly group: string; readonly resource: string };
    readonly read?: ValueReader | undefined;
    /** Absent: nobody asks for them. */
    readonly metrics?: ResourceStoreMetrics | undefined;
  }) {
    this.#hub = options.hub;
    this.#cache = options.cache;
    this.#leases = options.leases;
    this.#resource = options.resource;
    this.#read = options.read ?? readJsonValue;
    this.#metrics = options.metrics ?? createResourceStoreMetrics(options.resource, options.hub.clock);
  }

  get revision(): Revision {
    return this.#cache.revision;
  }

  get count(): number {
    return this.#cache.count;
  }

  get(namespace: string, name: string): StoredObject | undefined {
    const { guard } = this.#hub;
    if (guard?.hasFailures === true) {
      const message = guard.failureOf(this.#cache.keyOf(namespace, name));
      if (message !== undefined) throw unreadable(message);
    }
    return this.#cache.get(namespace, name);
  }

  /** The encryption in force is another than what it was stored with. */
  isOutdated(stored: StoredObject): boolean {
    return this.#hub.guard?.isStale(stored.key) === true;
  }

  async list(request: StorageListRequest): Promise<StorageListResult> {
    if (this.#hub.guard?.hasFailures === true) {
      const scope = this.#cache.scopeOf(request);
      refuseUnreadable(this.#hub.guard, scope.first, scope.end);
    }
    const known = this.#cache.list(request);
    if (known !== undefined) this.#metrics.cacheLists.note(known.items.length);
    if (known !== undefined && request.revision === undefined) return known;
    const { first, end } = this.#cache.scopeOf(request);
    const revision = request.revision as Revision;
    try {
      if (known !== undefined) {
        // The cache may remember more than the store: what is compacted has expired for all servers alike.
        await this.#metrics.list.measure(() => this.#hub.store.range({ key: first, revision, keysOnly: true }));
        return known;
      }
      const range = await this.#metrics.list.measure(() => this.#hub.store.range({ key: first, end, revision }));
      this.#metrics.storeLists.note(range.kvs.length);
      const versions = range.kvs.map((kv) => versionFromValue(kv.key, kv.value, kv.modRevision, this.#read));
      return pick(versions, request, revision, this.#cache.matcher(request));
    } catch (error) {
      throw translate(error);
    }
  }

  watch(request: StorageWatchRequest, watcher: StorageWatcher): Disposable {
    if (this.#hub.guard?.hasFailures === true) {
      const scope = this.#cache.scopeOf({ namespace: request.namespace });
      refuseUnreadable(this.#hub.guard, scope.first, scope.end);
    }
    return this.#cache.watch(request, watcher);
  }

  async create(object: ApiDraft, options?: { readonly ttlSeconds?: number | undefined }): Promise<StoredObject> {
    const { namespace, name } = object.metadata as { namespace?: string; name: string };
    const key = this.#cache.keyOf(namespace ?? "", name);
    const ttl = options?.ttlSeconds;
    const lease = ttl === undefined ? undefined : await this.#leases.lease(ttl);
    const stored = await this.#write(key, object, 0, lease);
    if (stored === undefined) throw alreadyExists(this.#resource, name);
    return stored;
  }

  replace(
    previous: StoredObject,
    object: ApiDraft,
    options?: { readonly ttlSeconds?: number | undefined },
  ): Promise<StoredObject | undefined> {
    const ttl = options?.ttlSeconds;
    if (ttl === undefined) return this.#write(previous.key, object, previous.revision, undefined);
    return this.#leases.lease(ttl).then((lease) => this.#write(previous.key, object, previous.revision, lease));
  }

  async #write(
    key: string,
    draft: ApiDraft,
    expected: Revision,
    lease: LeaseId | undefined,
  ): Promise<StoredObject | undefined> {
    const value = serialiseForStore(draft);
    if (value.length > MAX_TXN_BYTES) throw requestEntityTooLarge(MAX_TXN_BYTES);
    const announced = this.#cache.announce(key, { value, draft });
    try {
      const series = expected === 0 ? this.#metrics.create : this.#metrics.update;
      const result = await this.#commit(series, expected, { type: "put", key, value, lease });
      // Whoever tries again must see what was in the way.
      if (this.#hub.revision < result.revision) await this.#hub.waitFor(result.revision);
      if (!result.succeeded) return undefined;
      const { namespace = "", name } = draft.metadata as { namespace?: string; name: string };
      const stored = this.#cache.get(namespace, name);
      if (stored !== undefined && stored.revision === result.revision) return stored;
      // Overwritten already by somebody quicker: answer what we wrote all the same.
      return versionFromValue(key, value, result.revision, this.#read);
    } finally {
      announced.settle();
    }
  }

  async remove(previous: StoredObject): Promise<StoredObject | undefined> {
    const { key } = previous;
    const result = await this.#commit(this.#metrics.delete, previous.revision, { type: "delete", key });
    await this.#hub.waitFor(result.revision);
    if (!result.succeeded) return undefined;
    return (previous as StoredVersion).asDeletedAt(result.revision);
  }

  async #commit(
    series: StoreSeries,
    expected: Revision,
    op: Op & { readonly type: "put" | "delete" },
  ): Promise<TxnResult> {
    const compare = [{ key: op.key, target: "mod", op: "=", value: expected }] as const;
    const startedAt = series.begin();
    let isFailure = true;
    try {
      const result = await this.#hub.store.txn({ compare, success: [op] });
      isFailure = false;
      return result;
    } catch (error) {
      throw translate(error);
    } finally {
      series.end(startedAt, isFailure);
    }
  }
}

/** A store's failure as the API tells it. */
export function translate(error: unknown): unknown {
  if (!(error instanceof StoreError)) return error;
  switch (error.code) {
    case "compacted":
      return expired("The resourceVersion for the provided list is too old.");
    case "tooLarge":
      return requestEntityTooLarge(MAX_TXN_BYTES);
    case "closed":
    case "unavailable":
      return serviceUnavailable(`the store is not available: ${error.message}`, { cause: error });
    default:
      return internalError(error.message, { cause: error });
  }
}
