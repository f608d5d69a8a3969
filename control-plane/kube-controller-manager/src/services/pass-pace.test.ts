import { createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { PassPace } from "./pass-pace.ts";

describe("passes over a service's pods", () => {
  it("of a small service never wait", () => {
    const pace = new PassPace(createFakeClock(), 50);
    pace.begin("ns/small", 49);
    expect(pace.waitMs("ns/small")).toBe(0);
  });

  it("of a large one wait in proportion, each service for itself", async () => {
    const clock = createFakeClock();
    const pace = new PassPace(clock, 50);
    pace.begin("ns/large", 5_000);
    expect(pace.waitMs("ns/large")).toBe(100);
    expect(pace.waitMs("ns/other")).toBe(0);
    await clock.advance(60);
    expect(pace.waitMs("ns/large")).toBe(40);
    await clock.advance(40);
    expect(pace.waitMs("ns/large")).toBe(0);
  });

  it("of one that has become small, or is gone, wait no longer", () => {
    const pace = new PassPace(createFakeClock(), 50);
    pace.begin("ns/a", 5_000);
    pace.begin("ns/a", 1);
    expect(pace.waitMs("ns/a")).toBe(0);
    pace.begin("ns/a", 5_000);
    pace.forget("ns/a");
    expect(pace.waitMs("ns/a")).toBe(0);
  });
});
