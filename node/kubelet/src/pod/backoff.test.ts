import { describe, expect, it } from "vitest";
import { Backoff, spellDuration } from "./backoff.ts";

describe("crash-loop back-off", () => {
  it("lets the first restart go at once, then waits 10 s, 20 s … at most 300 s after each end", () => {
    const backoff = new Backoff({ initialMs: 10_000, maxMs: 300_000 });
    const waits: number[] = [];
    let now = 0;
    for (let crash = 0; crash < 8; crash++) {
      const wait = backoff.remainingMs("c", now, now);
      waits.push(wait / 1000);
      now += wait;
      backoff.next("c", now, now);
    }
    expect(waits).toEqual([0, 10, 20, 40, 80, 160, 300, 300]);
  });

  it("starts over after twice the longest wait without a crash", () => {
    const backoff = new Backoff({ initialMs: 10_000, maxMs: 300_000 });
    backoff.next("c", 0, 0);
    backoff.next("c", 20_000, 20_000);
    expect(backoff.delayMs("c")).toBe(20_000);
    expect(backoff.remainingMs("c", 700_000, 700_000)).toBe(0);
    backoff.next("c", 700_000, 700_000);
    expect(backoff.delayMs("c")).toBe(10_000);
  });

  it("is spelt as messages spell it", () => {
    expect([10_000, 80_000, 300_000, 3_600_000].map(spellDuration)).toEqual(["10s", "1m20s", "5m0s", "1h0m0s"]);
  });
});
