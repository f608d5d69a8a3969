import type { Version } from "../mvcc/key-index.ts";
import { inRange, toKeyRange, type ByteKey, type KeyRange } from "../mvcc/key-range.ts";
import type { Mvcc } from "../mvcc/mvcc.ts";
import {
  CompactedError,
  type Revision,
  type StoreError,
  type StoreEvent,
  type WatchHandle,
  type WatchRequest,
  type WatchSink,
} from "../store/store.ts";

/** Changes looked at before other work gets a turn, while a watch reads history. */
const SLICE = 1_000;

interface Watcher {
  readonly range: KeyRange;
  readonly sink: WatchSink;
  readonly progress: boolean;
  /** Next revision to deliver; earlier ones are delivered or not wanted. */
  next: Revision;
  /** Still reading history; new commits reach it from there. */
  behind: boolean;
}

/**
 * All watches of a store. Each gets every change of its range from its start on, once, in order; those who start in
 * the past read the history first, a slice at a time, then join the live ones.
 */
export class WatchHub {
  readonly #mvcc: Mvcc;
  /** Watches of exactly one key, found without looking at the others. */
  readonly #byKey = new Map<ByteKey, Set<Watcher>>();
  readonly #ranges = new Set<Watcher>();

  constructor(mvcc: Mvcc) {
    this.#mvcc = mvcc;
  }

  /** Throws `compacted` when the start is no longer kept. What history holds may be delivered before this returns. */
  watch(request: WatchRequest, sink: WatchSink): WatchHandle {
    const range = toKeyRange(request.key, request.end);
    const startedAt = this.#mvcc.committed;
    const wanted = request.startRevision !== undefined && request.startRevision > 0 ? request.startRevision : 0;
    if (wanted > 0) this.#mvcc.checkReadable(wanted);
    const next = wanted > 0 ? wanted : startedAt + 1;
    const watcher: Watcher = { range, sink, progress: request.progress === true, next, behind: next <= startedAt };
    this.#add(watcher);
    if (watcher.behind) this.#catchUp(watcher);
    return { startedAt, [Symbol.dispose]: () => this.#remove(watcher) };
  }

  /** Hands out committed changes; `mvcc` has them in its history already. */
  publish(changes: readonly Version[]): void {
    for (let from = 0; from < changes.length;) {
      const { modRevision } = changes[from] as Version;
      let to = from + 1;
      while (changes[to]?.modRevision === modRevision) to++;
      this.#publishRevision(changes, from, to, modRevision);
      from = to;
    }
    const committed = this.#mvcc.committed;
    for (const watcher of this.#ranges) {
      if (watcher.progress && !watcher.behind && watcher.next <= committed) this.#deliver(watcher, [], committed);
    }
  }

  /** Ends every watch. */
  close(reason: StoreError): void {
    const watchers = [...this.#ranges, ...[...this.#byKey.values()].flatMap((set) => [...set])];
    for (const watcher of watchers) this.#end(watcher, reason);
  }

  #publishRevision(changes: readonly Version[], from: number, to: number, revision: Revision): void {
    let events: StoreEvent[] | undefined;
    const all = (): StoreEvent[] => (events ??= changes.slice(from, to).map((change) => this.#mvcc.event(change)));
    const offer = (watcher: Watcher): void => {
      if (watcher.behind || revision < watcher.next) return;
      if (to - from === 1) {
        if (inRange(watcher.range, (changes[from] as Version).record.key)) this.#deliver(watcher, all(), revision);
        return;
      }
      const mine: StoreEvent[] = [];
      for (let at = from; at < to; at++) {
        if (inRange(watcher.range, (changes[at] as Version).record.key)) mine.push(all()[at - from] as StoreEvent);
      }
      if (mine.length > 0) this.#deliver(watcher, mine, revision);
    };
    if (this.#byKey.size > 0) {
      for (let at = from; at < to; at++) this.#byKey.get((changes[at] as Version).record.key)?.forEach(offer);
    }
    this.#ranges.forEach(offer);
  }

  #catchUp(watcher: Watcher): void {
    if (watcher.next < this.#mvcc.compacted) {
      this.#end(watcher, new CompactedError(this.#mvcc.compacted));
      return;
    }
    const changes = this.#mvcc.changesFrom(watcher.next, SLICE);
    for (let at = 0; at < changes.length;) {
      const { modRevision } = changes[at] as Version;
      const mine: StoreEvent[] = [];
      for (let change = changes[at]; change?.modRevision === modRevision; change = changes[++at]) {
        if (inRange(watcher.range, change.record.key)) mine.push(this.#mvcc.event(change));
      }
      watcher.next = modRevision + 1;
      if (mine.length > 0) this.#deliver(watcher, mine, modRevision);
      if (!this.#has(watcher)) return;
    }
    if (changes.length >= SLICE) {
      setImmediate(() => {
        if (this.#has(watcher)) this.#catchUp(watcher);
      });
      return;
    }
    watcher.behind = false;
    watcher.next = Math.max(watcher.next, this.#mvcc.committed + 1);
    if (watcher.progress) this.#deliver(watcher, [], this.#mvcc.committed);
  }

  #deliver(watcher: Watcher, events: readonly StoreEvent[], revision: Revision): void {
    watcher.next = revision + 1;
    try {
      watcher.sink.events(events, revision);
    } catch (error) {
      // A fault of the sink's owner: it must surface, but not take the commit or the other watchers along.
      this.#remove(watcher);
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #end(watcher: Watcher, reason: StoreError): void {
    if (!this.#has(watcher)) return;
    this.#remove(watcher);
    watcher.sink.closed(reason);
  }

  #add(watcher: Watcher): void {
    if (!watcher.range.single) {
      this.#ranges.add(watcher);
      return;
    }
    const watchers = this.#byKey.get(watcher.range.start);
    if (watchers === undefined) this.#byKey.set(watcher.range.start, new Set([watcher]));
    else watchers.add(watcher);
  }

  #has(watcher: Watcher): boolean {
    if (!watcher.range.single) return this.#ranges.has(watcher);
    return this.#byKey.get(watcher.range.start)?.has(watcher) === true;
  }

  #remove(watcher: Watcher): void {
    if (!watcher.range.single) {
      this.#ranges.delete(watcher);
      return;
    }
    const watchers = this.#byKey.get(watcher.range.start);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#byKey.delete(watcher.range.start);
  }
}
