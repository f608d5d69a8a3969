import { describe, expect, it } from "vitest";
import { slowStart } from "./slow-start.ts";

describe("slow start", () => {
  it("asks once, not a hundred times, when the first call is refused", async () => {
    let calls = 0;
    const result = await slowStart(100, async () => {
      calls++;
      throw new Error("quota");
    });
    expect(calls).toBe(1);
    expect(result).toMatchObject({ succeeded: 0, skipped: 99 });
  });

  it("doubles its batches while calls succeed", async () => {
    const seen: number[] = [];
    const result = await slowStart(10, async (index) => {
      seen.push(index);
      if (index === 4) throw new Error("late");
    });
    expect(seen).toHaveLength(7); // 1 + 2 + 4, the batch with index 4 being the last
    expect(result).toMatchObject({ succeeded: 6, skipped: 3 });
  });
});
