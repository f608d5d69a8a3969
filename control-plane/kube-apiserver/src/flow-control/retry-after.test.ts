import { describe, expect, it } from "vitest";
import { RetryAfter } from "./retry-after.ts";

function refuse(after: RetryAfter, from: number, to: number, each: number): void {
  for (let second = from; second < to; second++) for (let i = 0; i < each; i++) after.note(second);
}

describe("how long refused clients are asked to wait", () => {
  it("is a second at first", () => {
    const after = new RetryAfter();
    after.note(1000);
    expect(after.seconds).toBe(1);
  });

  it("doubles while many are refused, up to half a minute", () => {
    const after = new RetryAfter();
    const seen = new Set<number>();
    for (let second = 1000; second < 1300; second++) {
      refuse(after, second, second + 1, 20);
      seen.add(after.seconds);
    }
    expect([...seen]).toEqual([1, 2, 4, 8, 16, 32]);
  });

  it("shrinks when few are refused", () => {
    const after = new RetryAfter();
    refuse(after, 1000, 1100, 20);
    expect(after.seconds).toBeGreaterThan(8);
    for (let second = 1200; second < 3200; second += 40) after.note(second);
    expect(after.seconds).toBe(1);
  });
});
