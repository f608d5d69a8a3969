import { describe, expect, it } from "vitest";
import { limitByBehavior, limitPlainly, recordScaling, startHistory, type ScalingHistory } from "./scaling-history.ts";

const MINUTE = 60_000;
const now = 100 * MINUTE;
const WINDOW = 5 * MINUTE;
const fresh: ScalingHistory = { recommendations: [], ups: [], downs: [] };
const said = (...pairs: readonly (readonly [value: number, minutesAgo: number])[]) =>
  pairs.map(([value, ago]) => ({ value, at: now - ago * MINUTE }));

describe("limits of an autoscaler that names none", () => {
  it.each<[string, number, number, ScalingHistory, number, string, string, boolean]>([
    ["as wanted", 3, 2, fresh, 3, "ReadyForNewScale", "DesiredWithinRange", false],
    ["at most twice as many", 20, 3, fresh, 6, "ReadyForNewScale", "ScaleUpLimit", true],
    ["or four", 20, 1, fresh, 4, "ReadyForNewScale", "ScaleUpLimit", true],
    ["at most the maximum", 20, 8, fresh, 10, "ReadyForNewScale", "TooManyReplicas", true],
    ["at least the minimum", 0, 3, fresh, 1, "ReadyForNewScale", "TooFewReplicas", true],
    [
      "down only when the most of the window is over",
      2,
      8,
      { ...fresh, recommendations: said([9, 6], [7, 4], [3, 1]) },
      7,
      "ScaleDownStabilized",
      "DesiredWithinRange",
      false,
    ],
  ])("%s", (_what, wanted, current, history, replicas, able, limited, isTrue) => {
    const answer = limitPlainly(wanted, history, { current, min: 1, max: 10, now }, WINDOW);
    expect(answer).toMatchObject({
      replicas,
      ableToScale: { reason: able },
      scalingLimited: { reason: limited, isTrue },
    });
    expect(answer.history.recommendations.at(-1)).toEqual({ value: wanted, at: now });
  });

  it("after a start the present number counts as recommended: nothing is scaled down at once", () => {
    const answer = limitPlainly(1, startHistory(6, now), { current: 6, min: 1, max: 10, now }, WINDOW);
    expect(answer.replicas).toBe(6);
  });
});

const pods = (value: number, periodSeconds = 60) => ({ type: "Pods", value, periodSeconds });
const percent = (value: number, periodSeconds = 60) => ({ type: "Percent", value, periodSeconds });
const bounds = (current: number, max = 1000) => ({ current, min: 1, max, now });

describe("limits by behavior", () => {
  it.each<[string, number, number, ScalingHistory, object, number, string]>([
    ["up by the larger policy", 50, 10, fresh, { policies: [pods(4), percent(100)] }, 20, "ScaleUpLimit"],
    [
      "up by the smaller with Min",
      50,
      10,
      fresh,
      { policies: [pods(4), percent(100)], selectPolicy: "Min" },
      14,
      "ScaleUpLimit",
    ],
    ["not at all when disabled", 50, 10, fresh, { policies: [pods(4)], selectPolicy: "Disabled" }, 10, "ScaleUpLimit"],
    ["percents are rounded up", 50, 3, fresh, { policies: [percent(10)] }, 4, "ScaleUpLimit"],
    [
      "what the period saw already is off",
      50,
      12,
      { ...fresh, ups: said([2, 0.5]) },
      { policies: [pods(5)] },
      15,
      "ScaleUpLimit",
    ],
    ["what is older is not", 50, 12, { ...fresh, ups: said([2, 1.5]) }, { policies: [pods(5)] }, 17, "ScaleUpLimit"],
    [
      "what went down in it may come back",
      50,
      12,
      { ...fresh, downs: said([3, 0.5]) },
      { policies: [pods(5)] },
      20,
      "ScaleUpLimit",
    ],
    [
      "never below what there is",
      50,
      12,
      { ...fresh, ups: said([9, 0.5]) },
      { policies: [pods(5)] },
      12,
      "ScaleUpLimit",
    ],
    ["within: as wanted", 11, 10, fresh, { policies: [pods(4)] }, 11, "DesiredWithinRange"],
  ])("up: %s", (_what, wanted, current, history, scaleUp, replicas, reason) => {
    const answer = limitByBehavior(wanted, history, bounds(current), { scaleUp }, 0);
    expect([answer.replicas, answer.scalingLimited.reason]).toEqual([replicas, reason]);
  });

  it.each<[string, number, number, ScalingHistory, object, number, string]>([
    ["by the larger policy", 1, 100, fresh, { policies: [pods(4), percent(20)] }, 80, "ScaleDownLimit"],
    [
      "by the smaller with Min",
      1,
      100,
      fresh,
      { policies: [pods(4), percent(20)], selectPolicy: "Min" },
      96,
      "ScaleDownLimit",
    ],
    [
      "not at all when disabled",
      1,
      100,
      fresh,
      { policies: [pods(4)], selectPolicy: "Disabled" },
      100,
      "ScaleDownLimit",
    ],
    [
      "what the period saw already is off",
      1,
      97,
      { ...fresh, downs: said([3, 0.5]) },
      { policies: [pods(4)] },
      96,
      "ScaleDownLimit",
    ],
    ["to the minimum", 0, 3, fresh, {}, 1, "TooFewReplicas"],
  ])("down: %s", (_what, wanted, current, history, scaleDown, replicas, reason) => {
    const answer = limitByBehavior(wanted, history, bounds(current), { scaleDown }, 0);
    expect([answer.replicas, answer.scalingLimited.reason]).toEqual([replicas, reason]);
  });

  it("a window for both ways keeps the number between what was recommended", () => {
    const history = { ...fresh, recommendations: said([4, 1], [8, 2], [20, 9]) };
    const windows = {
      scaleUp: { stabilizationWindowSeconds: 300 },
      scaleDown: { stabilizationWindowSeconds: 300 },
    };
    expect(limitByBehavior(10, history, bounds(6), windows, 0)).toMatchObject({
      replicas: 6,
      ableToScale: { reason: "ScaleUpStabilized" },
    });
    expect(limitByBehavior(2, history, bounds(9), windows, 0)).toMatchObject({
      replicas: 8,
      ableToScale: { reason: "ScaleDownStabilized" },
    });
  });

  it("remembers for as long as the longest period, and nothing without behavior", () => {
    const history = { ...fresh, ups: said([1, 3], [2, 0.5]) };
    expect(recordScaling(history, 4, 7, undefined, now)).toBe(history);
    const behavior = { scaleUp: { policies: [pods(1), percent(1, 120)] } };
    expect(recordScaling(history, 4, 7, behavior, now).ups).toEqual(said([2, 0.5], [3, 0]));
    expect(recordScaling(history, 7, 4, behavior, now).downs).toEqual(said([3, 0]));
  });
});
