import type { Revision } from "@coracle/etcd";
import type { ApiObject } from "../registry/resource-definition.ts";
import type { ObjectPredicate, StorageEvent, StorageWatcher, StorageWatchRequest } from "./object-storage.ts";

/** Value of an indexed field of an object, `""` when unset. */
export type IndexFunction = (object: ApiObject) => string;

/** One watch of one resource. */
export class Watching {
  readonly watcher: StorageWatcher;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly predicate: ObjectPredicate | undefined;
  readonly index: { readonly name: string; readonly value: string; readonly of: IndexFunction } | undefined;
  /** Events up to here are not for this watch. */
  readonly since: Revision;
  #isBroken = false;

  constructor(request: StorageWatchRequest, watcher: StorageWatcher, since: Revision, of: IndexFunction | undefined) {
    this.watcher = watcher;
    this.namespace = request.namespace;
    this.name = request.name;
    this.predicate = request.predicate;
    this.index = request.index !== undefined && of !== undefined ? { ...request.index, of } : undefined;
    this.since = since;
  }

  matches(object: ApiObject): boolean {
    if (this.index !== undefined && this.index.of(object) !== this.index.value) return false;
    return this.predicate === undefined || this.predicate(object);
  }

  /** Whether the object's place, which never changes, is in the watch's scope. */
  covers(namespace: string, name: string): boolean {
    return (
      (this.namespace === undefined || this.namespace === namespace) && (this.name === undefined || this.name === name)
    );
  }

  /**
   * Hands on what the event means to this watch. The caller has checked `covers`. A watcher must not throw; one that
   * does ends alone: the others and the cache go on.
   */
  deliver(event: StorageEvent): void {
    if (event.revision <= this.since || this.#isBroken) return;
    try {
      this.#hand(event);
    } catch {
      this.#isBroken = true;
      this.watcher.closed("expired");
    }
  }

  #hand(event: StorageEvent): void {
    if (this.predicate === undefined && this.index === undefined) {
      this.watcher.event(event.type, event);
      return;
    }
    const before = event.previous !== undefined && this.matches(event.previous.object);
    const after = event.type !== "DELETED" && this.matches(event.current.object);
    if (after) this.watcher.event(before ? "MODIFIED" : "ADDED", event);
    else if (before) this.watcher.event("DELETED", event);
  }
}

/** The running watches of one resource, found by what they look at, so that an event meets only those it may concern. */
export class WatcherIndex {
  readonly #everything = new Set<Watching>();
  readonly #byNamespace = new Map<string, Set<Watching>>();
  /** By `namespace/name`, or `/name` for all namespaces. */
  readonly #byName = new Map<string, Set<Watching>>();
  readonly #byField = new Map<string, { readonly of: IndexFunction; readonly byValue: Map<string, Set<Watching>> }>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(watching: Watching): () => void {
    const remove = this.#place(watching);
    this.#size++;
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      this.#size--;
      remove();
    };
  }

  #place(watching: Watching): () => void {
    if (watching.name !== undefined)
      return addTo(this.#byName, `${watching.namespace ?? ""}/${watching.name}`, watching);
    const { index } = watching;
    if (index !== undefined) {
      let field = this.#byField.get(index.name);
      if (field === undefined) this.#byField.set(index.name, (field = { of: index.of, byValue: new Map() }));
      const { byValue } = field;
      const remove = addTo(byValue, index.value, watching);
      return () => {
        remove();
        if (byValue.size === 0) this.#byField.delete(index.name);
      };
    }
    if (watching.namespace !== undefined) return addTo(this.#byNamespace, watching.namespace, watching);
    this.#everything.add(watching);
    return () => void this.#everything.delete(watching);
  }

  dispatch(event: StorageEvent): void {
    const { namespace, name } = event.current;
    for (const watching of this.#everything) watching.deliver(event);
    if (this.#byNamespace.size > 0) deliverAll(this.#byNamespace.get(namespace), event);
    if (this.#byName.size > 0) {
      deliverAll(this.#byName.get(`${namespace}/${name}`), event);
      if (namespace !== "") deliverAll(this.#byName.get(`/${name}`), event);
    }
    for (const { of, byValue } of this.#byField.values()) {
      const now = of(event.current.object);
      deliverScoped(byValue.get(now), event);
      const before = event.previous === undefined ? now : of(event.previous.object);
      if (before !== now) deliverScoped(byValue.get(before), event);
    }
  }

  /** Ends all watches. */
  closeAll(reason: "expired" | "shutdown"): void {
    const all = [
      ...this.#everything,
      ...[...this.#byNamespace.values(), ...this.#byName.values()].flatMap((set) => [...set]),
      ...[...this.#byField.values()].flatMap(({ byValue }) => [...byValue.values()].flatMap((set) => [...set])),
    ];
    for (const watching of all) watching.watcher.closed(reason);
  }
}

function addTo(map: Map<string, Set<Watching>>, key: string, watching: Watching): () => void {
  let set = map.get(key);
  if (set === undefined) map.set(key, (set = new Set()));
  set.add(watching);
  return () => {
    const found = map.get(key);
    found?.delete(watching);
    if (found?.size === 0) map.delete(key);
  };
}

function deliverAll(set: ReadonlySet<Watching> | undefined, event: StorageEvent): void {
  if (set === undefined) return;
  for (const watching of set) watching.deliver(event);
}

function deliverScoped(set: ReadonlySet<Watching> | undefined, event: StorageEvent): void {
  if (set === undefined) return;
  const { namespace, name } = event.current;
  for (const watching of set) if (watching.covers(namespace, name)) watching.deliver(event);
}
