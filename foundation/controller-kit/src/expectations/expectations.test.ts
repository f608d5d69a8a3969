import { createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { createExpectations, EXPECTATION_TTL_MS } from "./expectations.ts";

describe("expectations", () => {
  it("are met when every creation was seen", () => {
    const expectations = createExpectations(createFakeClock());
    expectations.expectCreations("k", 2);
    expectations.creationObserved("k");
    expect(expectations.satisfied("k")).toBe(false);
    expectations.creationObserved("k");
    expect(expectations.satisfied("k")).toBe(true);
  });

  it("a deletion seen twice counts once", () => {
    const expectations = createExpectations(createFakeClock());
    expectations.expectDeletions("k", ["a", "b"]);
    expectations.deletionObserved("k", "a");
    expectations.deletionObserved("k", "a");
    expect(expectations.satisfied("k")).toBe(false);
    expectations.deletionObserved("k", "b");
    expect(expectations.satisfied("k")).toBe(true);
  });

  it("lapse after five minutes, and when the owner is gone", async () => {
    const clock = createFakeClock();
    const expectations = createExpectations(clock);
    expectations.expectCreations("k", 1);
    expectations.expectCreations("other", 1);
    expectations.forget("other");
    expect(expectations.satisfied("other")).toBe(true);
    await clock.advance(EXPECTATION_TTL_MS + 1);
    expect(expectations.satisfied("k")).toBe(true);
  });
});
