import { createFakeClock, silentLogger } from "@coracle/base";
import { describe, expect, it } from "vitest";
import type { Engine } from "../engine/engine.ts";
import { createMemoryStore } from "../engine/memory-store.ts";
import { parseAutoCompaction, runAutoCompaction, type AutoCompaction } from "./auto-compaction.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

async function put(store: Engine): Promise<number> {
  const { revision } = await store.txn({ compare: [], success: [{ type: "put", key: "a", value: Buffer.alloc(1) }] });
  return revision;
}

/** Runs a compaction of a store that is written to once a minute; tells what was compacted after each. */
async function minutes(what: AutoCompaction, count: number): Promise<number[]> {
  const clock = createFakeClock();
  await using store = createMemoryStore({ clock });
  const stop = new AbortController();
  const running = runAutoCompaction({ what, store, clock, logger: silentLogger, signal: stop.signal });
  const compacted: number[] = [];
  for (let minute = 0; minute < count; minute++) {
    await put(store);
    await clock.advance(MINUTE);
    compacted.push(store.compacted);
  }
  stop.abort();
  await running;
  expect(clock.pending).toBe(0);
  return compacted;
}

describe("--auto-compaction-retention", () => {
  it.each<["periodic" | "revision", string, AutoCompaction | undefined]>([
    ["periodic", "0", undefined],
    ["revision", "0", undefined],
    ["periodic", "0s", undefined],
    ["periodic", "2", { mode: "periodic", periodMs: 2 * HOUR }],
    ["periodic", "5m30s", { mode: "periodic", periodMs: 5.5 * MINUTE }],
    ["revision", "1000", { mode: "revision", revisions: 1_000 }],
  ])("%s %s", (mode, retention, expected) => {
    expect(parseAutoCompaction(mode, retention)).toEqual(expected);
  });

  it.each<["periodic" | "revision", string]>([
    ["periodic", "soon"],
    ["periodic", "-1"],
    ["revision", "1h"],
  ])("%s %s is refused", (mode, retention) => {
    expect(() => parseAutoCompaction(mode, retention)).toThrow("error parsing CompactionRetention");
  });
});

describe("automatic compaction", () => {
  it("of a period up to an hour: once a period, to what was there a period ago", async () => {
    const compacted = await minutes({ mode: "periodic", periodMs: 10 * MINUTE }, 31);
    expect(compacted[8]).toBe(0);
    // Revision 2 is of the first minute.
    expect(compacted.slice(9, 19)).toEqual(Array.from({ length: 10 }, () => 1));
    expect(compacted.slice(19, 29)).toEqual(Array.from({ length: 10 }, () => 10));
    expect(compacted[29]).toBe(20);
  });

  it("of a longer period: every hour", async () => {
    const compacted = await minutes({ mode: "periodic", periodMs: 2 * HOUR }, 241);
    expect([...new Set(compacted)]).toEqual([0, 1, 55, 115]);
    expect(compacted.indexOf(1)).toBe(119);
    expect(compacted.indexOf(55)).toBe(179);
  });

  it("of revisions: keeps so many, and not many more", async () => {
    const clock = createFakeClock();
    await using store = createMemoryStore({ clock });
    const stop = new AbortController();
    const what = { mode: "revision", revisions: 100 } as const;
    await runAutoCompaction({ what, store, clock, logger: silentLogger, signal: stop.signal });
    for (let n = 0; n < 5_000; n++) {
      const kept = (await put(store)) - store.compacted;
      expect(kept).toBeLessThanOrEqual(1_101);
      if (store.compacted > 0) expect(kept).toBeGreaterThanOrEqual(100);
    }
    expect(store.compacted).toBeGreaterThan(3_000);
  });
});
