import { createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { createWorkQueue, type WorkQueue } from "./work-queue.ts";

interface Trial {
  readonly queue: WorkQueue<string>;
  readonly clock: ReturnType<typeof createFakeClock>;
  readonly begun: string[];
  readonly finish: (key: string) => Promise<void>;
  readonly stop: () => Promise<void>;
}

function start(workers: number): Trial {
  const clock = createFakeClock();
  const queue = createWorkQueue<string>({ clock });
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const stop = new AbortController();
  const run = queue.run(
    workers,
    (key) => {
      begun.push(key);
      return new Promise((resolve) => ends.set(key, resolve));
    },
    stop.signal,
  );
  return {
    queue,
    clock,
    begun,
    async finish(key) {
      ends.get(key)?.();
      await clock.advance(0);
    },
    async stop() {
      stop.abort();
      await run;
    },
  };
}

describe("work queue", () => {
  it("a key waits once however often it is added", async () => {
    const { queue, clock, begun, finish, stop } = start(1);
    queue.add("busy");
    await clock.advance(0);
    queue.add("a");
    queue.add("a");
    expect(queue.length).toBe(1);
    await finish("busy");
    await finish("a");
    expect(begun).toEqual(["busy", "a"]);
    await stop();
  });

  it("a key is never worked on twice at a time, and again when added meanwhile", async () => {
    const { queue, clock, begun, finish, stop } = start(5);
    queue.add("a");
    queue.add("a");
    queue.add("b");
    expect(begun).toEqual([]);
    await clock.advance(0);
    expect(begun).toEqual(["a", "b"]);
    queue.add("a");
    await finish("a");
    expect(begun).toEqual(["a", "b", "a"]);
    await finish("a");
    await finish("b");
    await stop();
  });

  it("back-off doubles with each failure and starts anew after forget", async () => {
    const { queue, begun, clock, finish, stop } = start(1);
    queue.addRateLimited("a");
    await clock.advance(5);
    await finish("a");
    queue.addRateLimited("a");
    await clock.advance(9);
    expect(begun).toHaveLength(1);
    await clock.advance(1);
    expect(begun).toHaveLength(2);
    await finish("a");
    queue.forget("a");
    queue.addRateLimited("a");
    await clock.advance(5);
    expect(begun).toHaveLength(3);
    await finish("a");
    await stop();
  });

  it("beyond a hundred at once failures of all keys together come back ten a second", async () => {
    const { queue, begun, clock, finish, stop } = start(1000);
    for (let i = 0; i < 120; i++) queue.addRateLimited(`key-${i}`);
    await clock.advance(5);
    expect(begun).toHaveLength(100);
    await clock.advance(995);
    expect(begun).toHaveLength(110);
    await clock.advance(1000);
    expect(begun).toHaveLength(120);
    for (const key of begun) await finish(key);
    await stop();
  });

  it("of several delays the earliest counts, and none outlives the run", async () => {
    const { queue, begun, clock, finish, stop } = start(1);
    queue.addAfter("a", 1000);
    queue.addAfter("a", 100);
    queue.addAfter("a", 5000);
    await clock.advance(100);
    expect(begun).toEqual(["a"]);
    await finish("a");
    queue.addAfter("b", 1000);
    await stop();
    expect(clock.pending).toBe(0);
  });
});
