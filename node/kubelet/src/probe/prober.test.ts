import { createFakeClock, createSeededRandom } from "@coracle/base";
import type { Probe } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { podOf, runOf, stateOf } from "../pod/pod-fixture.ts";
import { Prober, type ProberDeps } from "./prober.ts";

function proberOf(probe: Probe, kind: "readinessProbe" | "livenessProbe", answers: boolean[]) {
  const clock = createFakeClock(2000);
  let changes = 0;
  const deps = {
    clock,
    random: createSeededRandom(1),
    cri: undefined as unknown as ProberDeps["cri"],
    ask: async () => ({ ok: answers.length > 1 ? answers.shift() === true : answers[0] === true, output: "" }),
  };
  const prober = new Prober(deps, { changed: () => (changes += 1), failed: () => {} });
  prober.sync(podOf({ containers: [{ name: "c", [kind]: probe }] }), stateOf([runOf("c", "running")]), false);
  return { clock, prober, changes: () => changes };
}

describe("probes", () => {
  it("make a container ready after the initial delay and the success threshold", async () => {
    const { clock, prober } = proberOf(
      { initialDelaySeconds: 5, periodSeconds: 2, successThreshold: 2 },
      "readinessProbe",
      [true],
    );
    const container = { name: "c", readinessProbe: {} };
    await clock.advance(5_500);
    expect(prober.isReady(container, "c-run")).toBe(false);
    await clock.advance(2_000);
    expect(prober.isReady(container, "c-run")).toBe(true);
    prober[Symbol.dispose]();
    expect(clock.pending).toBe(0);
  });

  it("fail a container only after the failure threshold in a row", async () => {
    const probe = { periodSeconds: 1, failureThreshold: 3 };
    const { clock, prober, changes } = proberOf(probe, "livenessProbe", [false, false, true, false, false, false]);
    await clock.advance(4_500);
    expect(prober.result("c-run", "liveness")).toBe("success");
    await clock.advance(1_000);
    expect(prober.result("c-run", "liveness")).toBe("failure");
    expect(changes()).toBe(1);
    prober[Symbol.dispose]();
  });
});
