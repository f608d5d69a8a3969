import { describe, expect, it } from "vitest";
import { allocateSeats, type SeatClaim } from "./seat-allocation.ts";
import { SeatDemand } from "./seat-demand.ts";

const claim = (target: number, lower: number, upper: number): SeatClaim => ({ target, lower, upper });

describe("seats are given out", () => {
  it.each<[string, number, SeatClaim[], number[]]>([
    ["by demand, where no bound matters", 100, [claim(10, 0, 100), claim(30, 0, 100)], [25, 75]],
    ["never below what is a level's own", 100, [claim(20, 20, 100), claim(180, 0, 100)], [20, 80]],
    ["never above what it may borrow", 100, [claim(50, 0, 30), claim(10, 0, 100)], [30, 70]],
    ["alike, where nobody wants any", 90, [claim(0, 0, 600), claim(0, 0, 600), claim(0, 0, 600)], [30, 30, 30]],
    ["up to all upper bounds", 100, [claim(10, 0, 20), claim(10, 0, 30)], [20, 30]],
  ])("%s", (_, total, claims, seats) => {
    expect(allocateSeats(total, claims).seats.map((n) => Math.round(n))).toEqual(seats);
  });
});

describe("the demand for seats", () => {
  it("rises at once and falls slowly", () => {
    const demand = new SeatDemand(0);
    demand.set(10, 0);
    expect(demand.endPeriod(10_000, 1)).toEqual({ highWatermark: 10, average: 10, deviation: 0 });
    expect(demand.smoothed).toBe(10);
    demand.set(0, 10_000);
    demand.endPeriod(20_000, 1);
    expect(demand.last.highWatermark).toBe(10);
    expect(demand.smoothed).toBeCloseTo(9.77);
    demand.endPeriod(1_020_000, 100);
    expect(demand.smoothed).toBeLessThan(1);
  });
});
