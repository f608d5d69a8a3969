import type { Clock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { LongBodies } from "./long-bodies.ts";

const LONG = 1024 * 1024;

/** A thread whose work and pauses are told, not done. */
function thread(): { bodies: LongBodies; work: (ms: number) => void; pass: (ms: number) => Promise<void> } {
  let now = 0;
  let busyMs = 0;
  const timers = new Set<{ readonly at: number; readonly action: () => void }>();
  const clock: Clock = {
    now: () => now,
    monotonicMs: () => now,
    after(delayMs, action) {
      const timer = { at: now + delayMs, action };
      timers.add(timer);
      return { unref: () => {}, [Symbol.dispose]: () => void timers.delete(timer) };
    },
  };
  return {
    bodies: new LongBodies({ clock, busyMs: () => busyMs }),
    work: (ms) => {
      busyMs += ms;
      now += ms;
    },
    pass: async (ms) => {
      now += ms;
      for (const timer of timers) {
        if (timer.at > now) continue;
        timers.delete(timer);
        timer.action();
      }
      await Promise.resolve();
    },
  };
}

describe("long bodies", () => {
  it("are worked on one at a time, and others have the thread for as long as each took", async () => {
    const { bodies, work, pass } = thread();
    const begun: string[] = [];
    const enter = async (name: string): Promise<() => void> => {
      const end = (await bodies.enter("eve", LONG)) as () => void;
      begun.push(name);
      return end;
    };
    const first = await enter("first");
    const second = enter("second");
    work(400);
    await pass(0);
    expect(begun).toEqual(["first"]);
    first();
    await pass(399);
    expect(begun).toEqual(["first"]);
    await pass(1);
    await second;
    expect(begun).toEqual(["first", "second"]);
  });

  it("that take no time follow each other at once; short ones never wait", async () => {
    const { bodies } = thread();
    const end = (await bodies.enter("eve", LONG)) as () => void;
    const next = bodies.enter("eve", LONG);
    expect(bodies.enter("eve", 1000)).toBeUndefined();
    end();
    await next;
  });

  it("of users in turn: who sends many waits behind his own", async () => {
    const { bodies } = thread();
    const order: string[] = [];
    const enter = async (user: string): Promise<void> => {
      const end = (await bodies.enter(user, LONG)) as () => void;
      order.push(user);
      end();
    };
    const all = [enter("eve"), enter("eve"), enter("eve"), enter("bob")];
    await Promise.all(all);
    expect(order).toEqual(["eve", "bob", "eve", "eve"]);
  });

  it("that wait for a webhook make room for the next", async () => {
    const { bodies, pass } = thread();
    await bodies.enter("eve", LONG);
    const next = bodies.enter("bob", LONG);
    await pass(1000);
    await next;
  });

  it("are refused when too much waits", async () => {
    const { bodies } = thread();
    await bodies.enter("eve", LONG);
    for (let i = 0; i < 64; i++) void bodies.enter("eve", LONG);
    expect(() => bodies.enter("eve", LONG)).toThrow();
  });
});
