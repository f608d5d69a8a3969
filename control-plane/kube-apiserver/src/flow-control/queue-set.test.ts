import { createSeededRandom } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { QueueSet, SeatRequest, type QueueLimits } from "./queue-set.ts";
import { dealHand, hashFlow } from "./shuffle-sharding.ts";
import { ONE_SEAT, type WorkEstimate } from "./work-estimate.ts";

const LIMITS: QueueLimits = { queues: 16, handSize: 4, queueLengthLimit: 5 };
const request = (flow: string, work: WorkEstimate = ONE_SEAT): SeatRequest => new SeatRequest("schema", flow, work, 0);
const wide = (initialSeats: number): WorkEstimate => ({ initialSeats, finalSeats: 0, additionalLatencyMs: 0 });

describe("shuffle sharding", () => {
  it("deals different queues, the same for the same flow", () => {
    for (let i = 0; i < 200; i++) {
      const hash = hashFlow("schema", `user-${i}`);
      const hand = dealHand(hash, 16, 4);
      expect(new Set(hand).size).toBe(4);
      expect(hand.every((card) => card >= 0 && card < 16)).toBe(true);
      expect(dealHand(hash, 16, 4)).toEqual(hand);
    }
  });

  it("deals every card of the deck when the hand is the deck", () => {
    expect(dealHand(123_456_789_012n, 8, 8).toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

describe("a queue set", () => {
  it("starts what finds a seat at once, without a queue", () => {
    const set = new QueueSet(LIMITS, 2, 0);
    const one = request("a");
    expect(set.add(one, 0)).toBe("started");
    expect(one.queue).toBeUndefined();
    expect(set.add(request("a"), 0)).toBe("started");
    expect(set.add(request("a"), 0)).toBe("waiting");
    expect(set.demand).toBe(3);
  });

  it("refuses at once where nobody may wait", () => {
    const set = new QueueSet({ queues: 0, handSize: 1, queueLengthLimit: 0 }, 1, 0);
    expect(set.add(request("a"), 0)).toBe("started");
    expect(set.add(request("a"), 0)).toBe("concurrency-limit");
  });

  it("never limits what is exempt", () => {
    const set = new QueueSet({ queues: -1, handSize: 1, queueLengthLimit: 0 }, 0, 0);
    for (let i = 0; i < 100; i++) expect(set.add(request("a", wide(10)), 0)).toBe("started");
  });

  it("refuses what finds its queues full, and only those", () => {
    const set = new QueueSet({ queues: 16, handSize: 1, queueLengthLimit: 5 }, 1, 0);
    set.add(request("a"), 0);
    for (let i = 0; i < 5; i++) expect(set.add(request("a"), 0)).toBe("waiting");
    expect(set.add(request("a"), 0)).toBe("queue-full");
    expect(set.add(request("another"), 0)).toBe("waiting");
  });

  it("lets a request that is wider than the level run alone", () => {
    const set = new QueueSet(LIMITS, 2, 0);
    const wideOne = request("a", wide(5));
    expect(set.add(wideOne, 0)).toBe("started");
    const next = request("b");
    expect(set.add(next, 0)).toBe("waiting");
    set.finish(wideOne, 10);
    expect(next.startedAt).toBe(10);
  });

  it("keeps the seats of a request for what follows its answer", () => {
    const set = new QueueSet(LIMITS, 1, 0);
    const write = request("a", { initialSeats: 1, finalSeats: 1, additionalLatencyMs: 5 });
    set.add(write, 0);
    const next = request("a");
    set.add(next, 0);
    set.finish(write, 3);
    expect(next.startedAt).toBeUndefined();
    set.release(write, 8);
    expect(next.startedAt).toBe(8);
  });

  it("takes a request out of its queue that waits no longer, and only then", () => {
    const set = new QueueSet(LIMITS, 1, 0);
    const first = request("a");
    const second = request("a");
    set.add(first, 0);
    set.add(second, 0);
    expect(set.cancel(second, 1)).toBe(true);
    expect(set.cancel(second, 1)).toBe(false);
    expect(set.cancel(first, 1)).toBe(false);
    set.finish(first, 2);
    expect(second.startedAt).toBeUndefined();
    expect(set.isIdle).toBe(true);
  });

  it("drops queues too many once they are empty", () => {
    const set = new QueueSet({ queues: 4, handSize: 4, queueLengthLimit: 10 }, 1, 0);
    const first = request("a");
    const rest = Array.from({ length: 8 }, () => request("a"));
    for (const one of [first, ...rest]) set.add(one, 0);
    set.configure({ queues: 1, handSize: 1, queueLengthLimit: 10 }, 1, 1);
    set.finish(first, 2);
    for (let now = 3; !set.isIdle; now++) {
      const running = rest.find((one) => one.startedAt !== undefined && one.queue!.executing.has(one))!;
      set.finish(running, now);
    }
    expect(rest.every((one) => one.startedAt !== undefined)).toBe(true);
    expect(set.queues).toHaveLength(1);
  });

  // The property that gives the subsystem its name.
  it.each([1, 2, 3, 4, 5])("serves a gentle flow while another floods it (seed %i)", (seed) => {
    const random = createSeededRandom(seed);
    const set = new QueueSet({ queues: 64, handSize: 4, queueLengthLimit: 50 }, 4, 0);
    const running: { readonly one: SeatRequest; readonly endsAt: number }[] = [];
    const waits: number[] = [];
    const gentle = new Set<SeatRequest>();
    const served = { gentle: 0, flood: 0, refusedGentle: 0 };
    const pending = new Set<SeatRequest>();
    const watch = (one: SeatRequest, now: number): void => {
      const outcome = set.add(one, now);
      if (outcome === "waiting" || outcome === "started") pending.add(one);
      else if (gentle.has(one)) served.refusedGentle += 1;
    };
    for (let now = 0; now < 4000; now++) {
      for (const one of pending) {
        if (one.startedAt === undefined) continue;
        pending.delete(one);
        if (gentle.has(one)) waits.push(one.startedAt - one.arrivedAt);
        running.push({ one, endsAt: one.startedAt + 5 + Math.floor(random.next() * 10) });
      }
      for (const entry of running.splice(0)) {
        if (entry.endsAt > now) {
          running.push(entry);
          continue;
        }
        set.finish(entry.one, now);
        served[gentle.has(entry.one) ? "gentle" : "flood"] += 1;
      }
      for (let i = 0; i < 3; i++) watch(new SeatRequest("schema", "flood", ONE_SEAT, now), now);
      if (now % 40 === 0) {
        const one = new SeatRequest("schema", `gentle-${seed}`, ONE_SEAT, now);
        gentle.add(one);
        watch(one, now);
      }
      expect(set.seatsInUse).toBeLessThanOrEqual(4);
    }
    expect(served.refusedGentle).toBe(0);
    expect(waits.length).toBeGreaterThan(95);
    // Its next turn comes with one of the next seats, however long the flood's queues are.
    expect(waits.toSorted((a, b) => a - b)[Math.floor(waits.length * 0.9)]).toBeLessThan(100);
    expect(served.flood).toBeGreaterThan(1000);
  });
});
