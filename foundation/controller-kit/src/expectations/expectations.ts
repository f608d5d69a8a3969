import type { Clock, Instant } from "@coracle/base";
import type { CacheKey } from "@coracle/client";

/**
 * What a controller has asked for and not yet seen in its cache. While something is outstanding, counting objects in
 * the cache would count wrong, so the controller must not act. Outstanding entries lapse after five minutes: an
 * event may never come (an object that was deleted before it was seen).
 */
export interface Expectations {
  expectCreations(key: CacheKey, count: number): void;
  /** `ids` say which, because an object's deletion is seen twice: marked, then gone. */
  expectDeletions(key: CacheKey, ids: readonly string[]): void;
  creationObserved(key: CacheKey): void;
  deletionObserved(key: CacheKey, id: string): void;
  satisfied(key: CacheKey): boolean;
  /** The owner is gone. */
  forget(key: CacheKey): void;
}

interface Outstanding {
  creations: number;
  readonly deletions: Set<string>;
  since: Instant;
}

/** After so long an expectation counts as met. */
export const EXPECTATION_TTL_MS = 300_000;

export function createExpectations(clock: Clock): Expectations {
  const outstanding = new Map<CacheKey, Outstanding>();

  const at = (key: CacheKey): Outstanding => {
    let entry = outstanding.get(key);
    if (entry === undefined || clock.now() - entry.since > EXPECTATION_TTL_MS) {
      entry = { creations: 0, deletions: new Set(), since: clock.now() };
      outstanding.set(key, entry);
    }
    entry.since = clock.now();
    return entry;
  };
  const settle = (key: CacheKey, entry: Outstanding): void => {
    if (entry.creations <= 0 && entry.deletions.size === 0) outstanding.delete(key);
  };

  return {
    expectCreations(key, count) {
      if (count > 0) at(key).creations += count;
    },
    expectDeletions(key, ids) {
      if (ids.length === 0) return;
      const { deletions } = at(key);
      for (const id of ids) deletions.add(id);
    },
    creationObserved(key) {
      const entry = outstanding.get(key);
      if (entry === undefined) return;
      entry.creations--;
      settle(key, entry);
    },
    deletionObserved(key, id) {
      const entry = outstanding.get(key);
      if (entry === undefined) return;
      entry.deletions.delete(id);
      settle(key, entry);
    },
    satisfied(key) {
      const entry = outstanding.get(key);
      return entry === undefined || clock.now() - entry.since > EXPECTATION_TTL_MS;
    },
    forget: (key) => void outstanding.delete(key),
  };
}
