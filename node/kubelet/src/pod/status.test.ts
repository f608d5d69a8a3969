import type { Pod, PodStatus } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { containers, podOf, runOf, sandboxOf, sidecar, stateOf } from "./pod-fixture.ts";
import { NO_RUNTIME_STATE, type RuntimeState } from "./runtime-state.ts";
import { computePodStatus, type StatusInput } from "./status.ts";
import { statusPatch } from "./status-manager.ts";

const NOW = Date.UTC(2026, 0, 1);

function status(pod: Pod, state: RuntimeState, extra: Partial<StatusInput> = {}): PodStatus {
  return computePodStatus({
    pod,
    state,
    now: NOW,
    nodeIps: ["192.0.2.1"],
    waiting: new Map(),
    isReady: () => true,
    isStarted: () => true,
    isOver: false,
    runtimeName: "x",
    ...extra,
  });
}

const conditionsOf = ({ conditions = [] }: PodStatus): string =>
  conditions
    .map(({ type, status: value, reason }) => `${type}=${value}${reason === undefined ? "" : `(${reason})`}`)
    .join(" ");

describe("a pod's phase", () => {
  it.each<[string, Pod, RuntimeState, string]>([
    ["nothing yet", podOf(), NO_RUNTIME_STATE, "Pending"],
    ["running", podOf(), stateOf([runOf("c", "running")]), "Running"],
    ["init container running", podOf({ initContainers: containers("i") }), stateOf([runOf("i", "running")]), "Pending"],
    [
      "init container failed, Never",
      podOf({ initContainers: containers("i"), restartPolicy: "Never" }),
      stateOf([runOf("i", 1)]),
      "Failed",
    ],
    ["sidecar only", podOf({ initContainers: [sidecar("s")] }), stateOf([runOf("s", "running")]), "Pending"],
    ["one of two running", podOf({ containers: containers("a", "b") }), stateOf([runOf("a", "running")]), "Pending"],
    ["all succeeded, Never", podOf({ restartPolicy: "Never" }), stateOf([runOf("c", 0)]), "Succeeded"],
    ["failed, Never", podOf({ restartPolicy: "Never" }), stateOf([runOf("c", 1)]), "Failed"],
    ["failed, OnFailure", podOf({ restartPolicy: "OnFailure" }), stateOf([runOf("c", 1)]), "Running"],
    ["ended, Always", podOf(), stateOf([runOf("c", 0)]), "Running"],
    ["once failed stays so", podOf({}, { status: { phase: "Failed" } }), stateOf([runOf("c", "running")]), "Failed"],
  ])("%s", (_name, pod, state, expected) => expect(status(pod, state).phase).toBe(expected));
});

describe("a pod's conditions", () => {
  it("of a running, ready pod are all true", () => {
    expect(conditionsOf(status(podOf(), stateOf([runOf("c", "running")])))).toBe(
      "PodReadyToStartContainers=True Initialized=True Ready=True ContainersReady=True PodScheduled=True",
    );
  });

  it("name what is not ready and what has not been initialised", () => {
    const pod = podOf({ initContainers: containers("i"), containers: containers("a", "b") });
    const result = status(pod, stateOf([runOf("i", "running")]));
    expect(conditionsOf(result)).toContain("Initialized=False(ContainersNotInitialized)");
    const messages = result.conditions?.map(({ message }) => message);
    expect(messages).toContain("containers with incomplete status: [i]");
    expect(messages).toContain("containers with unready status: [a b]");
  });

  it("of a completed pod say so", () => {
    const result = status(podOf({ restartPolicy: "Never" }), stateOf([runOf("c", 0)], [sandboxOf({ isReady: false })]));
    expect(conditionsOf(result)).toBe(
      "PodReadyToStartContainers=False Initialized=True(PodCompleted) Ready=False(PodCompleted) ContainersReady=False(PodCompleted) PodScheduled=True",
    );
  });

  it("wait for readiness gates that others set", () => {
    const pod = podOf({ readinessGates: [{ conditionType: "example.com/lb" }] });
    const state = stateOf([runOf("c", "running")]);
    expect(conditionsOf(status(pod, state))).toContain("Ready=False(ReadinessGatesNotReady)");
    const open = { ...pod, status: { conditions: [{ type: "example.com/lb", status: "True" }] } };
    expect(conditionsOf(status(open, state))).toContain("Ready=True");
  });

  it("keep the time of their last change", () => {
    const old = { type: "Ready", status: "True", lastTransitionTime: "2025-01-01T00:00:00Z" };
    const result = status(podOf({}, { status: { conditions: [old] } }), stateOf([runOf("c", "running")]));
    expect(result.conditions?.find(({ type }) => type === "Ready")?.lastTransitionTime).toBe("2025-01-01T00:00:00Z");
  });
});

describe("a container's state", () => {
  it("waits with its reason, and shows the run before as the last one", () => {
    const waiting = new Map([["c", { reason: "CrashLoopBackOff", message: "back-off 10s" }]]);
    const result = status(podOf(), stateOf([runOf("c", 7, { restartCount: 2 })]), { waiting });
    expect(result.containerStatuses?.[0]).toMatchObject({
      state: { waiting: { reason: "CrashLoopBackOff" } },
      lastState: { terminated: { exitCode: 7, reason: "Error", containerID: "x://c-run" } },
      restartCount: 2,
      ready: false,
      started: false,
    });
    expect(result.phase).toBe("Running");
  });

  it("waits for init containers by name of its own", () => {
    const pod = podOf({ initContainers: containers("i") });
    const result = status(pod, stateOf([runOf("i", "running")]));
    expect(result.containerStatuses?.[0]?.state?.waiting?.reason).toBe("PodInitializing");
    expect(status(podOf(), NO_RUNTIME_STATE).containerStatuses?.[0]?.state?.waiting?.reason).toBe("ContainerCreating");
  });

  it("that nobody can find any more after the pod's end is unknown", () => {
    const running = { name: "c", image: "i", imageID: "", ready: true, restartCount: 0, state: { running: {} } };
    const pod = podOf({}, { status: { containerStatuses: [running] } });
    const result = status(pod, NO_RUNTIME_STATE, { isOver: true });
    expect(result.containerStatuses?.[0]?.state?.terminated).toMatchObject({
      exitCode: 137,
      reason: "ContainerStatusUnknown",
    });
  });
});

describe("a status patch", () => {
  it("is not made when nothing changed", () => {
    const before = status(podOf(), stateOf([runOf("c", "running")]));
    expect(statusPatch(JSON.parse(JSON.stringify(before)) as PodStatus, before)).toBeUndefined();
  });

  it("has only what changed, and removes old addresses by name", () => {
    const pod = podOf();
    const before = status(pod, stateOf([runOf("c", "running")]));
    const after = status(
      { ...pod, status: before },
      stateOf([runOf("c", "running")], [sandboxOf({ ips: ["10.0.0.9"] })]),
    );
    expect(statusPatch(before, after)).toEqual({
      podIP: "10.0.0.9",
      podIPs: [{ ip: "10.0.0.9" }, { $patch: "delete", ip: "10.0.0.2" }],
    });
  });
});
