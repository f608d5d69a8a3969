import type { Event } from "@coracle/api/core/v1";
import { createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { createEventCorrelator } from "./correlator.ts";

function event(name: string, message: string): Event {
  return {
    metadata: { name, namespace: "default" },
    involvedObject: { kind: "Pod", name: "p", namespace: "default", uid: "u" },
    source: { component: "kubelet" },
    reason: "BackOff",
    type: "Warning",
    message,
    count: 1,
    firstTimestamp: "2026-01-01T00:00:00Z",
  };
}

const counted = (name: string, count: number) => ({ action: "count", event: { metadata: { name }, count } });

describe("event correlator", () => {
  it("counts equal events on the first one", () => {
    const correlator = createEventCorrelator(createFakeClock());
    expect(correlator.correlate(event("a", "m"))).toMatchObject({ action: "create" });
    expect(correlator.correlate(event("b", "m"))).toMatchObject(counted("a", 2));
    expect(correlator.correlate(event("c", "m"))).toMatchObject(counted("a", 3));
  });

  it("combines after ten that differ in their message alone", () => {
    const correlator = createEventCorrelator(createFakeClock());
    for (let i = 0; i < 9; i++) expect(correlator.correlate(event(`e${i}`, `m${i}`)).action).toBe("create");
    expect(correlator.correlate(event("e9", "m9"))).toMatchObject({
      action: "create",
      event: { message: "(combined from similar events): m9" },
    });
    expect(correlator.correlate(event("e10", "m10"))).toMatchObject(counted("e9", 2));
  });

  it("drops after a burst of 25 from one source about one object, and lets one through each five minutes", async () => {
    const clock = createFakeClock();
    const correlator = createEventCorrelator(clock);
    for (let i = 0; i < 25; i++) expect(correlator.correlate(event("a", "m")).action).not.toBe("drop");
    expect(correlator.correlate(event("a", "m")).action).toBe("drop");
    await clock.advance(300_000);
    expect(correlator.correlate(event("a", "m")).action).toBe("count");
    expect(correlator.correlate(event("a", "m")).action).toBe("drop");
  });
});
