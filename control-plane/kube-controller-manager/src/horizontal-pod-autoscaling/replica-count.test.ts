import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { timestamp } from "../time/timestamp.ts";
import type { PodSample } from "./pod-groups.ts";
import {
  replicasByAverage,
  replicasByShare,
  replicasByUtilization,
  replicasByValue,
  type ScaledPods,
} from "./replica-count.ts";

const now = Date.parse("2026-01-01T12:00:00Z");
const MINUTE = 60_000;
const tolerances = { scaleUp: 0.1, scaleDown: 0.1 };
const rules = { cpuInitializationPeriodMs: 2 * MINUTE, initialReadinessDelayMs: 10_000, now };

type Kind = "ready" | "pending" | "unready" | "failed" | "deleted" | "starting" | "wasReady";

/** Asks for one CPU. */
function pod(name: string, kind: Kind, requests: Record<string, string> | undefined = { cpu: "1" }): Pod {
  const started = kind === "starting" ? now - MINUTE / 2 : now - 30 * MINUTE;
  const changed = kind === "wasReady" ? now - MINUTE : kind === "unready" ? started + 5000 : started;
  return {
    metadata: { name, ...(kind === "deleted" ? { deletionTimestamp: timestamp(now) } : {}) },
    spec: { containers: [{ name: "c", image: "i", resources: { requests } }] },
    status: {
      phase: kind === "pending" ? "Pending" : kind === "failed" ? "Failed" : "Running",
      startTime: timestamp(started),
      conditions: [
        {
          type: "Ready",
          status: kind === "ready" || kind === "starting" ? "True" : "False",
          lastTransitionTime: timestamp(changed),
        },
      ],
    },
  };
}

const target = (kinds: readonly Kind[], replicas = kinds.length): ScaledPods => ({
  pods: kinds.map((kind, i) => pod(`p${i}`, kind)),
  replicas,
  tolerances,
  rules,
});
const samplesOf = (values: readonly (number | undefined)[], timestampOf = now): Map<string, PodSample> =>
  new Map(
    values.flatMap((value, i) =>
      value === undefined ? [] : [[`p${i}`, { value, timestamp: timestampOf, windowMs: MINUTE }] as const],
    ),
  );
const R = "ready";

