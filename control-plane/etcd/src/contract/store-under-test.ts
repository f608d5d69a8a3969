import type { FakeClock } from "@coracle/base";
import { afterEach, beforeEach } from "vitest";
import {
  StoreError,
  type LeaseId,
  type Store,
  type StoreErrorCode,
  type StoreEvent,
  type WatchSink,
} from "../store/store.ts";

/** A store under test, with the clock that rules its leases; no clock: real time rules them. */
export interface StoreUnderTest {
  readonly store: Store;
  readonly clock?: FakeClock | undefined;
}

/** Every key. */
export const ALL = { key: "\0", end: "\0" } as const;
/** As a value. */
export const bytes = (text: string): Buffer => Buffer.from(text);

/** Resolves with the revision after it. */
export async function put(store: Store, key: string, value = "", lease: LeaseId = 0): Promise<number> {
  const { revision } = await store.txn({ compare: [], success: [{ type: "put", key, value: bytes(value), lease }] });
  return revision;
}

/** Resolves with the revision after it. */
export async function remove(store: Store, key: string, end?: string): Promise<number> {
  const { revision } = await store.txn({ compare: [], success: [{ type: "delete", key, end }] });
  return revision;
}

/** The keys that there are, or were. */
export async function keys(store: Store, revision = 0): Promise<readonly string[]> {
  return (await store.range({ ...ALL, revision })).kvs.map((kv) => kv.key);
}

/** Matches the store's error of this code. */
export function failsWith(code: StoreErrorCode): { asymmetricMatch(other: unknown): boolean } {
  return { asymmetricMatch: (other) => other instanceof StoreError && other.code === code };
}

/** Records what a watch delivers as lines like `5 put a=1 was 0` and lets a test wait for them. */
export class Recorder implements WatchSink {
  readonly lines: string[] = [];
  readonly revisions: number[] = [];
  end: StoreError | undefined;
  #wake: (() => void) | undefined;

  events(events: readonly StoreEvent[], revision: number): void {
    this.revisions.push(revision);
    for (const event of events) this.lines.push(lineOf(event));
    this.#wake?.();
  }

  closed(reason: StoreError): void {
    this.end = reason;
    this.#wake?.();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  untilLines(count: number): Promise<void> {
    return this.until(() => this.lines.length >= count);
  }
}

function lineOf(event: StoreEvent): string {
  const was = event.previous === undefined ? "" : ` was ${event.previous.value.toString()}`;
  return event.type === "put"
    ? `${event.kv.modRevision} put ${event.kv.key}=${event.kv.value.toString()}${was}`
    : `${event.modRevision} delete ${event.key}${was}`;
}

/** Gives an empty store, which the suite disposes. */
export type MakeStore = () => Promise<StoreUnderTest>;

/** A fresh store before each test, with its revision then; disposed after it. */
export function eachWith(make: MakeStore, use: (fresh: StoreUnderTest & { readonly base: number }) => void): void {
  let store: Store | undefined;
  beforeEach(async () => {
    const fresh = await make();
    ({ store } = fresh);
    use({ ...fresh, base: await fresh.store.revision() });
  });
  afterEach(async () => {
    await store?.[Symbol.asyncDispose]();
  });
}
