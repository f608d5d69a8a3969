import type { Revision } from "@coracle/etcd";
import type { ApiDraft, ApiObject } from "../registry/resource-definition.ts";
import type {
  ObjectStorage,
  StorageEvent,
  StorageListRequest,
  StorageListResult,
  StorageWatcher,
  StorageWatchRequest,
  StoredObject,
} from "./object-storage.ts";
import { deepFreeze } from "./stored-version.ts";

/** How objects of a served version and of the stored version become one another. */
export interface Conversion {
  fromStored(object: ApiObject): ApiObject;
  toStored(draft: ApiDraft): ApiDraft;
}

/** A stored object in another version; made once per version of the object. */
class ConvertedObject implements StoredObject {
  readonly source: StoredObject;
  readonly #conversion: Conversion;
  #object: ApiObject | undefined;
  #json: Buffer | undefined;
  #encoded: Map<string, Buffer> | undefined;

  constructor(source: StoredObject, conversion: Conversion) {
    this.source = source;
    this.#conversion = conversion;
  }

  get key(): string {
    return this.source.key;
  }
  get namespace(): string {
    return this.source.namespace;
  }
  get name(): string {
    return this.source.name;
  }
  get revision(): Revision {
    return this.source.revision;
  }
  get object(): ApiObject {
    return (this.#object ??= deepFreeze(this.#conversion.fromStored(this.source.object)));
  }
  get json(): Buffer {
    return (this.#json ??= Buffer.from(JSON.stringify(this.object)));
  }

  encoded(encoding: string, make: (stored: StoredObject) => Buffer): Buffer {
    this.#encoded ??= new Map();
    let known = this.#encoded.get(encoding);
    if (known === undefined) this.#encoded.set(encoding, (known = make(this)));
    return known;
  }
}

/** Another version's view of a resource: reads and watches come converted, writes go converted. */
export class ConvertedStorage implements ObjectStorage {
  readonly #base: ObjectStorage;
  readonly #conversion: Conversion;
  readonly #objects = new WeakMap<StoredObject, ConvertedObject>();
  readonly #events = new WeakMap<StorageEvent, StorageEvent>();

  constructor(base: ObjectStorage, conversion: Conversion) {
    this.#base = base;
    this.#conversion = conversion;
  }

  get revision(): Revision {
    return this.#base.revision;
  }
  get count(): number {
    return this.#base.count;
  }

  #view(source: StoredObject): ConvertedObject {
    let view = this.#objects.get(source);
    if (view === undefined) this.#objects.set(source, (view = new ConvertedObject(source, this.#conversion)));
    return view;
  }

  #maybe(source: StoredObject | undefined): ConvertedObject | undefined {
    return source === undefined ? undefined : this.#view(source);
  }

  #eventView(event: StorageEvent): StorageEvent {
    let view = this.#events.get(event);
    if (view === undefined) {
      view = { ...event, current: this.#view(event.current), previous: this.#maybe(event.previous) };
      this.#events.set(event, view);
    }
    return view;
  }

  /** Predicates look at the served version. */
  #request<T extends StorageListRequest | StorageWatchRequest>(request: T): T {
    const { predicate } = request;
    if (predicate === undefined) return request;
    return { ...request, predicate: (object: ApiObject) => predicate(this.#conversion.fromStored(object)) };
  }

  get(namespace: string, name: string): StoredObject | undefined {
    return this.#maybe(this.#base.get(namespace, name));
  }

  async list(request: StorageListRequest): Promise<StorageListResult> {
    const result = await this.#base.list(this.#request(request));
    return { ...result, items: result.items.map((item) => this.#view(item)) };
  }

  async create(object: ApiDraft, options?: { readonly ttlSeconds?: number | undefined }): Promise<StoredObject> {
    return this.#view(await this.#base.create(this.#conversion.toStored(object), options));
  }

  async replace(
    previous: StoredObject,
    object: ApiDraft,
    options?: { readonly ttlSeconds?: number | undefined },
  ): Promise<StoredObject | undefined> {
    const { source } = previous as ConvertedObject;
    return this.#maybe(await this.#base.replace(source, this.#conversion.toStored(object), options));
  }

  async remove(previous: StoredObject): Promise<StoredObject | undefined> {
    return this.#maybe(await this.#base.remove((previous as ConvertedObject).source));
  }

  isOutdated(stored: StoredObject): boolean {
    return this.#base.isOutdated?.((stored as ConvertedObject).source) === true;
  }

  watch(request: StorageWatchRequest, watcher: StorageWatcher): Disposable {
    return this.#base.watch(this.#request(request), {
      event: (type, event) => watcher.event(type, this.#eventView(event)),
      initialDone: (revision) => watcher.initialDone(revision),
      closed: (reason) => watcher.closed(reason),
    });
  }
}
