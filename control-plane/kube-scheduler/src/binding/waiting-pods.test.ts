import type { Pod } from "@coracle/api/core/v1";
import { createFakeClock, silentLogger } from "@coracle/base";
import { describe, expect, it } from "vitest";
import type { Plugin } from "../framework/plugin.ts";
import { createProfile } from "../framework/profile.ts";
import { SchedulerMetrics } from "../metrics/scheduler-metrics.ts";
import { permit, unreserve, type BindingDeps } from "./binding-cycle.ts";
import { WaitingPods } from "./waiting-pods.ts";

const pod: Pod = { metadata: { name: "p", namespace: "d", uid: "1" }, spec: { containers: [] } };
const placement = { pod, nodeName: "a", state: new Map<string, unknown>() };

function setUp(...plugins: readonly Plugin[]) {
  const clock = createFakeClock();
  const waiting = new WaitingPods(clock);
  const profile = createProfile(
    "s",
    plugins.map((plugin) => ({ plugin, weight: 0 })),
  );
  const metrics = new SchedulerMetrics(clock);
  const deps: BindingDeps = { profile, waiting, metrics, logger: silentLogger, signal: new AbortController().signal };
  return { clock, waiting, deps };
}
const holding = (name: string, waitMs: number): Plugin => ({ name, permit: () => Promise.resolve({ waitMs }) });

describe("pods that plugins hold back", () => {
  it("go on when every plugin that holds them has let them go", async () => {
    const { waiting, deps, clock } = setUp(holding("A", 1000), holding("B", 1000));
    const answer = permit(deps, placement);
    await clock.advance(0);
    expect(waiting.list().map((each) => each.pendingPlugins)).toEqual([["A", "B"]]);
    waiting.get(pod)?.allow("A");
    waiting.get(pod)?.allow("B");
    expect([await answer, waiting.list().length, clock.pending]).toEqual([undefined, 0, 0]);
  });
  it("are rejected by one of them, or when the time of one is up", async () => {
    const { waiting, deps, clock } = setUp(holding("A", 1000), holding("B", 2000));
    const first = permit(deps, placement);
    await clock.advance(0);
    waiting.get(pod)?.reject("B", "no quorum");
    expect(await first).toEqual({ plugin: "B", reason: "no quorum" });
    const second = permit(deps, placement);
    await clock.advance(1000);
    expect(await second).toEqual({
      plugin: "A",
      reason: "rejected due to timeout after waiting 1s at plugin A",
    });
  });
  it("what was set aside is given back in reverse order, though one plugin throws", () => {
    const order: string[] = [];
    const giving = (name: string, throws = false): Plugin => ({
      name,
      unreserve() {
        order.push(name);
        if (throws) throw new Error("boom");
      },
    });
    unreserve(setUp(giving("A"), giving("B", true), giving("C")).deps, placement);
    expect(order).toEqual(["C", "B", "A"]);
  });
});
