import type { Clock } from "@coracle/base";
import type { KeyValue, Revision } from "@coracle/etcd";
import { expired } from "@coracle/apimachinery";
import type { ApiDraft } from "../registry/resource-definition.ts";
import { EventWindow } from "./event-window.ts";
import type {
  StorageEvent,
  StorageListRequest,
  StorageListResult,
  StorageWatcher,
  StorageWatchRequest,
} from "./object-storage.ts";
import { LabelIndex } from "./label-index.ts";
import { SortedEntries, type Entry } from "./sorted-entries.ts";
import {
  versionAtRest,
  versionFromDraft,
  versionFromValue,
  type StoredVersion,
  type ValueReader,
} from "./stored-version.ts";
import { Watching, WatcherIndex, type IndexFunction } from "./watcher-index.ts";

/** What a cache needs to know about its resource. */
export interface ResourceCacheOptions {
  /** `/registry/pods`, without a slash at the end. */
  readonly prefix: string;
  readonly indexes: Readonly<Record<string, IndexFunction>>;
  readonly read: ValueReader;
  readonly clock: Clock;
}

/** A draft that was written and whose event is awaited: spares parsing the bytes again. */
export interface PendingWrite {
  readonly value: Buffer;
  readonly draft: ApiDraft;
}

/**
 * All objects of one resource, their latest events and the watches on them. Fed with the store's events in order;
 * everything else only reads.
 */
export class ResourceCache {
  readonly prefix: string;
  readonly #options: ResourceCacheOptions;
  readonly #entries = new SortedEntries();
  readonly #watchers = new WatcherIndex();
  readonly #pending = new Map<string, PendingWrite[]>();
  /** Index name → value → versions by key; built when first asked for. */
  readonly #indexes = new Map<string, Map<string, Map<string, StoredVersion>>>();
  readonly #labels = new LabelIndex();
  #window: EventWindow;
  #revision: Revision;

  constructor(options: ResourceCacheOptions, revision: Revision) {
    this.prefix = options.prefix;
    this.#options = options;
    this.#window = new EventWindow(revision);
    this.#revision = revision;
  }

  get count(): number {
    return this.#entries.size;
  }

  /** Everything up to here is in the cache. */
  get revision(): Revision {
    return this.#revision;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  keyOf(namespace: string, name: string): string {
    return namespace === "" ? `${this.prefix}/${name}` : `${this.prefix}/${namespace}/${name}`;
  }

  get(namespace: string, name: string): StoredVersion | undefined {
    return this.#entries.get(this.keyOf(namespace, name));
  }

  /** Fills the cache with what was read at `revision`; before any event. */
  load(kvs: readonly KeyValue[], revision: Revision, onBad: (key: string, error: unknown) => void): void {
    this.#window = new EventWindow(revision);
    this.#revision = revision;
    for (const kv of kvs) {
      const version = this.#readAtRest(kv, onBad);
      if (version !== undefined) this.#entries.put(version);
    }
  }

  /** Takes the place of what was there with what was read at `revision`. */
  reload(kvs: readonly KeyValue[], revision: Revision, onBad: (key: string, error: unknown) => void): void {
    const present = new Set(kvs.map(({ key }) => key));
    const gone = this.#entries.sorted().flatMap(({ key }) => (present.has(key) ? [] : [key]));
    for (const key of gone) this.#entries.delete(key);
    this.#indexes.clear();
    this.#labels.clear();
    this.load(kvs, revision, onBad);
    this.closeWatches("expired");
  }

  #readAtRest(kv: KeyValue, onBad: (key: string, error: unknown) => void): StoredVersion | undefined {
    try {
      return versionAtRest(kv, this.prefix, this.#options.read);
    } catch (error) {
      onBad(kv.key, error);
      return undefined;
    }
  }

  #read(kv: KeyValue, onBad: (key: string, error: unknown) => void): StoredVersion | undefined {
    try {
      const pending = this.#takePending(kv);
      if (pending !== undefined) return versionFromDraft(kv.key, pending.draft, pending.value, kv.modRevision);
      return versionFromValue(kv.key, kv.value, kv.modRevision, this.#options.read);
    } catch (error) {
      onBad(kv.key, error);
      return undefined;
    }
  }

