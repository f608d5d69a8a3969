import type { Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { describe, expect, it } from "vitest";
import { budgetStatus, countsControllers, describeSelector, failedStatus, msUntilStale } from "./plan.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const pod = (name: string, ready = true, phase = "Running"): Pod => ({
  metadata: { name },
  spec: { containers: [] },
  status: { phase, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
});
const four = ["a", "b", "c", "d"].map((name) => pod(name));
const budget = (spec: PodDisruptionBudget["spec"], status?: PodDisruptionBudget["status"]): PodDisruptionBudget => ({
  metadata: { name: "b", generation: 2 },
  spec,
  ...(status === undefined ? {} : { status }),
});
const numbers = (spec: PodDisruptionBudget["spec"], pods: readonly Pod[], wanted: number): string => {
  const { status } = budgetStatus(budget(spec), pods, wanted, NOW);
  return `${status.currentHealthy}/${status.desiredHealthy} of ${status.expectedPods}: ${status.disruptionsAllowed}`;
};

describe("how many pods may be evicted", () => {
  it.each([
    ["minAvailable as a number", { minAvailable: 3 }, four, 4, "4/3 of 4: 1"],
    ["minAvailable as a share is rounded up", { minAvailable: "60%" }, four, 4, "4/3 of 4: 1"],
    ["maxUnavailable as a number", { maxUnavailable: 1 }, four, 4, "4/3 of 4: 1"],
    ["maxUnavailable as a share is rounded up", { maxUnavailable: "30%" }, four, 4, "4/2 of 4: 2"],
    ["more than there are", { maxUnavailable: 9 }, four, 4, "4/0 of 4: 4"],
    [
      "pods that are not ready do not count as healthy",
      { maxUnavailable: 1 },
      [...four.slice(1), pod("a", false)],
      4,
      "3/3 of 4: 0",
    ],
    ["controllers want more than there are", { maxUnavailable: 1 }, four, 8, "4/7 of 8: 0"],
    ["no pods", { minAvailable: 0 }, [], 0, "0/0 of 0: 0"],
    ["pods without controller, by number", { minAvailable: 1 }, four, 0, "4/1 of 4: 3"],
    ["pods without controller, by share: none", { maxUnavailable: 1 }, four, 0, "4/0 of 0: 0"],
    ["all must stay", { minAvailable: "100%" }, four, 4, "4/4 of 4: 0"],
  ])("%s", (_, spec, pods, wanted, expected) => expect(numbers(spec, pods, wanted)).toBe(expected));

  it("evictions that were granted count although their pod is still there, for two minutes", () => {
    const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();
    const before = {
      disruptedPods: { a: ago(10), b: ago(121), gone: ago(1) },
      currentHealthy: 4,
      desiredHealthy: 3,
      disruptionsAllowed: 1,
      expectedPods: 4,
    };
    const { status, recheckMs } = budgetStatus(budget({ maxUnavailable: 2 }, before), four, 4, NOW);
    expect(status).toMatchObject({ currentHealthy: 3, disruptionsAllowed: 1, disruptedPods: { a: ago(10) } });
    expect(recheckMs).toBe(110_000);
  });
  it("says by a condition whether any may be", () => {
    const conditionOf = (max: number) => budgetStatus(budget({ maxUnavailable: max }), four, 4, NOW).status.conditions;
    expect(conditionOf(1)).toMatchObject([
      { type: "DisruptionAllowed", status: "True", reason: "SufficientPods", observedGeneration: 2 },
    ]);
    expect(conditionOf(0)).toMatchObject([{ type: "DisruptionAllowed", status: "False", reason: "InsufficientPods" }]);
  });
});

it("asks for controllers where a share of what they want is meant", () => {
  expect(countsControllers(budget({ minAvailable: 1 }))).toBe(false);
  expect(countsControllers(budget({ minAvailable: "50%" }))).toBe(true);
  expect(countsControllers(budget({ maxUnavailable: 1 }))).toBe(true);
});

it("grants nothing when it cannot count, and says why", () => {
  expect(failedStatus(budget({}), new Error("found no controllers"), NOW)).toMatchObject({
    disruptionsAllowed: 0,
    conditions: [{ type: "DisruptionAllowed", status: "False", reason: "SyncFailed", message: "found no controllers" }],
  });
});

it("a disruption that has not come is out of date after two minutes", () => {
  const told = (reason: string, phase = "Running"): Pod => ({
    ...pod("a"),
    status: {
      phase,
      conditions: [{ type: "DisruptionTarget", status: "True", reason, lastTransitionTime: "2026-01-01T23:59:00Z" }],
    },
  });
  expect(msUntilStale(told("EvictionByEvictionAPI"), NOW)).toBe(60_000);
  expect(msUntilStale(told("EvictionByEvictionAPI"), NOW + 90_000)).toBe(0);
  expect(msUntilStale(told("TerminationByKubelet"), NOW)).toBeUndefined();
  expect(msUntilStale(told("EvictionByEvictionAPI", "Failed"), NOW)).toBeUndefined();
  expect(msUntilStale(pod("a"), NOW)).toBeUndefined();
});

it("shows selectors as upstream does", () => {
  const matchExpressions = [{ key: "a", operator: "In", values: ["x", "y"] }];
  expect(describeSelector({ matchLabels: { c: "d" }, matchExpressions })).toBe(
    "&LabelSelector{MatchLabels:map[string]string{c: d,},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:a,Operator:In,Values:[x y],},},}",
  );
});
