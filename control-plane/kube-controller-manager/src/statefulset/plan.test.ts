import type { StatefulSet } from "@coracle/api/apps/v1";
import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { planPhases, statefulStatus, type Step } from "./plan.ts";

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

/** Without what is settled on the way. */
const nameOf = (step: Step): readonly string[] =>
  step.action === "settle"
    ? []
    : [step.action === "delete" ? `delete ${step.pod.metadata.name}` : `create ${step.ordinal} ${step.revision}`];
const deletes = (to: StatefulSet, pods: readonly Pod[]): readonly string[] =>
  planPhases(to, pods, REVISIONS, NOW)
    .flat()
    .flatMap(nameOf)
    .map((step) => step.replace("delete ", ""));
const settled = (to: StatefulSet, pods: readonly Pod[]): readonly string[] =>
  planPhases(to, pods, REVISIONS, NOW)
    .flat()
    .flatMap((step) =>
      step.action === "settle" ? [`${step.pod.metadata.name}${step.isReached ? "" : ": claims"}`] : [],
    );

describe("planPhases", () => {
  it("takes an ordered set down from the highest ordinal, one at a time", () => {
    expect(deletes(set(0), [pod(0), pod(1), pod(2)])).toEqual(["web-2"]);
    expect(deletes(set(0), [pod(0), pod(1), pod(2, "terminating")])).toEqual([]);
  });

  it("lets nobody go who is not wanted while one who is cannot be made", () => {
    const to = { ...set(2, "Parallel"), spec: { ...set(2, "Parallel").spec, ordinals: { start: 1 } } };
    const phases = planPhases(to, [pod(0), pod(1)], REVISIONS, NOW);
    expect(phases.map((phase) => phase.flatMap(nameOf))).toEqual([["create 2 update"], [], ["delete web-0"], []]);
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

describe("pods are given what they lack", () => {
  const broken = (ordinal: number): Pod => ({ ...pod(ordinal, "unready"), status: { phase: "Pending" } });

  it.each([
    [
      "of an ordered set as far as all before are available",
      set(3),
      [pod(0), broken(1), pod(2)],
      ["web-0", "web-1: claims"],
    ],
    ["of an ordered set not behind one that is missing", set(3), [pod(0), pod(2)], ["web-0"]],
    ["of a parallel set all", set(3, "Parallel"), [pod(0), broken(1), pod(2)], ["web-0", "web-1", "web-2"]],
    ["also those that go, once the others are well", set(1), [pod(0), pod(1), broken(2)], ["web-0", "web-2", "web-1"]],
    ["but not those that go as long as another is not", set(1), [broken(0), pod(1)], ["web-0: claims"]],
    ["but not those that have ended", set(1), [{ ...pod(0), status: { phase: "Failed" } }], []],
  ])("%s", (_, to, pods, expected) => expect(settled(to, pods)).toEqual(expected));
});

describe("an update of an ordered set", () => {
  const names = { current: "web-1", update: "web-2" };
  const of = (updateStrategy: NonNullable<StatefulSet["spec"]["updateStrategy"]>, start = 0): StatefulSet => {
    const base = set(3);
    return { ...base, spec: { ...base.spec, updateStrategy, ...(start === 0 ? {} : { ordinals: { start } }) } };
  };
  const updated = (from: Pod): Pod => ({
    ...from,
    metadata: { ...from.metadata, labels: { "controller-revision-hash": "web-2" } },
  });
  const steps = (to: StatefulSet, pods: readonly Pod[], takesSeveral = false): readonly string[] =>
    planPhases(to, pods, names, NOW, takesSeveral).flat().flatMap(nameOf);
  const rolling = (partition = 0) => of({ type: "RollingUpdate", rollingUpdate: { partition } });

  it.each([
    ["begins at the highest ordinal", rolling(), [pod(0), pod(1), pod(2)], ["delete web-2"]],
    ["waits until that is back", rolling(), [pod(0), pod(1), updated(pod(2, "unready"))], []],
    ["then goes down", rolling(), [pod(0), pod(1), updated(pod(2))], ["delete web-1"]],
    ["stops at the partition", rolling(2), [pod(0), pod(1), updated(pod(2))], []],
    ["leaves all to their owner with OnDelete", of({ type: "OnDelete" }), [pod(0), pod(1), pod(2)], []],
    ["brings back below the partition what was", rolling(2), [pod(0), updated(pod(2))], ["create 1 current"]],
    ["brings back above it what is new", rolling(2), [pod(0), pod(1)], ["create 2 update"]],
    ["brings back what is new with OnDelete", of({ type: "OnDelete" }), [pod(0), pod(1)], ["create 2 update"]],
  ])("%s", (_, to, pods, expected) => expect(steps(to, pods)).toEqual(expected));

  it("counts the partition from the first ordinal", () => {
    const to = of({ type: "RollingUpdate", rollingUpdate: { partition: 2 } }, 5);
    expect(steps(to, [pod(5), pod(6), pod(7)])).toEqual(["delete web-7"]);
    expect(steps(to, [pod(5), pod(6), updated(pod(7))])).toEqual([]);
    expect(steps(to, [pod(5), pod(6)])).toEqual(["create 7 update"]);
    expect(steps(to, [])).toEqual(["create 5 current"]);
  });
  it("a parallel set starts all at once and updates one at a time", () => {
    const base = rolling();
    const to = { ...base, spec: { ...base.spec, podManagementPolicy: "Parallel" } };
    expect(steps(to, [])).toEqual(["create 0 update", "create 1 update", "create 2 update"]);
    expect(steps(to, [pod(0), pod(1), pod(2)])).toEqual(["delete web-2"]);
  });
  it("takes as many at a time as may be unavailable, with that feature", () => {
    const several = (to: StatefulSet, pods: readonly Pod[]): readonly string[] => steps(to, pods, true);
    const to = of({ type: "RollingUpdate", rollingUpdate: { partition: 0, maxUnavailable: 2 } });
    expect(several(to, [pod(0), pod(1), pod(2)])).toEqual(["delete web-2", "delete web-1"]);
    expect(several(to, [pod(0), pod(1), updated(pod(2))])).toEqual(["delete web-1", "delete web-0"]);
    expect(steps(to, [pod(0), pod(1), pod(2)])).toEqual(["delete web-2"]);
    const third = of({ type: "RollingUpdate", rollingUpdate: { partition: 0, maxUnavailable: "20%" } });
    expect(several(third, [pod(0), pod(1), pod(2)])).toEqual(["delete web-2"]);
    expect(several(rolling(), [pod(0), pod(1), pod(2)])).toEqual(["delete web-2"]);
    const guarded = of({ type: "RollingUpdate", rollingUpdate: { partition: 2, maxUnavailable: 3 } });
    expect(several(guarded, [pod(0), pod(1), pod(2)])).toEqual(["delete web-2"]);
  });
  it("waits on the way down for those that have not been ready for long enough", () => {
    const base = set(0);
    const to = { ...base, spec: { ...base.spec, minReadySeconds: 86_400 * 2 } };
    expect(steps(to, [pod(0), pod(1)])).toEqual([]);
    expect(steps(to, [pod(0)])).toEqual(["delete web-0"]);
  });
  it("a failed pod is made anew", () => {
    const failed = { ...pod(1), status: { ...pod(1).status, phase: "Failed" } };
    expect(steps(rolling(), [pod(0), failed, pod(2)])).toEqual(["delete web-1"]);
  });
  it("when all are of the new revision it is the current one", () => {
    const pods = [0, 1, 2].map((ordinal) => updated(pod(ordinal)));
    expect(statefulStatus(rolling(), pods, names, undefined, NOW)).toMatchObject({
      currentRevision: "web-2",
      updateRevision: "web-2",
      currentReplicas: 3,
      updatedReplicas: 3,
      readyReplicas: 3,
    });
    expect(statefulStatus(rolling(2), [pod(0), pod(1), updated(pod(2))], names, undefined, NOW)).toMatchObject({
      currentRevision: "web-1",
      currentReplicas: 2,
      updatedReplicas: 1,
    });
  });
});
