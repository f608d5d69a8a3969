import { createFakeClock, silentLogger } from "@coracle/base";
import { expect, it } from "vitest";
import { createMemoryStore } from "../engine/memory-store.ts";
import type { Store } from "../store/store.ts";
import { runCompactor } from "./compactor.ts";

const MINUTE = 60_000;

async function put(store: Store): Promise<number> {
  const { revision } = await store.txn({ compare: [], success: [{ type: "put", key: "a", value: Buffer.alloc(1) }] });
  return revision;
}

async function canRead(store: Store, revision: number): Promise<boolean> {
  return store.range({ key: "a", revision }).then(
    () => true,
    () => false,
  );
}

it("at least five minutes of history are kept, and not much more than ten", async () => {
  const clock = createFakeClock();
  await using store = createMemoryStore({ clock });
  const stop = new AbortController();
  const running = runCompactor({ store, clock, logger: silentLogger, signal: stop.signal });
  const first = await put(store);
  await clock.advance(5 * MINUTE);
  const second = await put(store);
  await clock.advance(5 * MINUTE - 1);
  expect(await canRead(store, first)).toBe(true);
  await clock.advance(1);
  expect(await canRead(store, first)).toBe(false);
  expect(await canRead(store, second)).toBe(true);
  stop.abort();
  await running;
  expect(clock.pending).toBe(0);
});

it("two API servers on one store compact once an interval between them", async () => {
  const clock = createFakeClock();
  await using store = createMemoryStore({ clock });
  const stop = new AbortController();
  const both = [1, 2].map(() => runCompactor({ store, clock, logger: silentLogger, signal: stop.signal }));
  await clock.advance(5 * MINUTE);
  const revision = await put(store);
  for (let i = 0; i < 3; i++) await clock.advance(5 * MINUTE);
  expect(await canRead(store, revision - 1)).toBe(false);
  const { kvs } = await store.range({ key: "compact_rev_key" });
  expect(kvs[0]?.version).toBe(4);
  stop.abort();
  await Promise.all(both);
});
