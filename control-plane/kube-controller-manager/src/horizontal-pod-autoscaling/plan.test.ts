import type { HorizontalPodAutoscaler } from "@coracle/api/autoscaling/v2";
import { describe, expect, it } from "vitest";
import { withCondition } from "./conditions.ts";
import { MetricFailure, selectorText, type Proposal } from "./evaluate-metric.ts";
import { combineProposals, isSameStatus, planByBounds, planScaling, tolerancesOf } from "./plan.ts";
import { startHistory } from "./scaling-history.ts";

const now = Date.parse("2026-01-01T00:00:00Z");
const rules = { tolerance: 0.1, downscaleStabilizationMs: 300_000, hasOwnTolerances: true };
const hpa = (spec: Partial<HorizontalPodAutoscaler["spec"]> = {}): HorizontalPodAutoscaler => ({
  metadata: { name: "h", namespace: "d" },
  spec: { scaleTargetRef: { kind: "Deployment", name: "x" }, maxReplicas: 5, ...spec },
});
const wants = (replicas: number, metric = "m"): Proposal => ({ replicas, metric, status: { type: "Resource" } });
const fails = (message: string): MetricFailure =>
  new MetricFailure("FailedGetResourceMetric", `detail ${message}`, message);

describe("bounds come before metrics", () => {
  it.each([
    [0, {}, "disabled"],
    [0, { minReplicas: 0 }, "ask"],
    [6, {}, "Current number of replicas above Spec.MaxReplicas"],
    [1, { minReplicas: 2 }, "Current number of replicas below Spec.MinReplicas"],
    [3, {}, "ask"],
  ])("%i of %j: %s", (current, spec, verdict) => {
    const plan = planByBounds(hpa(spec), current);
    expect(plan.action === "rescale" ? plan.reason : plan.action).toBe(verdict);
  });
});

describe("several metrics", () => {
  it("the largest proposal counts", () => {
    expect(combineProposals([wants(2, "a"), wants(4, "b"), wants(3, "c")], 3)).toMatchObject({
      isUsable: true,
      replicas: 4,
      metric: "b",
      error: undefined,
    });
  });
  it("one that failed does not keep from growing, but from shrinking", () => {
    expect(combineProposals([fails("x"), wants(4)], 3)).toMatchObject({
      isUsable: true,
      replicas: 4,
      error: "invalid metrics (1 invalid out of 2), first error is: x",
      statuses: [{ type: "" }, { type: "Resource" }],
    });
    expect(combineProposals([wants(2), fails("x"), fails("y")], 3)).toMatchObject({
      isUsable: false,
      failure: { detail: "detail x" },
      error: "invalid metrics (2 invalid out of 3), first error is: x",
    });
  });
  it("all that failed say nothing", () => expect(combineProposals([fails("x")], 0).isUsable).toBe(false));
});

describe("tolerances", () => {
  const own = hpa({ behavior: { scaleUp: { tolerance: "50m" }, scaleDown: {} } });
  it("are the autoscaler's own where it names them", () => {
    expect(tolerancesOf(own, rules)).toEqual({ scaleUp: 0.05, scaleDown: 0.1 });
  });
  it("are everybody's when the gate is off", () => {
    expect(tolerancesOf(own, { ...rules, hasOwnTolerances: false })).toEqual({ scaleUp: 0.1, scaleDown: 0.1 });
  });
});

describe("what is told", () => {
  it("why it is scaled", () => {
    const plan = (current: number, replicas: number) =>
      planScaling(hpa(), current, { replicas, metric: "cpu resource" }, [], startHistory(0, now), rules, now);
    expect(plan(2, 4)).toMatchObject({ replicas: 4, reason: "cpu resource above target" });
    expect(plan(4, 2)).toMatchObject({ replicas: 2, reason: "All metrics below target" });
  });
  it("a condition's time is that of its status", () => {
    const verdict = { reason: "A", message: "a" };
    const first = withCondition([], "AbleToScale", true, verdict, now);
    const second = withCondition(first, "AbleToScale", true, { reason: "B", message: "b" }, now + 60_000);
    expect(second).toEqual([{ ...first[0], reason: "B", message: "b" }]);
    expect(withCondition(second, "AbleToScale", false, verdict, now + 60_000)[0]?.lastTransitionTime).toBe(
      "2026-01-01T00:01:00Z",
    );
  });
  it("a status that says the same is not written again, whatever the order of its members", () => {
    const status = { currentReplicas: 1, desiredReplicas: 2, conditions: [{ type: "A", status: "True", reason: "r" }] };
    const other = { desiredReplicas: 2, conditions: [{ reason: "r", status: "True", type: "A" }], currentReplicas: 1 };
    expect(isSameStatus(status, other)).toBe(true);
    expect(isSameStatus(status, { ...other, desiredReplicas: 3 })).toBe(false);
    expect(isSameStatus(undefined, { desiredReplicas: 0 })).toBe(true);
  });
  it("selectors as upstream prints them", () => {
    expect(selectorText(undefined)).toBe("nil");
    const matchExpressions = [{ key: "k", operator: "In", values: ["x", "y"] }];
    expect(selectorText({ matchLabels: { b: "2", a: "1" }, matchExpressions })).toBe(
      "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}",
    );
  });
});
