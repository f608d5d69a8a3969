import { describe, expect, it } from "vitest";
import { inParallel } from "./in-parallel.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("inParallel", () => {
  it("works on all, never on more than so many at a time", async () => {
    let now = 0;
    let most = 0;
    const seen: number[] = [];
    await inParallel([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
      most = Math.max(most, ++now);
      await turn();
      now -= 1;
      seen.push(item);
    });
    expect([most, seen]).toEqual([3, [1, 2, 3, 4, 5, 6, 7]]);
  });
  it("one that fails does not keep the others from their turn", async () => {
    const seen: number[] = [];
    const all = inParallel([1, 2, 3, 4], 1, async (item) => {
      await turn();
      seen.push(item);
      if (item % 2 === 0) throw new Error(`no ${item}`);
    });
    await expect(all).rejects.toThrow("no 2");
    expect(seen).toEqual([1, 2, 3, 4]);
  });
});
