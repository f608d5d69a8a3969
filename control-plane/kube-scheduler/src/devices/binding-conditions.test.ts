import type { ResourceClaim } from "@coracle/api/resource/v1";
import { describe, expect, it } from "vitest";
import { isOverdue, mustBecomeReady, readinessOf } from "./binding-conditions.ts";

const at = { driver: "d.io", pool: "p", device: "one" };
const condition = (type: string, status = "True") => ({
  type,
  status,
  reason: "R",
  message: 'a "b"',
  lastTransitionTime: "2026-01-01T00:00:00Z",
});

function claimOf(conditions?: readonly ReturnType<typeof condition>[], needs = ["Attached", "Warm"]): ResourceClaim {
  const result = { ...at, request: "r", bindingConditions: needs, bindingFailureConditions: ["Broken"] };
  return {
    metadata: { name: "c" },
    spec: {},
    status: {
      allocation: { allocationTimestamp: "2026-01-01T00:00:00Z", devices: { results: [result] } },
      ...(conditions === undefined ? {} : { devices: [{ ...at, conditions }] }),
    },
  };
}

describe("devices that must be made ready", () => {
  it.each<[string, ResourceClaim, ReturnType<typeof readinessOf>]>([
    ["not allocated", { metadata: { name: "c" }, spec: {} }, "pending"],
    ["nothing said", claimOf(), "pending"],
    ["one of two", claimOf([condition("Attached")]), "pending"],
    ["one is false", claimOf([condition("Attached"), condition("Warm", "False")]), "pending"],
    ["both", claimOf([condition("Attached"), condition("Warm")]), "ready"],
    ["nothing asked for", claimOf(undefined, []), "ready"],
    [
      "a failure that is not",
      claimOf([condition("Attached"), condition("Warm"), condition("Broken", "False")]),
      "ready",
    ],
    [
      "a failure",
      claimOf([condition("Attached"), condition("Warm"), condition("Broken")]),
      { problem: 'claim c binding failed: reason=R, message="a \\"b\\""' },
    ],
  ])("%s", (_, claim, expected) => expect(readinessOf(claim)).toEqual(expected));

  it("have their time from when they were allocated", () => {
    const start = Date.parse("2026-01-01T00:00:00Z");
    expect(isOverdue(claimOf(), start + 1_000, 1_000)).toBe(false);
    expect(isOverdue(claimOf(), start + 1_001, 1_000)).toBe(true);
    expect(isOverdue(claimOf(undefined, []), start + 1_001, 1_000)).toBe(false);
    expect([mustBecomeReady(claimOf()), mustBecomeReady(claimOf(undefined, []))]).toEqual([true, false]);
  });
});
