import type { Revision } from "@coracle/etcd";
import { cloneJson, equalJson, type Draft } from "@coracle/apimachinery";
import type { CustomSchema } from "@coracle/apimachinery/structural";
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
import { deepFreeze } from "../storage/stored-version.ts";

/** A stored object as a version shows it, where that differs from what is stored. */
class ViewedObject implements StoredObject {
  readonly source: StoredObject;
  readonly object: ApiObject;
  #json: Buffer | undefined;
  #encoded: Map<string, Buffer> | undefined;

  constructor(source: StoredObject, object: ApiObject) {
    this.source = source;
    this.object = object;
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

/** What a version makes of stored objects. */
export interface VersionForm {
  /** `GROUP/VERSION` of the view. */
  readonly apiVersion: string;
  /** `GROUP/VERSION` that is written. */
  readonly storedApiVersion: string;
  readonly schema: CustomSchema;
}

/**
 * One version's objects, where conversion changes nothing but the version's name: pruned and defaulted by the
 * version's schema. What is stored just so is shown as it is, without a copy.
 */
export class VersionView implements ObjectStorage {
  readonly #base: ObjectStorage;
  #form: VersionForm;
  /** Drafts that went through the present schema before they were stored. */
  #settled = new WeakSet<object>();
  #views = new WeakMap<StoredObject, StoredObject>();
  #events = new WeakMap<StorageEvent, StorageEvent>();

  constructor(base: ObjectStorage, form: VersionForm) {
    this.#base = base;
    this.#form = form;
  }

  /** The definition has changed: what is read from now on has the new form. */
  reform(form: VersionForm): void {
    this.#form = form;
    this.#settled = new WeakSet();
    this.#views = new WeakMap();
    this.#events = new WeakMap();
  }

  get revision(): Revision {
    return this.#base.revision;
  }
  get count(): number {
    return this.#base.count;
  }

  #view(source: StoredObject): StoredObject {
    let view = this.#views.get(source);
    if (view === undefined) this.#views.set(source, (view = this.#make(source)));
    return view;
  }

  #make(source: StoredObject): StoredObject {
    const { object } = source;
    if (this.#settled.has(object)) return source;
    const { apiVersion, schema } = this.#form;
    const draft = cloneJson(object) as ApiDraft;
    draft.apiVersion = apiVersion;
    schema.readStored(draft);
    return equalJson(draft, object) ? source : new ViewedObject(source, deepFreeze(draft) as ApiObject);
  }

  #objectOf(object: ApiObject): ApiObject {
    const { apiVersion, schema } = this.#form;
    if (this.#settled.has(object)) return object;
    const draft = cloneJson(object) as ApiDraft;
    draft.apiVersion = apiVersion;
    schema.readStored(draft);
    return draft as ApiObject;
  }

  #maybe(source: StoredObject | undefined): StoredObject | undefined {
    return source === undefined ? undefined : this.#view(source);
  }

  #eventView(event: StorageEvent): StorageEvent {
    let view = this.#events.get(event);
    if (view === undefined) {
      const current = this.#view(event.current);
      const previous = this.#maybe(event.previous);
      view = current === event.current && previous === event.previous ? event : { ...event, current, previous };
      this.#events.set(event, view);
    }
    return view;
  }

  /** Predicates look at the version's objects. */
  #request<T extends StorageListRequest | StorageWatchRequest>(request: T): T {
    const { predicate } = request;
    if (predicate === undefined) return request;
    return { ...request, predicate: (object: ApiObject) => predicate(this.#objectOf(object)) };
  }

  /** As it is written. */
  #stored(draft: ApiDraft): ApiDraft {
    const { apiVersion, storedApiVersion } = this.#form;
    if (apiVersion === storedApiVersion) {
      this.#settled.add(draft);
      return draft;
    }
    return { ...draft, apiVersion: storedApiVersion, metadata: { ...draft.metadata } };
  }

  get(namespace: string, name: string): StoredObject | undefined {
    return this.#maybe(this.#base.get(namespace, name));
  }

  async list(request: StorageListRequest): Promise<StorageListResult> {
    const result = await this.#base.list(this.#request(request));
    return { ...result, items: result.items.map((item) => this.#view(item)) };
  }

  async create(object: ApiDraft): Promise<StoredObject> {
    return this.#view(await this.#base.create(this.#stored(object)));
  }

  async replace(previous: StoredObject, object: ApiDraft): Promise<StoredObject | undefined> {
    return this.#maybe(await this.#base.replace(sourceOf(previous), this.#stored(object)));
  }

  async remove(previous: StoredObject): Promise<StoredObject | undefined> {
    return this.#maybe(await this.#base.remove(sourceOf(previous)));
  }

  /** Whether what is stored is not what a write would store: of another version, or without newer defaults. */
  isOutdated(stored: StoredObject): boolean {
    const source = sourceOf(stored);
    if (source.object["apiVersion"] !== this.#form.storedApiVersion) return true;
    if (this.#base.isOutdated?.(source) === true) return true;
    return source !== stored && !equalJson(withoutVersion(source.object), withoutVersion(stored.object));
  }

  watch(request: StorageWatchRequest, watcher: StorageWatcher): Disposable {
    return this.#base.watch(this.#request(request), {
      event: (type, event) => watcher.event(type, this.#eventView(event)),
      initialDone: (revision) => watcher.initialDone(revision),
      closed: (reason) => watcher.closed(reason),
    });
  }
}

const sourceOf = (stored: StoredObject): StoredObject => (stored instanceof ViewedObject ? stored.source : stored);

const withoutVersion = (object: ApiObject): Draft => ({ ...object, apiVersion: undefined });
