import { createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { collectWhenQuiet } from "./quiet-collection.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Makes and drops objects until the engine's room for new ones has grown and somebody has noticed. */
async function workUntil(isNoticed: () => boolean): Promise<void> {
  let kept: unknown[] = [];
  while (!isNoticed()) {
    for (let i = 0; i < 20_000; i++) kept.push({ i });
    if (kept.length > 400_000) kept = [];
    await turn();
  }
}

describe("after a burst of work", () => {
  it("what is of no use any more is collected, ten seconds later", async () => {
    const clock = createFakeClock();
    const collection = collectWhenQuiet(clock);
    await workUntil(() => clock.pending > 0);
    const forgotten = new WeakRef({ of: "no use" });
    await turn();
    await clock.advance(10_000);
    await turn();
    expect(forgotten.deref()).toBeUndefined();
    collection[Symbol.dispose]();
  });

  it("nothing is left waiting when the program ends", async () => {
    const clock = createFakeClock();
    const collection = collectWhenQuiet(clock);
    await workUntil(() => clock.pending > 0);
    collection[Symbol.dispose]();
    expect(clock.pending).toBe(0);
  });
});