  /** Announces a write before it is sent; `settle` must be called when its outcome is known and seen. */
  announce(key: string, write: PendingWrite): { settle(): void } {
    const list = this.#pending.get(key);
    if (list === undefined) this.#pending.set(key, [write]);
    else list.push(write);
    return { settle: () => this.#removePending(key, write) };
  }

  #takePending(kv: KeyValue): PendingWrite | undefined {
    const list = this.#pending.get(kv.key);
    const found = list?.find((write) => write.value === kv.value || write.value.equals(kv.value));
    if (found !== undefined) this.#removePending(kv.key, found);
    return found;
  }

  #removePending(key: string, write: PendingWrite): void {
    const list = this.#pending.get(key);
    const at = list?.indexOf(write) ?? -1;
    if (list === undefined || at === -1) return;
    list.splice(at, 1);
    if (list.length === 0) this.#pending.delete(key);
  }

  /** A key was written. */
  applyPut(kv: KeyValue, onBad: (key: string, error: unknown) => void): void {
    const current = this.#read(kv, onBad);
    if (current === undefined) return;
    const previous = this.#entries.get(kv.key);
    this.#labels.update(this.#entries.put(current));
    this.#reindex(kv.key, previous, current);
    this.#emit({ type: previous === undefined ? "ADDED" : "MODIFIED", current, previous, revision: kv.modRevision });
  }

  /** A key was deleted. */
  applyDelete(key: string, revision: Revision): void {
    const previous = this.#entries.get(key);
    if (previous === undefined) return;
    this.#labels.update(this.#entries.delete(key) as Entry);
    this.#reindex(key, previous, undefined);
    this.#emit({ type: "DELETED", current: previous.asDeletedAt(revision), previous, revision });
  }

  #emit(event: StorageEvent & { readonly current: StoredVersion; readonly previous: StoredVersion | undefined }): void {
    this.#revision = event.revision;
    this.#window.push(event, this.#options.clock.now());
    this.#watchers.dispatch(event);
    event.previous?.shrink();
    if (event.type === "DELETED") event.current.shrink();
  }

  /** The store has nothing more up to this revision. */
  advance(revision: Revision): void {
    if (revision > this.#revision) this.#revision = revision;
  }

  #reindex(key: string, previous: StoredVersion | undefined, current: StoredVersion | undefined): void {
    for (const [name, byValue] of this.#indexes) {
      const of = this.#options.indexes[name] as IndexFunction;
      if (previous !== undefined) byValue.get(of(previous.object))?.delete(key);
      if (current !== undefined) addToIndex(byValue, of(current.object), current);
    }
  }

  #indexed(name: string, value: string): ReadonlyMap<string, StoredVersion> | undefined {
    const of = this.#options.indexes[name];
    if (of === undefined) return undefined;
    let byValue = this.#indexes.get(name);
    if (byValue === undefined) {
      this.#indexes.set(name, (byValue = new Map()));
      for (const { version } of this.#entries.sorted()) {
        if (version !== undefined) addToIndex(byValue, of(version.object), version);
      }
    }
    return byValue.get(value) ?? NOTHING;
  }

  /** Undefined: the state of that revision is not here, it must be read from the store. */
  list(request: StorageListRequest): StorageListResult | undefined {
    const { revision } = request;
    if (revision === undefined || revision >= this.#window.latest) {
      return this.#listNow(request, revision ?? this.#revision);
    }
    if (revision < this.#window.since) return undefined;
    const scope = this.scopeOf(request);
    const keys = this.#entries.sorted();
    const first = this.#entries.firstAtOrAfter(scope.first);
    const versions = new Map<string, StoredVersion>();
    for (let i = first; i < keys.length; i++) {
      const entry = keys[i];
      if (entry?.version === undefined || entry.key >= scope.end) break;
      versions.set(entry.key, entry.version);
    }
    // Undo what happened since: a key's first event after the revision knows the version before it.
    const undone = new Set<string>();
    for (const event of this.#window.after(revision)) {
      const { key } = event.current;
      if (undone.has(key) || key < scope.first || key >= scope.end) continue;
      undone.add(key);
      if (event.previous === undefined) versions.delete(key);
      else versions.set(key, event.previous as StoredVersion);
    }
    const past = [...versions.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    return pick(past, request, revision, this.matcher(request));
  }

  #listNow(request: StorageListRequest, revision: Revision): StorageListResult {
    const matches = this.matcher(request);
    if (request.name !== undefined && request.namespace !== undefined && request.after === undefined) {
      const found = this.get(request.namespace, request.name);
      return { items: found !== undefined && (matches?.(found) ?? true) ? [found] : [], revision };
    }
    const found = this.#lookUp(request);
    if (found !== undefined) {
      const scope = this.scopeOf(request);
      const inScope = found.filter(({ key }) => key >= scope.first && key < scope.end);
      inScope.sort((a, b) => (a.key < b.key ? -1 : 1));
      return pick(inScope, request, revision, matches);
    }
    const scope = this.scopeOf(request);
    const entries = this.#entries.sorted();
    const from = this.#entries.firstAtOrAfter(scope.first);
    const to = (request.namespace ?? "") === "" ? entries.length : this.#entries.firstAtOrAfter(scope.end);
    const limit = request.limit ?? 0;
    const items: StoredVersion[] = [];
    for (let i = from; i < to; i++) {
      const version = (entries[i] as { version: StoredVersion }).version;
      if (matches !== undefined && !matches(version)) continue;
      if (limit > 0 && items.length === limit) {
        const lastKey = (items.at(-1) as StoredVersion).key;
        return { items, revision, lastKey, remaining: matches === undefined ? to - i : undefined };
      }
      items.push(version);
    }
    return { items, revision };
  }

  /** All that may be wanted, in no order; undefined: no index tells. */
  #lookUp({ index, label }: StorageListRequest): StoredVersion[] | undefined {
    if (index !== undefined) {
      const found = this.#indexed(index.name, index.value);
      if (found !== undefined) return [...found.values()];
    }
    if (label === undefined) return undefined;
    const places = this.#labels.find(label.key, label.value, this.#entries.sorted());
    return places === undefined ? undefined : Array.from(places, ({ version }) => version as StoredVersion);
  }

  /** The keys a request looks at. */
  scopeOf(request: Pick<StorageListRequest, "namespace" | "after">): { readonly first: string; readonly end: string } {
    const { namespace = "" } = request;
    const base = namespace === "" ? this.prefix : `${this.prefix}/${namespace}`;
    return { first: request.after === undefined ? `${base}/` : `${request.after}\0`, end: `${base}0` };
  }

  /** Undefined when everything in scope matches. */
  matcher(request: StorageListRequest): ((version: StoredVersion) => boolean) | undefined {
    const { name, predicate, index } = request;
    const of = index === undefined ? undefined : this.#options.indexes[index.name];
    if (name === undefined && predicate === undefined && of === undefined) return undefined;
    return (version) =>
      (name === undefined || version.name === name) &&
      (of === undefined || of(version.object) === index?.value) &&
      (predicate === undefined || predicate(version.object));
  }

  watch(request: StorageWatchRequest, watcher: StorageWatcher): Disposable {
    const { since } = request;
    const of = request.index === undefined ? undefined : this.#options.indexes[request.index.name];
    const present = since === undefined || since === 0;
    if (!present && since < this.#window.since) {
      throw expired(`too old resource version: ${since} (${this.#window.since})`);
    }
    const watching = new Watching(request, watcher, present ? 0 : since, of);
    const remove = this.#watchers.add(watching);
    if (present) {
      const { items, revision } = this.#listNow(request, this.#revision);
      for (const current of items) {
        watcher.event("ADDED", { type: "ADDED", current, previous: undefined, revision: current.revision });
      }
      watcher.initialDone(revision);
    } else {
      for (const event of this.#window.after(since)) {
        if (watching.covers(event.current.namespace, event.current.name)) watching.deliver(event);
      }
    }
    return { [Symbol.dispose]: remove };
  }

  closeWatches(reason: "expired" | "shutdown"): void {
    this.#watchers.closeAll(reason);
  }
}

const NOTHING: ReadonlyMap<string, StoredVersion> = new Map();

function addToIndex(byValue: Map<string, Map<string, StoredVersion>>, value: string, version: StoredVersion): void {
  const found = byValue.get(value);
  if (found === undefined) byValue.set(value, new Map([[version.key, version]]));
  else found.set(version.key, version);
}

/** Cuts a sorted list of candidates to what the request wants. */
export function pick(
  candidates: readonly StoredVersion[],
  request: StorageListRequest,
  revision: Revision,
  matches: ((version: StoredVersion) => boolean) | undefined,
): StorageListResult {
  const found = matches === undefined ? candidates : candidates.filter(matches);
  const limit = request.limit ?? 0;
  if (limit === 0 || found.length <= limit) return { items: found, revision };
  const items = found.slice(0, limit);
  return {
    items,
    revision,
    lastKey: (items.at(-1) as StoredVersion).key,
    remaining: matches === undefined ? found.length - limit : undefined,
  };
}
