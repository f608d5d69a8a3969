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
    preEnqueue: (p) =>
      p.spec.schedulingGates === undefined ? undefined : { plugin: "SchedulingGates", reason: "gated" },
    isHelpful: (plugin, { event }) =>
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
  it("a rejected pod waits for an event that may help it; its back-off counts as long as others are ready", async () => {
    const { clock, queue, popName } = setUp();
    queue.set(pod("p"));
    queue.failed(queue.pop()!, new Set(["Fit"]), pod("p"));
    queue.notify("node-labels-changed");
    await clock.advance(500);
    expect(popName()).toBeUndefined();
    queue.set(pod("other", -1));
    queue.notify("assigned-pod-deleted");
    expect(queue.counts()).toEqual({ active: 1, backoff: 1, unschedulable: 0, gated: 0 });
    expect([popName(), popName(), popName()]).toEqual(["other", "p", undefined]);
  });
  it("what happened during the attempt counts", () => {
    const { queue, popName } = setUp();
    queue.set(pod("p"));
    const entry = queue.pop();
    queue.notify("assigned-pod-deleted");
    queue.failed(entry!, new Set(["Fit"]), pod("p"));
    expect(popName()).toBe("p");
  });
  it("what happened before the attempt does not count, whoever else is being tried", () => {
    const { queue, popName } = setUp();
    queue.set(pod("slow"));
    queue.pop();
    queue.notify("assigned-pod-deleted");
    queue.set(pod("p"));
    queue.failed(queue.pop()!, new Set(["Fit"]), pod("p"));
    expect(popName()).toBeUndefined();
    expect([...queue.inFlight()]).toEqual([
      ["PodPopped", 1],
      ["AssignedPodDelete", 1],
    ]);
    queue.done(pod("slow"));
    expect([...queue.inFlight()]).toEqual([["PodPopped", 0]]);
  });
  it("a gated pod that a change might have helped, and did not, stays gated", () => {
    const { queue, popName } = setUp();
    queue.set(pod("p", 0, true));
    queue.notify("pod-changed");
    expect([popName(), queue.counts().gated]).toEqual([undefined, 1]);
  });
  it("where no plugin that rejected somebody is told of such changes, nobody is looked at", () => {
    let looked = 0;
    const queue = new SchedulingQueue({
      clock: createFakeClock(),
      compare: () => 0,
      preEnqueue: () => undefined,
      isRegistered: (plugin, event) => plugin === "Fit" && event === "assigned-pod-deleted",
      isHelpful: () => ++looked > 1,
    });
    for (const name of ["p", "q"]) {
      queue.set(pod(name));
      queue.failed(queue.pop()!, new Set([name === "p" ? "Fit" : "Ports"]), pod(name));
    }
    queue.notify("assigned-pod-added");
    expect(looked).toBe(0);
    queue.notify("assigned-pod-deleted");
    expect(looked).toBe(2);
    queue.delete(pod("p"));
    queue.notify("assigned-pod-deleted");
    expect(looked).toBe(2);
  });
  it("after errors a pod backs off: 1 s, doubling, at most 10 s, whoever is ready", async () => {
    const { clock, queue } = setUp();
    queue.set(pod("p"));
    for (const seconds of [1, 2, 4, 8, 10, 10]) {
      queue.failed(queue.pop()!, new Set(), pod("p"));
      await clock.advance(seconds * 1000 - 1);
      expect(queue.pop()).toBeUndefined();
      await clock.advance(1);
    }
    expect(queue.pop()?.attempts).toBe(6);
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
    expect([popName(), queue.counts().gated]).toEqual([undefined, 1]);
    queue.set(pod("p"));
    expect(popName()).toBe("p");
  });
  it("gives 5,000 pods in order, whatever comes and goes between", () => {
    const { queue } = setUp();
    for (let i = 0; i < 5000; i++) queue.set(pod(`p${i}`, (i * 7919) % 101));
    for (let i = 0; i < 5000; i += 3) queue.delete(pod(`p${i}`));
    const order: number[] = [];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) order.push(next.pod.spec.priority ?? 0);
    expect(order).toEqual(order.toSorted((a, b) => b - a));
    expect(order).toHaveLength(3333);
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
