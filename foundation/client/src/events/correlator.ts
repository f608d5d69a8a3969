import type { Event } from "@coracle/api/core/v1";
import type { Clock, Instant } from "@coracle/base";

/** What becomes of an event: dropped, sent as new, or counted on one that was sent before. */
export type Correlation = { readonly action: "drop" } | { readonly action: "create" | "count"; readonly event: Event };

/** Tells what to do with each event; one that is counted comes back under the name of the first. */
export interface EventCorrelator {
  correlate(event: Event): Correlation;
}

const BURST = 25;
const REFILL_MS = 300_000;
const MAX_SIMILAR = 10;
const SIMILAR_WINDOW_MS = 600_000;
const MAX_ENTRIES = 4096;

interface Spam {
  tokens: number;
  at: Instant;
}
interface Similar {
  readonly messages: Set<string>;
  at: Instant;
}
interface Known {
  readonly name: string;
  readonly count: number;
  readonly firstTimestamp: string | undefined;
}

/**
 * Keeps one object from flooding the server with events: of one source and object 25 at once and one more each five
 * minutes; after ten that differ in their message alone within ten minutes they are combined; equal ones are counted.
 */
export function createEventCorrelator(clock: Clock): EventCorrelator {
  const spam = new Map<string, Spam>();
  const similar = new Map<string, Similar>();
  const known = new Map<string, Known>();

  function isSpam(key: string): boolean {
    const now = clock.now();
    const entry = recall(spam, key, () => ({ tokens: BURST, at: now }));
    entry.tokens = Math.min(BURST, entry.tokens + (now - entry.at) / REFILL_MS);
    entry.at = now;
    if (entry.tokens < 1) return true;
    entry.tokens -= 1;
    return false;
  }

  /** True when `message` is one of too many that differ in it alone. */
  function isOneOfMany(key: string, message: string): boolean {
    const now = clock.now();
    const entry = recall(similar, key, () => ({ messages: new Set<string>(), at: now }));
    if (now - entry.at > SIMILAR_WINDOW_MS) entry.messages.clear();
    entry.at = now;
    entry.messages.add(message);
    if (entry.messages.size < MAX_SIMILAR) return false;
    const [oldest] = entry.messages;
    if (oldest !== undefined) entry.messages.delete(oldest);
    return true;
  }

  return {
    correlate(event) {
      const group = groupKeyOf(event);
      const combined = isOneOfMany(group, event.message ?? "");
      const message = combined ? `(combined from similar events): ${event.message}` : event.message;
      const key = combined ? group : `${group}\n${message}`;
      if (isSpam(sourceKeyOf(event))) return { action: "drop" };
      const earlier = known.get(key);
      const correlated = { ...event, message };
      if (earlier === undefined) {
        remember(known, key, { name: event.metadata.name ?? "", count: 1, firstTimestamp: event.firstTimestamp });
        return { action: "create", event: correlated };
      }
      const count = earlier.count + 1;
      remember(known, key, { ...earlier, count });
      return {
        action: "count",
        event: {
          ...correlated,
          metadata: { ...event.metadata, name: earlier.name },
          count,
          firstTimestamp: earlier.firstTimestamp,
        },
      };
    },
  };
}

function sourceKeyOf({ source, involvedObject: o }: Event): string {
  return [source?.component, source?.host, o.kind, o.namespace, o.name, o.uid, o.apiVersion].join("\n");
}

function groupKeyOf(event: Event): string {
  return [
    sourceKeyOf(event),
    event.involvedObject.fieldPath,
    event.type,
    event.reason,
    event.reportingComponent,
    event.reportingInstance,
  ].join("\n");
}

function recall<V>(map: Map<string, V>, key: string, make: () => V): V {
  const value = map.get(key) ?? make();
  remember(map, key, value);
  return value;
}

/** The least recently used entry makes room. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_ENTRIES) {
    const [oldest] = map.keys();
    if (oldest !== undefined) map.delete(oldest);
  }
}
