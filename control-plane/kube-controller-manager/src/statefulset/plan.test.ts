import type { StatefulSet } from "@coracle/api/apps/v1";
import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { planSteps } from "./plan.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const REVISIONS = { current: "web-1", update: "web-1" };

function set(replicas: number, podManagementPolicy = "OrderedReady"): StatefulSet {
  return {
    metadata: { name: "web" },
    spec: { replicas, podManagementPolicy, serviceName: "web", selector: {}, template: { spec: { containers: [] } } },
  };
}

function pod(ordinal: number, state: "ready" | "unready" | "terminating" = "ready"): Pod {
  return {
    metadata: {
      name: `web-${ordinal}`,
      labels: { "controller-revision-hash": "web-1" },
      ...(state === "terminating" ? { deletionTimestamp: "2026-01-01T23:59:59Z" } : {}),
    },
    spec: { containers: [] },
    status: {
      phase: "Running",
      conditions: [
        {
          type: "Ready",
          status: state === "ready" ? "True" : "False",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
    },
  };
}

const deletes = (to: StatefulSet, pods: readonly Pod[]): (string | undefined)[] =>
  planSteps(to, pods, REVISIONS, NOW).map((step) =>
    step.action === "delete" ? step.pod.metadata.name : `create ${step.ordinal}`,
  );

describe("planSteps", () => {
  it("takes an ordered set down from the highest ordinal, one at a time", () => {
    expect(deletes(set(0), [pod(0), pod(1), pod(2)])).toEqual(["web-2"]);
    expect(deletes(set(0), [pod(0), pod(1), pod(2, "terminating")])).toEqual([]);
  });

  it("halts the way down at unhealthy pods, save for the last one", () => {
    expect(deletes(set(0), [pod(0, "unready"), pod(1, "unready"), pod(2, "unready")])).toEqual([]);
    expect(deletes(set(0), [pod(0), pod(1, "unready"), pod(2)])).toEqual(["web-2"]);
    expect(deletes(set(0), [pod(0), pod(1, "unready")])).toEqual(["web-1"]);
  });

  it("takes a parallel set down at once, however its pods are", () => {
    expect(deletes(set(0, "Parallel"), [pod(0, "unready"), pod(1)])).toEqual(["web-1", "web-0"]);
  });
});