describe("replicas by the utilization of what pods ask for", () => {
  it.each<[string, readonly Kind[], number, readonly (number | undefined)[], number, number, number]>([
    ["up in proportion", [R, R, R], 30, [300, 500, 700], 5, 50, 500],
    ["down in proportion", [R, R, R, R, R], 50, [100, 300, 500, 250, 250], 3, 28, 280],
    ["nothing within the tolerance", [R, R, R], 100, [1010, 1030, 1020], 3, 102, 1020],
    ["pending pods count as idle on the way up", [R, R, "pending"], 30, [100, 500, 700], 3, 30, 300],
    ["unready pods count as idle on the way up", [R, R, "unready"], 30, [400, 500, 700], 3, 45, 450],
    ["pods that start count as idle on the way up", [R, R, "starting"], 30, [400, 500, 700], 3, 45, 450],
    [
      "pods without a sample count as idle on the way up",
      [R, R, R, R],
      30,
      [500, undefined, undefined, 600],
      4,
      55,
      550,
    ],
    ["pods without a sample count as busy on the way down", [R, R, R, R], 50, [100, 100, 100, undefined], 3, 10, 100],
    [
      "missing and target above a hundred: as busy as the target",
      [R, R, R, R],
      300,
      [600, 600, 600, undefined],
      2,
      60,
      600,
    ],
    ["failed and deleted pods do not count", [R, R, "failed", "deleted"], 50, [1000, 1000, 9, 9], 4, 100, 1000],
    ["a pod that was ready before counts though it is not now", [R, "wasReady"], 50, [500, 1500], 4, 100, 1000],
  ])("%s", (_what, kinds, targetPercent, values, replicas, utilization, usage) => {
    const answer = replicasByUtilization(target(kinds), samplesOf(values), { resource: "cpu", targetPercent });
    expect(answer).toEqual({ replicas, utilization, usage });
  });

  it("a sample that began before the pod was ready says nothing", () => {
    const seen = samplesOf([400, 500, 700]);
    seen.set("p2", { value: 700, timestamp: now - MINUTE, windowMs: MINUTE });
    const query = { resource: "cpu", targetPercent: 30 };
    expect(replicasByUtilization(target([R, R, "starting"]), seen, query).utilization).toBe(45);
  });

  it.each<[string, ScaledPods, readonly number[], string | undefined, string]>([
    ["no pods", target([]), [1], undefined, "no pods returned by selector while calculating replica count"],
    [
      "no sample",
      target(["pending"]),
      [1],
      undefined,
      "did not receive metrics for targeted pods (pods might be unready)",
    ],
    [
      "no request",
      { ...target([R]), pods: [pod("p0", "ready", {})] },
      [1],
      undefined,
      "missing request for cpu in container c of Pod p0",
    ],
    ["no such container", target([R]), [1], "x", "container x not found in Pod p0"],
  ])("%s: refused in upstream's words", (_what, scaled, values, container, message) => {
    const query = { resource: "cpu", container, targetPercent: 50 };
    expect(() => replicasByUtilization(scaled, samplesOf(values), query)).toThrow(message);
  });

  it("what the pod asks for as a whole counts before what its containers ask for", () => {
    const whole = pod("p0", "ready");
    const scaled = {
      ...target([R]),
      pods: [{ ...whole, spec: { ...whole.spec, resources: { requests: { cpu: "2" } } } }],
    };
    const query = { resource: "cpu", targetPercent: 50 };
    expect(replicasByUtilization(scaled, samplesOf([2000]), query)).toEqual({
      replicas: 2,
      utilization: 100,
      usage: 2000,
    });
    expect(replicasByUtilization(scaled, samplesOf([2000]), { ...query, container: "c" }).utilization).toBe(200);
  });
});

describe("replicas by an average", () => {
  it.each<[string, readonly Kind[], number, readonly (number | undefined)[], number, number]>([
    ["up", [R, R, R], 15_000, [20_000, 10_000, 30_000], 4, 20_000],
    ["down", [R, R, R, R, R], 20_000, [12_000, 12_000, 12_000, 12_000, 12_000], 3, 12_000],
    ["readiness does not matter", [R, "unready", R], 15_000, [50_000, 15_000, 30_000], 7, 31_666],
    ["pending pods are idle", [R, R, "pending"], 15_000, [50_000, 15_000, 30_000], 5, 32_500],
    ["missing ones count as on target on the way down", [R, R, R], 20_000, [10_000, 10_000, undefined], 2, 10_000],
  ])("%s", (_what, kinds, targetUsage, values, replicas, usage) => {
    expect(replicasByAverage(target(kinds), samplesOf(values), targetUsage)).toEqual({ replicas, usage });
  });
});

describe("replicas by one value", () => {
  it("the value is shared by ready pods", () => {
    expect(replicasByValue(target([R, R, "unready"]), 20_000, 15_000)).toEqual({ replicas: 3, usage: 20_000 });
    expect(replicasByValue(target([R, R]), 15_500, 15_000).replicas).toBe(2);
  });
  it("from nothing, it is asked for by the ratio alone, and to nothing by zero", () => {
    expect(replicasByValue(target([], 0), 31_000, 15_000).replicas).toBe(3);
    expect(replicasByValue(target([R]), 0, 15_000).replicas).toBe(0);
  });
  it("never more than an int32 holds", () => {
    expect(replicasByValue(target([R]), 9e18, 1).replicas).toBe(2_147_483_647);
  });
  it("shares: so many as each can have its part", () => {
    expect(replicasByShare(3, tolerances, 40_500, 10_000)).toEqual({ replicas: 5, usage: 13_500 });
    expect(replicasByShare(4, tolerances, 40_500, 10_000).replicas).toBe(4);
    expect(replicasByShare(4, { scaleUp: 0, scaleDown: 0.1 }, 40_500, 10_000).replicas).toBe(5);
  });
});
