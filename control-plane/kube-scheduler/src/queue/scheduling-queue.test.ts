import { describe, expect, it } from "vitest";
import type { Pod } from "@coracle/api/core/v1";
import { createFakeClock } from "@coracle/base";
import { SchedulingQueue } from "./scheduling-queue.ts";

const pod = (name: string, priority = 0, gated = false): Pod => ({
  metadata: { name, namespace: "d", uid: name },
  spec: { containers: [], priority, ...(gated ? { schedulingGates: [{ name: "g" }] } : {}) },
});

function setUp() {
  const clock = createFakeClock();
  const queue = new SchedulingQueue({
    clock,
    compare: (a, b) => (b.pod.spec.priority ?? 0) - (a.pod.spec.priority ?? 0) || a.since - b.since,
    preEnqueue: (p) => (p.spec.schedulingGates === undefined ? undefined : "gated"),
    isHelpful: (plugin, event) =>
      plugin === "Fit"
        ? event === "assigned-pod-deleted"
        : plugin === "SchedulingGates"
          ? event === "pod-changed"
          : true,
  });
  const popName = () => queue.pop()?.pod.metadata.name;
  return { clock, queue, popName };
}

describe("the scheduling queue", () => {
  it("gives the highest priority first, then who came first", async () => {
    const { clock, queue, popName } = setUp();
    queue.set(pod("first"));
    await clock.advance(1);
    queue.set(pod("second"));
    queue.set(pod("urgent", 10));
    expect([popName(), popName(), popName(), popName()]).toEqual(["urgent", "first", "second", undefined]);
  });
  it("a rejected pod waits for an event that may help it, and no less than its back-off", async () => {
    const { clock, queue, popName } = setUp();
    queue.set(pod("p"));
    const entry = queue.pop();
    queue.failed(entry!, new Set(["Fit"]), pod("p"));
    queue.notify("node-changed");
    await clock.advance(5000);
    expect(popName()).toBeUndefined();
    queue.notify("assigned-pod-deleted");
    expect(popName()).toBe("p");
  });
  it("what happened during the attempt counts: the pod backs off instead of waiting for the next event", async () => {
    const { clock, queue, popName } = setUp();
    queue.set(pod("p"));
    const entry = queue.pop();
    queue.notify("assigned-pod-deleted");
    queue.failed(entry!, new Set(["Fit"]), pod("p"));
    expect(popName()).toBeUndefined();
    await clock.advance(1000);
    expect(popName()).toBe("p");
  });
  it("nobody waits for ever: after five minutes every pod is tried again", async () => {
    const { clock, queue, popName } = setUp();
    queue.set(pod("p"));
    queue.failed(queue.pop()!, new Set(["Fit"]), pod("p"));
    await clock.advance(299_000);
    expect(popName()).toBeUndefined();
    await clock.advance(2000);
    expect(popName()).toBe("p");
  });
  it("gated pods come in when the last gate is gone", () => {
    const { queue, popName } = setUp();
    queue.set(pod("p", 0, true));
    expect(popName()).toBeUndefined();
    queue.set(pod("p"));
    expect(popName()).toBe("p");
  });
  it("deleted pods are forgotten wherever they wait", async () => {
    const { clock, queue, popName } = setUp();
    queue.set(pod("p"));
    queue.delete(pod("p"));
    queue.set(pod("q"));
    queue.failed(queue.pop()!, new Set(), pod("q"));
    queue.delete(pod("q"));
    await clock.advance(20_000);
    expect([popName(), queue.size]).toEqual([undefined, 0]);
    queue.close();
    expect(clock.pending).toBe(0);
  });
});
