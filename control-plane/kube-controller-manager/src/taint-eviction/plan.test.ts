import type { Taint, Toleration } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { msUntilEviction } from "./plan.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const taint = (key: string, effect = "NoExecute", secondsAgo = 0): Taint => ({
  key,
  effect,
  timeAdded: new Date(NOW - secondsAgo * 1000).toISOString(),
});
const tolerating = (key: string, tolerationSeconds?: number): Toleration => ({
  key,
  operator: "Exists",
  effect: "NoExecute",
  ...(tolerationSeconds === undefined ? {} : { tolerationSeconds }),
});

describe("when a pod must leave a tainted node", () => {
  it.each<[string, Taint[], Toleration[], number | undefined]>([
    ["never: no taint", [], [], undefined],
    ["never: a taint that drives nobody away", [taint("x", "NoSchedule")], [], undefined],
    ["at once: not tolerated", [taint("x")], [tolerating("y")], 0],
    ["never: tolerated for ever", [taint("x")], [tolerating("x")], undefined],
    ["after its seconds, from when the taint came", [taint("x", "NoExecute", 100)], [tolerating("x", 300)], 200_000],
    ["at once when they are over", [taint("x", "NoExecute", 400)], [tolerating("x", 300)], 0],
    ["at once with zero or less", [taint("x")], [tolerating("x", -5)], 0],
    ["the shortest of several tolerations", [taint("x")], [tolerating("x", 300), tolerating("x", 60)], 60_000],
    ["a limited one counts beside an unlimited one", [taint("x")], [tolerating("x"), tolerating("x", 60)], 60_000],
    ["the first of several taints", [taint("x"), taint("y")], [tolerating("x", 300), tolerating("y", 60)], 60_000],
    ["at once when one of several is not tolerated", [taint("x"), taint("y")], [tolerating("x")], 0],
    ["a toleration of everything", [taint("x"), taint("y")], [{ operator: "Exists" }], undefined],
    ["a value must be equal", [{ ...taint("x"), value: "1" }], [{ key: "x", operator: "Equal", value: "2" }], 0],
    ["equal is the default", [{ ...taint("x"), value: "1" }], [{ key: "x", value: "1" }], undefined],
    ["an effect must be the same", [taint("x")], [{ key: "x", operator: "Exists", effect: "NoSchedule" }], 0],
  ])("%s", (_, taints, tolerations, ms) => expect(msUntilEviction(taints, tolerations, NOW)).toBe(ms));

  it("counts from when the pod was first found to have to leave, where the taint does not say when it came", () => {
    const silent = { key: "x", effect: "NoExecute" };
    expect(msUntilEviction([silent], [tolerating("x", 300)], NOW, NOW - 100_000)).toBe(200_000);
    expect(msUntilEviction([silent], [tolerating("x", 300)], NOW)).toBe(300_000);
  });
});
