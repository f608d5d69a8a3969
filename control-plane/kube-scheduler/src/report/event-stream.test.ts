import type { Event } from "@coracle/api/core/v1";
import { createFakeClock, silentLogger } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { describe, expect, it } from "vitest";
import { EventStream } from "./event-stream.ts";

/** A stream to a server that answers when it is told to. */
function setUp() {
  const clock = createFakeClock();
  const sent: string[] = [];
  const answers: (() => void)[] = [];
  const busy = { is: true };
  const create: ApiClient["create"] = async (_, object) => {
    sent.push((object as unknown as Event).involvedObject.name ?? "");
    await new Promise<void>((resolve) => answers.push(resolve));
    return object;
  };
  const stream = new EventStream({ client: { create }, clock, logger: silentLogger, isBusy: () => busy.is });
  const happen = (from: number, to: number): void => {
    for (let i = from; i < to; i++) stream.event("s", { name: `pod-${i}` }, "Scheduled", "assigned");
  };
  const answer = async (): Promise<void> => {
    answers.shift()?.();
    await clock.advance(0);
  };
  return { clock, sent, answers, busy, stream, happen, answer };
}

describe("events of placed pods", () => {
  it("go one by one while pods are being bound, and many at once afterwards", async () => {
    const { clock, sent, answers, busy, stream, happen, answer } = setUp();
    happen(0, 100);
    await clock.advance(0);
    expect(sent).toEqual(["pod-0"]);
    await answer();
    expect([sent.length, answers.length]).toEqual([2, 1]);
    busy.is = false;
    await answer();
    expect(answers.length).toBe(64);
    while (answers.length > 0) await answer();
    expect(sent).toEqual(Array.from({ length: 100 }, (_, i) => `pod-${i}`));
    await stream[Symbol.asyncDispose]();
  });
  it("go sooner the more of them wait, so that no burst starves them", async () => {
    const { clock, sent, answers, busy, stream, happen, answer } = setUp();
    happen(0, 5_100);
    await clock.advance(0);
    expect(answers.length).toBe(6);
    while (sent.length < 4_500) await answer();
    expect(answers.length).toBe(1);
    happen(5_100, 30_000);
    expect(answers.length).toBe(16);
    busy.is = false;
    while (answers.length > 0) await answer();
    // What waits is bounded: the last ones were dropped.
    expect(sent).toEqual(Array.from({ length: sent.length }, (_, i) => `pod-${i}`));
    expect(Math.round(sent.length / 100)).toBe(245);
    await stream[Symbol.asyncDispose]();
  });
});
