import type { Instant } from "@coracle/base";
import type { Revision } from "@coracle/etcd";
import type { StorageEvent } from "./object-storage.ts";

const MIN_EVENTS = 100;
/** No window holds more. */
export const MAX_EVENTS = 102_400;
const KEEP_MS = 75_000;

/**
 * The latest events of one resource, for watches that resume and lists of a past state: at least the last 100, and
 * those of the last 75 seconds up to a bound.
 */
export class EventWindow {
  #events: { readonly event: StorageEvent; readonly at: Instant }[] = [];
  #start = 0;
  #since: Revision;

  constructor(since: Revision) {
    this.#since = since;
  }

  /** Every event after this revision is here. */
  get since(): Revision {
    return this.#since;
  }

  /** Revision of the latest event; `since` when there is none. */
  get latest(): Revision {
    return this.#events.length > this.#start ? (this.#events.at(-1)?.event.revision ?? this.#since) : this.#since;
  }

  push(event: StorageEvent, now: Instant): void {
    this.#events.push({ event, at: now });
    while (this.#mustDrop(now)) {
      this.#since = this.#events[this.#start]?.event.revision ?? this.#since;
      this.#events[this.#start] = undefined as never;
      this.#start++;
    }
    if (this.#start > 256 && this.#start * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#start);
      this.#start = 0;
    }
  }

  #mustDrop(now: Instant): boolean {
    const kept = this.#events.length - this.#start;
    if (kept <= MIN_EVENTS) return false;
    return kept > MAX_EVENTS || now - (this.#events[this.#start]?.at ?? now) > KEEP_MS;
  }

  /** The events after `revision`, oldest first. The caller has checked `since`. */
  *after(revision: Revision): Iterable<StorageEvent> {
    let low = this.#start;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle]?.event.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    const end = this.#events.length;
    const events = this.#events;
    for (let i = low; i < end; i++) {
      const entry = events[i];
      if (entry !== undefined) yield entry.event;
    }
  }
}
