import type { Deployment, ReplicaSet } from "@coracle/api/apps/v1";
import { describe, expect, it } from "vitest";
import { fenceposts, isScalingEvent, newSetSize, planNewSet, planOldSets, planScale } from "./plan.ts";
import { DESIRED_REPLICAS, MAX_REPLICAS } from "./replica-sets.ts";

function deployment(
  replicas: number,
  maxSurge: number | string = "25%",
  maxUnavailable: number | string = "25%",
): Deployment {
  return {
    metadata: { name: "d", namespace: "n", uid: "d" },
    spec: {
      replicas,
      selector: {},
      template: {},
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge, maxUnavailable } },
    },
  };
}

function set(
  name: string,
  replicas: number,
  available = replicas,
  annotations: Record<string, string> = {},
): ReplicaSet {
  return {
    metadata: { name, creationTimestamp: `2026-01-0${name.length}T00:00:00Z`, annotations },
    spec: { replicas, selector: {} },
    status: { replicas, availableReplicas: available },
  };
}

const sizes = (scalings: readonly { readonly set: ReplicaSet; readonly replicas: number }[]): Record<string, number> =>
  Object.fromEntries(scalings.map((each) => [each.set.metadata.name, each.replicas]));

describe("fenceposts", () => {
  it.each<[number, number | string, number | string, number, number]>([
    [4, "25%", "25%", 1, 1],
    [3, "25%", "25%", 1, 0],
    [10, "25%", "25%", 3, 2],
    [1, "0%", "25%", 0, 1], // both 0 would never move
    [5, 2, 3, 2, 3],
    [2, 1, 5, 1, 2],
  ])("of %i with surge %s and unavailable %s", (replicas, surge, unavailable, maxSurge, maxUnavailable) => {
    expect(fenceposts(deployment(replicas, surge, unavailable))).toEqual({ maxSurge, maxUnavailable });
  });
});

describe("rolling update", () => {
  it.each<[string, ReplicaSet, ReplicaSet, number]>([
    ["grows by the surge", set("a", 4), set("bb", 0), 1],
    ["waits when the surge is used up", set("a", 4), set("bb", 1), 1],
    ["takes the place of what went", set("a", 2), set("bb", 1), 3],
    ["never more than wanted", set("a", 0), set("bb", 3), 4],
    ["shrinks to what is wanted", set("a", 0), set("bb", 6), 4],
  ])("the new set %s", (_, old, fresh, expected) => {
    expect(newSetSize(deployment(4), fresh, [old, fresh])).toBe(expected);
  });

  it.each<[string, readonly ReplicaSet[], ReplicaSet, Record<string, number>]>([
    ["stay while new pods are not available", [set("a", 3)], set("bb", 2, 0), {}],
    ["give way to available new pods", [set("a", 4)], set("bb", 1, 1), { a: 2 }],
    ["lose pods that never became available first", [set("a", 4, 1), set("bbb", 1, 1)], set("cc", 1, 1), { a: 1 }],
    ["go when all new ones are available", [set("a", 1)], set("bb", 4, 4), { a: 0 }],
  ])("old sets %s", (_, old, fresh, expected) => {
    expect(sizes(planOldSets(deployment(4), fresh, old))).toEqual(expected);
  });
});

describe("scaling", () => {
  const told = (replicas: number, max: number): Record<string, string> => ({
    [DESIRED_REPLICAS]: String(replicas),
    [MAX_REPLICAS]: String(max),
  });

  it("is noticed by what the sets were told", () => {
    expect(isScalingEvent(deployment(5), [set("a", 3, 3, told(3, 4))])).toBe(true);
    expect(isScalingEvent(deployment(3), [set("a", 3, 3, told(3, 4))])).toBe(false);
    expect(isScalingEvent(deployment(5), [set("a", 0, 0, told(3, 4))])).toBe(false);
  });

  it("goes to the only active set", () => {
    expect(sizes(planScale(deployment(7), set("bb", 3), [set("a", 0)]))).toEqual({ bb: 7 });
  });

  it("tells one that was given the size by other hands, and leaves one alone that knows", () => {
    expect(sizes(planScale(deployment(3), set("bb", 3, 3, told(2, 3)), []))).toEqual({ bb: 3 });
    expect(sizes(planScale(deployment(3, 3), set("bb", 3, 3, told(3, 4)), []))).toEqual({});
    expect(sizes(planNewSet(deployment(3, 3), set("bb", 3, 3, told(3, 4)), []))).toEqual({});
  });

  it("keeps the proportion in the middle of a rollout", () => {
    const old = set("a", 8, 8, told(10, 13));
    const fresh = set("bb", 5, 0, told(10, 13));
    expect(sizes(planScale(deployment(20), fresh, [old]))).toEqual({ a: 15, bb: 10 });
  });

  it("removes old sets when the new one has all it needs", () => {
    expect(sizes(planScale(deployment(3), set("bb", 3, 3, told(3, 4)), [set("a", 1)]))).toEqual({ a: 0 });
  });
});
