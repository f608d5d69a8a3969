import type { Clock } from "@coracle/base";
import type { KeyValue, Revision } from "@coracle/etcd";
import { isExpired, statusError } from "@coracle/apimachinery";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type {
  ObjectStorage,
  StorageEvent,
  StorageListRequest,
  StorageListResult,
  StorageWatcher,
  StorageWatchRequest,
  StoredObject,
} from "../storage/object-storage.ts";
import { ResourceCache } from "../storage/resource-cache.ts";
import { readJsonValue, serialiseForStore } from "../storage/stored-version.ts";
import type { Converter } from "./conversion-review.ts";
import type { VersionForm } from "./version-view.ts";

/** What has happened to the stored objects and is not converted yet. */
type Change =
  | { readonly type: "put"; readonly source: StoredObject; readonly revision: Revision }
  | { readonly type: "delete"; readonly key: string; readonly revision: Revision };

/** Objects of one call at most. */
const BATCH = 500;

/**
 * One version's objects where a webhook converts: a cache of its own, that follows the stored objects as fast as the
 * webhook answers. Begins with the first request. What cannot be converted is asked for again when someone wants it.
 */
export class ConvertedView implements ObjectStorage {
  readonly #base: ObjectStorage;
  readonly #form: VersionForm;
  readonly #convert: Converter;
  readonly #cache: ResourceCache;
  readonly #broken = new Map<string, StoredObject>();
  #source: Disposable | undefined;
  #changes: Change[] = [];
  /** The present state, until it is loaded. */
  #present: StoredObject[] | undefined = [];
  #working: Promise<void> | undefined;
  #isOver = false;

  constructor(options: {
    readonly base: ObjectStorage;
    readonly prefix: string;
    readonly form: VersionForm;
    readonly convert: Converter;
    readonly clock: Clock;
  }) {
    this.#base = options.base;
    this.#form = options.form;
    this.#convert = options.convert;
    const { prefix, clock } = options;
    this.#cache = new ResourceCache({ prefix, indexes: {}, read: readJsonValue, clock }, options.base.revision);
  }

  get revision(): Revision {
    return this.isReady ? this.#base.revision : this.#cache.revision;
  }
  get count(): number {
    return this.#base.count;
  }

  /** Everything stored is converted. */
  get isReady(): boolean {
    return this.#source !== undefined && this.#working === undefined && this.#changes.length === 0;
  }

  #begin(): void {
    if (this.#source !== undefined) return;
    const watcher: StorageWatcher = {
      event: (type, event) => this.#take(type, event),
      initialDone: (revision) => this.#run(async () => this.#load(revision)),
      closed: (reason) => this.close(reason),
    };
    this.#source = this.#base.watch({ since: 0 }, watcher);
  }

  #take(type: string, event: StorageEvent): void {
    const { current, revision } = event;
    if (this.#working === undefined && this.#present !== undefined) {
      this.#present.push(current);
      return;
    }
    if (type === "DELETED") this.#changes.push({ type: "delete", key: current.key, revision });
    else this.#changes.push({ type: "put", source: current, revision });
    if (this.#working === undefined) this.#run(() => Promise.resolve());
  }

  #run(first: () => Promise<void>): void {
    this.#working = first()
      .then(() => this.#work())
      .finally(() => (this.#working = undefined));
  }

  async #load(revision: Revision): Promise<void> {
    const sources = this.#present ?? [];
    const kvs: KeyValue[] = [];
    for (let i = 0; i < sources.length; i += BATCH) {
      const batch = sources.slice(i, i + BATCH);
      const converted = await this.#convertAll(batch);
      for (const source of batch) {
        const value = converted.get(source);
        if (value === undefined) this.#broken.set(source.key, source);
        else kvs.push(keyValueOf(source.key, value, source.revision));
      }
    }
    this.#present = undefined;
    this.#cache.load(kvs, revision, () => undefined);
  }

  async #work(): Promise<void> {
    while (this.#changes.length > 0 && !this.#isOver) {
      const batch = this.#changes.splice(0, BATCH);
      const puts = batch.flatMap((change) => (change.type === "put" ? [change.source] : []));
      const converted = await this.#convertAll(puts);
      for (const change of batch) this.#apply(change, converted);
    }
  }

  /** Bytes by source; those that cannot be converted are missing. */
  async #convertAll(sources: readonly StoredObject[]): Promise<ReadonlyMap<StoredObject, Buffer>> {
    const out = new Map<StoredObject, Buffer>();
    if (sources.length === 0) return out;
    try {
      const objects = await this.#convert(
        sources.map(({ object }) => object),
        this.#form.apiVersion,
      );
      objects.forEach((draft, i) => out.set(sources[i] as StoredObject, this.#bytesOf(draft)));
    } catch {
      // One bad object must not hide the others.
      if (sources.length === 1) return out;
      for (const source of sources) for (const [one, bytes] of await this.#convertAll([source])) out.set(one, bytes);
    }
    return out;
  }

  #bytesOf(draft: ApiDraft): Buffer {
    this.#form.schema.readStored(draft);
    return serialiseForStore(draft);
  }

