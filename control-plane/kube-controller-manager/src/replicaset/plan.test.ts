import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { deletionAgeRatios, planReplicas, replicaStatus } from "./plan.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");

interface Shape {
  readonly node?: string;
  readonly phase?: string;
  readonly ready?: string | false;
  readonly cost?: string;
  readonly restarts?: number;
  readonly created?: string;
  readonly deleted?: boolean;
}

function pod(name: string, shape: Shape = {}): Pod {
  const { node = "n1", phase = "Running", ready = "2026-01-01T00:00:00Z", cost, restarts = 0, deleted } = shape;
  return {
    metadata: {
      name,
      uid: name,
      creationTimestamp: shape.created ?? "2026-01-01T00:00:00Z",
      ...(deleted === true ? { deletionTimestamp: "2026-01-01T23:59:59Z" } : {}),
      ...(cost === undefined ? {} : { annotations: { "controller.kubernetes.io/pod-deletion-cost": cost } }),
    },
    spec: { containers: [], nodeName: node },
    status: {
      phase,
      conditions: ready === false ? [] : [{ type: "Ready", status: "True", lastTransitionTime: ready }],
      containerStatuses: [{ name: "c", image: "", imageID: "", ready: true, restartCount: restarts }],
    },
  };
}

describe("planReplicas", () => {
  it("creates what is missing, not counting finished and terminating pods", () => {
    const pods = [pod("a"), pod("b", { phase: "Failed" }), pod("c", { deleted: true })];
    expect(planReplicas(3, pods, pods, NOW)).toEqual({ action: "create", count: 2 });
  });

  it("creates 500 at a time at most", () => {
    expect(planReplicas(1200, [], [], NOW)).toEqual({ action: "create", count: 500 });
  });

  it.each<[string, Pod, Pod]>([
    ["unassigned before assigned", pod("x", { node: "" }), pod("a")],
    ["pending before running", pod("x", { phase: "Pending" }), pod("a")],
    ["not ready before ready", pod("x", { ready: false }), pod("a")],
    ["lower deletion cost first", pod("x", { cost: "-5" }), pod("a")],
    ["younger readiness first", pod("x", { ready: "2026-01-01T23:59:00Z" }), pod("a")],
    ["more restarts first", pod("x", { restarts: 3 }), pod("a")],
    ["younger first", pod("x", { created: "2026-01-01T23:59:00Z" }), pod("a")],
  ])("deletes %s", (_, victim, survivor) => {
    for (const pods of [
      [victim, survivor],
      [survivor, victim],
    ])
      expect(planReplicas(1, pods, pods, NOW)).toEqual({ action: "delete", pods: [victim] });
  });

  it("deletes from the node with most of the siblings first", () => {
    const [alone, crowded] = [pod("alone", { node: "n1" }), pod("crowded", { node: "n2" })];
    const related = [alone, crowded, pod("sibling", { node: "n2" })];
    expect(planReplicas(1, [alone, crowded], related, NOW)).toEqual({ action: "delete", pods: [crowded] });
  });
});

describe("replicaStatus", () => {
  const input = { generation: 3, minReadySeconds: 10, matchesTemplate: () => true, previous: undefined };

  it("counts ready, available, terminating", () => {
    const pods = [
      pod("old"),
      pod("fresh", { ready: "2026-01-01T23:59:55Z" }),
      pod("unready", { ready: false }),
      pod("going", { deleted: true }),
    ];
    expect(replicaStatus(input, pods, undefined, NOW)).toMatchObject({
      replicas: 3,
      readyReplicas: 2,
      availableReplicas: 1,
      terminatingReplicas: 1,
      observedGeneration: 3,
    });
  });

  it("tells of a failure, and takes it back", () => {
    const failed = replicaStatus(input, [], { reason: "FailedCreate", message: "quota" }, NOW);
    expect(failed.conditions).toMatchObject([{ type: "ReplicaFailure", status: "True", reason: "FailedCreate" }]);
    expect(replicaStatus({ ...input, previous: failed }, [], undefined, NOW).conditions).toBeUndefined();
  });
});

describe("ages of pods chosen to go", () => {
  const NOON = Date.parse("2026-01-01T12:00:00Z");
  const born = (name: string, creationTimestamp: string, ready: string | false = "2026-01-01T11:00:00Z") => {
    const made = pod(name, { ready });
    return { ...made, metadata: { ...made.metadata, creationTimestamp } };
  };

  it("are told in whole multiples of the youngest ready pod's; pods that are not ready do not count", () => {
    const old = born("old", "2026-01-01T10:30:00Z");
    const young = born("young", "2026-01-01T11:30:00Z");
    const unready = born("unready", "2026-01-01T11:59:00Z", false);
    expect(deletionAgeRatios([old, young, unready], [old, unready, young], NOON)).toEqual([3, 1]);
  });
});