  #apply(change: Change, converted: ReadonlyMap<StoredObject, Buffer>): void {
    const { revision } = change;
    if (change.type === "delete") {
      this.#broken.delete(change.key);
      this.#cache.applyDelete(change.key, revision);
      return;
    }
    const { source } = change;
    const value = converted.get(source);
    if (value === undefined) {
      this.#broken.set(source.key, source);
      this.#cache.applyDelete(source.key, revision);
      return;
    }
    this.#broken.delete(source.key);
    this.#put(source, value, revision);
  }

  #put(source: StoredObject, value: Buffer, revision: Revision): void {
    this.#cache.applyPut(keyValueOf(source.key, value, revision), () => undefined);
  }

  /** Waits until what was stored at the call is converted; throws when what the caller wants cannot be. */
  async ready(namespace?: string, name?: string): Promise<void> {
    this.#begin();
    while (this.#working !== undefined) await this.#working;
    this.#cache.advance(this.#base.revision);
    if (this.#broken.size === 0) return;
    const wanted = [...this.#broken.values()].filter(
      (source) =>
        (namespace === undefined || namespace === source.namespace) && (name === undefined || name === source.name),
    );
    if (wanted.length === 0) return;
    const objects = await this.#convert(
      wanted.map(({ object }) => object),
      this.#form.apiVersion,
    );
    wanted.forEach((source, i) => {
      if (this.#broken.get(source.key) !== source) return;
      this.#broken.delete(source.key);
      this.#put(source, this.#bytesOf(objects[i] as ApiDraft), source.revision);
    });
  }

  get(namespace: string, name: string): StoredObject | undefined {
    return this.#cache.get(namespace, name);
  }

  async list(request: StorageListRequest): Promise<StorageListResult> {
    const known = this.#cache.list(request);
    if (known !== undefined) return known;
    // Older than what is remembered here: from the store, converted for this answer alone.
    const { predicate, label: _label, ...rest } = request;
    const result = await this.#base.list(rest);
    const objects = await this.#convert(
      result.items.map(({ object }) => object),
      this.#form.apiVersion,
    );
    const cache = new ResourceCache(
      { prefix: this.#cache.prefix, indexes: {}, read: readJsonValue, clock: NO_CLOCK },
      result.revision,
    );
    const kvs = result.items.map((item, i) =>
      keyValueOf(item.key, this.#bytesOf(objects[i] as ApiDraft), item.revision),
    );
    cache.load(kvs, result.revision, () => undefined);
    const { after: _after, limit: _limit, revision: _revision, ...scope } = request;
    const items = cache.list({ ...scope, predicate })?.items ?? [];
    return { ...result, items };
  }

  async #toStored(draft: ApiDraft): Promise<ApiDraft> {
    const { apiVersion, storedApiVersion } = this.#form;
    if (apiVersion === storedApiVersion) return draft;
    const [stored] = await this.#convert([draft as ApiObject], storedApiVersion);
    if (stored === undefined) throw statusError("", "conversion returned no object");
    return stored;
  }

  /** The object as this version has it after a write. */
  async #written(stored: StoredObject): Promise<StoredObject> {
    const { namespace, name, revision } = stored;
    await this.ready(namespace, name);
    const found = this.#cache.get(namespace, name);
    if (found !== undefined && found.revision >= revision) return found;
    throw statusError("", `the object ${name} was deleted while it was converted`);
  }

  async create(object: ApiDraft): Promise<StoredObject> {
    return this.#written(await this.#base.create(await this.#toStored(object)));
  }

  async replace(previous: StoredObject, object: ApiDraft): Promise<StoredObject | undefined> {
    const stored = await this.#base.replace(previous, await this.#toStored(object));
    if (stored !== undefined) return this.#written(stored);
    await this.ready(previous.namespace, previous.name);
    return undefined;
  }

  async remove(previous: StoredObject): Promise<StoredObject | undefined> {
    const removed = await this.#base.remove(previous);
    if (removed === undefined) await this.ready(previous.namespace, previous.name);
    return removed;
  }

  isOutdated(stored: StoredObject): boolean {
    const source = this.#base.get(stored.namespace, stored.name);
    if (source === undefined) return false;
    return source.object["apiVersion"] !== this.#form.storedApiVersion || this.#base.isOutdated?.(source) === true;
  }

  watch(request: StorageWatchRequest, watcher: StorageWatcher): Disposable {
    if (this.isReady) return this.#cache.watch(request, watcher);
    let source: Disposable | undefined;
    let isOver = false;
    const start = async (): Promise<void> => {
      await this.ready();
      if (isOver) return;
      source = this.#cache.watch(request, watcher);
    };
    start().catch((error: unknown) => {
      if (!isOver) watcher.closed(isExpired(error) ? "expired" : "shutdown");
    });
    return {
      [Symbol.dispose]() {
        isOver = true;
        source?.[Symbol.dispose]();
      },
    };
  }

  /** Ends all watches and follows no longer. */
  close(reason: "expired" | "shutdown"): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#changes = [];
    this.#source?.[Symbol.dispose]();
    this.#cache.closeWatches(reason);
  }
}

const keyValueOf = (key: string, value: Buffer, revision: Revision): KeyValue => ({
  key,
  value,
  createRevision: revision,
  modRevision: revision,
  version: 1,
  lease: 0,
});

/** For caches that are read once. */
const NO_CLOCK = { now: () => 0 } as Clock;
