import type { Job, JobStatus } from "@coracle/api/batch/v1";
import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { backoffMs } from "./per-index.ts";
import {
  decideEnding,
  failuresAfter,
  isAccomplished,
  nextRetryMs,
  NO_FAILURES,
  observe,
  planCounting,
  planWork,
  TRACKING,
  type WorkPlan,
} from "./plan.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const NONE = new Set<string>();

const job = (spec: Partial<Job["spec"]> = {}, status: JobStatus = {}): Job => ({
  metadata: { name: "task", namespace: "default", uid: "j" },
  spec: { template: { spec: { containers: [], restartPolicy: "Never" } }, ...spec },
  status,
});
const indexed = (spec: Partial<Job["spec"]> = {}, status: JobStatus = {}): Job =>
  job({ completionMode: "Indexed", completions: 3, parallelism: 3, ...spec }, status);

interface Part {
  readonly index?: number;
  readonly exitCode?: number;
  readonly restarts?: number;
  readonly deleted?: boolean;
  readonly failures?: number;
  readonly endedAt?: string;
  readonly isLoose?: boolean;
}
const pod = (uid: string, phase: string, part: Part = {}): Pod => ({
  metadata: {
    name: uid,
    namespace: "default",
    uid,
    finalizers: part.isLoose === true ? [] : [TRACKING],
    annotations: {
      ...(part.index === undefined ? {} : { "batch.kubernetes.io/job-completion-index": String(part.index) }),
      ...(part.failures === undefined ? {} : { "batch.kubernetes.io/job-index-failure-count": String(part.failures) }),
    },
    ...(part.deleted === true ? { deletionTimestamp: "2026-01-01T23:59:00Z" } : {}),
  },
  spec: { containers: [] },
  status: {
    phase,
    containerStatuses: [
      {
        name: "c",
        image: "",
        imageID: "",
        ready: false,
        restartCount: part.restarts ?? 0,
        ...(part.exitCode === undefined
          ? {}
          : { state: { terminated: { exitCode: part.exitCode, finishedAt: part.endedAt } } }),
      },
    ],
  },
});
const told = (plan: WorkPlan): string =>
  plan.action === "create"
    ? `create ${plan.count}${plan.indexes.length === 0 ? "" : ` (${plan.indexes.join(",")})`}`
    : plan.action === "delete"
      ? `delete ${plan.pods.map((each) => each.metadata.uid).join(",")}`
      : "none";
const plan = (of: Job, pods: readonly Pod[]): string => told(planWork(of, observe(of, pods, NONE), NOW));
const ending = (of: Job, pods: readonly Pod[]) => decideEnding(of, observe(of, pods, NONE), NOW);

describe("how many pods of a Job are at work", () => {
  it.each([
    ["one, when nothing is said", job(), [], "create 1"],
    ["as many as parallelism says", job({ parallelism: 3, completions: 5 }), [pod("a", "Running")], "create 2"],
    ["never more than are left", job({ parallelism: 3, completions: 5 }, { succeeded: 4 }), [], "create 1"],
    ["none with parallelism 0", job({ parallelism: 0, completions: 5 }), [pod("a", "Running")], "delete a"],
    [
      "surplus ones go, those that do not run yet first",
      job({ parallelism: 1, completions: 5 }),
      [pod("a", "Running"), pod("b", "Pending")],
      "delete b",
    ],
    [
      "a queue of unknown length gets no more once one succeeded",
      job({ parallelism: 3 }),
      [pod("a", "Succeeded"), pod("b", "Running")],
      "none",
    ],
    ["suspended: none", job({ suspend: true }), [pod("a", "Running")], "delete a"],
    [
      "a pod on its way out is replaced",
      job({ parallelism: 1, completions: 1 }),
      [pod("a", "Running", { deleted: true })],
      "create 1",
    ],
    [
      "but only after it failed, if so asked",
      job({ parallelism: 1, completions: 1, podReplacementPolicy: "Failed" }),
      [pod("a", "Running", { deleted: true })],
      "none",
    ],
  ])("%s", (_, of, pods, expected) => expect(plan(of, pods)).toBe(expected));
});

describe("an Indexed Job", () => {
  it("starts the lowest indexes that are neither done nor at work", () => {
    const of = indexed({ completions: 6, parallelism: 3 }, { completedIndexes: "0,2" });
    expect(plan(of, [pod("a", "Running", { index: 1 })])).toBe("create 2 (3,4)");
  });
  it("keeps one pod per index", () => {
    expect(plan(indexed(), [pod("a", "Running", { index: 1 }), pod("b", "Running", { index: 1 })])).toBe("delete b");
    expect(plan(indexed({}, { completedIndexes: "1" }), [pod("a", "Running", { index: 1 })])).toBe("create 1 (0)");
    expect(plan(indexed(), [pod("a", "Running", { index: 7 })])).toBe("delete a");
  });
  it("counts an index once", () => {
    const pods = [pod("a", "Succeeded", { index: 1 }), pod("b", "Succeeded", { index: 1 })];
    expect(observe(indexed(), pods, NONE)).toMatchObject({ succeeded: 1 });
  });
});

describe("counting pods that ended", () => {
  const pods = [pod("a", "Succeeded"), pod("b", "Failed"), pod("c", "Running")];
  it("counts each once: not without finalizer, not when named as uncounted, not when just released", () => {
    expect(observe(job({ completions: 5 }), pods, NONE)).toMatchObject({ succeeded: 1, failed: 1 });
    expect(observe(job({ completions: 5 }), [...pods, pod("d", "Failed", { isLoose: true })], NONE).failed).toBe(1);
    const named = job({ completions: 5 }, { uncountedTerminatedPods: { succeeded: ["a"], failed: ["b"] } });
    expect(observe(named, pods, NONE)).toMatchObject({ succeeded: 1, failed: 1, newlyFailed: [], newlySucceeded: [] });
    const counted = job({ completions: 5 }, { succeeded: 1, failed: 1 });
    expect(observe(counted, pods, new Set(["a", "b"]))).toMatchObject({ succeeded: 1, failed: 1 });
  });
  it("takes a pod that is deleted for a failed one, unless pods are replaced only when failed", () => {
    const going = [pod("a", "Running", { deleted: true })];
    expect(observe(job(), going, NONE).failed).toBe(1);
    expect(observe(job({ podReplacementPolicy: "Failed" }), going, NONE).failed).toBe(0);
  });
  it("lets pods of a deleted Job go, whatever it says about replacements", () => {
    const of = job({ podReplacementPolicy: "Failed" });
    const deleted = { ...of, metadata: { ...of.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
    const going = [pod("a", "Running", { deleted: true })];
    const { failed, uncounted } = planCounting(deleted, going, observe(deleted, going, NONE), undefined, NONE, 0);
    expect({ failed, uncounted }).toEqual({ failed: [], uncounted: going });
  });
  it("what is stopped counts as failed when the Job fails, and neither way when it succeeds", () => {
    const of = job({ completions: 5 });
    const running = [pod("a", "Running"), pod("b", "Running", { deleted: true })];
    const count = (outcome: "Failed" | "Complete") =>
      planCounting(of, running, observe(of, running, NONE), { outcome, reason: "", message: "" }, NONE, 0);
    expect(count("Failed").failed).toHaveLength(2);
    expect(count("Complete")).toMatchObject({ failed: [running[1]], uncounted: [running[0]] });
  });
  it("names five hundred at a time", () => {
    const of = job({ completions: 5000 });
    const many = Array.from({ length: 600 }, (_, i) => pod(`p${i}`, "Succeeded"));
    const counting = planCounting(of, many, observe(of, many, NONE), undefined, NONE, 100);
    expect(counting).toMatchObject({ isPartial: true, failed: [] });
    expect(counting.succeeded).toHaveLength(400);
  });
});

describe("how long failures are held against a Job", () => {
  it.each([
    ["nothing new", [], [], { count: 2, lastAt: 50 }],
    ["two more", [], [60, 70], { count: 4, lastAt: 70 }],
    ["a success makes up for all", [60], [], NO_FAILURES],
    ["but not for those after it", [60], [55, 70], { count: 1, lastAt: 70 }],
  ])("%s", (_, succeeded, failedAt, expected) =>
    expect(failuresAfter({ count: 2, lastAt: 50 }, { succeededAt: succeeded[0], failedAt })).toEqual(expected),
  );
});

describe("how a Job ends", () => {
  it.each([
    ["at the limit of failures", job({ backoffLimit: 1 }), [pod("a", "Failed")], undefined],
    [
      "beyond the limit of failures",
      job({ backoffLimit: 1 }, { failed: 1 }),
      [pod("a", "Failed")],
      "BackoffLimitExceeded",
    ],
    ["no failure allowed", job({ backoffLimit: 0 }), [pod("a", "Failed")], "BackoffLimitExceeded"],
    [
      "past its deadline",
      job({ activeDeadlineSeconds: 60 }, { startTime: "2026-01-01T23:59:00Z" }),
      [],
      "DeadlineExceeded",
    ],
    ["before its deadline", job({ activeDeadlineSeconds: 61 }, { startTime: "2026-01-01T23:59:00Z" }), [], undefined],
    [
      "suspended: its deadline rests",
      job({ activeDeadlineSeconds: 60, suspend: true }, { startTime: "2026-01-01T23:59:00Z" }),
      [],
      undefined,
    ],
  ])("%s", (_, of, pods, reason) => expect(ending(of, pods)?.reason).toBe(reason));

  it.each([
    ["when it has all completions and nothing is at work", job({ completions: 2 }), 2, 0, true],
    ["not while something is", job({ completions: 2 }), 2, 1, false],
    ["a queue: once one succeeded", job({ parallelism: 2 }), 1, 0, true],
    ["a queue: not without a success", job({ parallelism: 2 }), 0, 0, false],
    ["at once when nothing is wanted", job({ completions: 0 }), 0, 0, true],
  ])("accomplished %s", (_, of, succeeded, active, expected) =>
    expect(isAccomplished(of, succeeded, active)).toBe(expected),
  );

  it("restarts of containers count where pods restart them", () => {
    const template = { spec: { containers: [], restartPolicy: "OnFailure" } };
    expect(ending(job({ template, backoffLimit: 2 }), [pod("a", "Running", { restarts: 1 })])).toBeUndefined();
    expect(ending(job({ template, backoffLimit: 2 }), [pod("a", "Running", { restarts: 2 })])?.reason).toBe(
      "BackoffLimitExceeded",
    );
  });

  it("by its success policy: named indexes, or a number of them", () => {
    const of = (rule: object, completedIndexes: string) =>
      indexed({ completions: 10, successPolicy: { rules: [rule] } }, { completedIndexes });
    expect(ending(of({ succeededIndexes: "0,2-3" }, "0,2"), [])).toBeUndefined();
    expect(ending(of({ succeededIndexes: "0,2-3" }, "0,2,3"), [])).toEqual({
      outcome: "Complete",
      reason: "SuccessPolicy",
      message: "Matched rules at index 0",
    });
    expect(ending(of({ succeededCount: 2 }, "4"), [])).toBeUndefined();
    expect(ending(of({ succeededCount: 2 }, "4,9"), [])?.reason).toBe("SuccessPolicy");
    expect(ending(of({ succeededIndexes: "0-5", succeededCount: 2 }, "1,9"), [])).toBeUndefined();
    expect(ending(of({ succeededIndexes: "0-5", succeededCount: 2 }, "1,2"), [])?.reason).toBe("SuccessPolicy");
  });
});

describe("a Job's failure policy", () => {
  const policy = (action: string, operator = "In", values = [42]) =>
    job({ podFailurePolicy: { rules: [{ action, onExitCodes: { operator, values } }] } });
  it("FailJob ends it at once and says which container failed how", () => {
    expect(ending(policy("FailJob"), [pod("a", "Failed", { exitCode: 42 })])).toEqual({
      outcome: "Failed",
      reason: "PodFailurePolicy",
      message: "Container c for pod default/a failed with exit code 42 matching FailJob rule at index 0",
    });
    expect(ending(policy("FailJob"), [pod("a", "Failed", { exitCode: 1 })])).toBeUndefined();
    expect(ending(policy("FailJob", "NotIn"), [pod("a", "Failed", { exitCode: 1 })])?.reason).toBe("PodFailurePolicy");
  });
  it("Ignore counts neither way, and Count as ever", () => {
    const failed = [pod("a", "Failed", { exitCode: 42 })];
    expect(observe(policy("Ignore"), failed, NONE)).toMatchObject({ failed: 0, ignored: failed });
    expect(observe(policy("Count"), failed, NONE).failed).toBe(1);
  });
  it("a condition of the pod is matched too", () => {
    const of = job({
      podFailurePolicy: {
        rules: [{ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] }],
      },
    });
    const evicted = pod("a", "Failed");
    const told = {
      ...evicted,
      status: { ...evicted.status, conditions: [{ type: "DisruptionTarget", status: "True" }] },
    };
    expect(observe(of, [told], NONE).failed).toBe(0);
    expect(observe(of, [evicted], NONE).failed).toBe(1);
  });
});

describe("a limit of failures per index", () => {
  const limited = (spec: Partial<Job["spec"]> = {}, status: JobStatus = {}) =>
    indexed({ backoffLimitPerIndex: 1, backoffLimit: 2 ** 31 - 1, ...spec }, status);
  const failed = (uid: string, index: number, failures: number) =>
    pod(uid, "Failed", { index, failures, exitCode: 1, endedAt: "2026-01-01T23:59:55Z" });

  it("an index gets its tries, each after a longer wait, while others go on", () => {
    const of = limited();
    const seen = observe(of, [failed("a", 1, 0)], NONE);
    expect(seen).toMatchObject({ failed: 0, newlyFailed: [], failedIndexes: new Set() });
    expect(told(planWork(of, seen, NOW))).toBe("create 2 (0,2)");
    expect(nextRetryMs(seen, NOW)).toBe(5000);
    expect(told(planWork(of, seen, NOW + 5000))).toBe("create 3 (0,1,2)");
    expect(seen.histories.get(1)).toMatchObject({ failures: 1, ignored: 0 });
  });
  it("a failed pod is counted when its successor is there, which carries the count on", () => {
    const pods = [failed("a", 1, 0), pod("b", "Running", { index: 1, failures: 1 })];
    expect(observe(limited(), pods, NONE)).toMatchObject({ failed: 1, held: [] });
  });
  it("an index that failed too often is given up, and the Job fails when the others are done", () => {
    const of = limited({}, { completedIndexes: "0,2" });
    const seen = observe(of, [failed("a", 1, 1)], NONE);
    expect([...seen.failedIndexes]).toEqual([1]);
    expect(seen.failed).toBe(1);
    expect(decideEnding(of, seen, NOW)).toMatchObject({ reason: "FailedIndexes", message: "Job has failed indexes" });
    expect(ending(limited({}, { completedIndexes: "0" }), [failed("a", 1, 1)])).toBeUndefined();
  });
  it("too many given up end the Job at once", () => {
    const of = limited({ maxFailedIndexes: 1 }, { failedIndexes: "0" });
    expect(ending(of, [failed("a", 1, 1)])).toMatchObject({
      reason: "MaxFailedIndexesExceeded",
      message: "Job has exceeded the specified maximal number of failed indexes",
    });
  });
  it("FailIndex gives an index up at once", () => {
    const rules = [{ action: "FailIndex", onExitCodes: { operator: "In", values: [1] } }];
    const seen = observe(limited({ backoffLimitPerIndex: 9, podFailurePolicy: { rules } }), [failed("a", 1, 0)], NONE);
    expect([...seen.failedIndexes]).toEqual([1]);
  });
  it("what was held back counts when the Job ends", () => {
    const [of, pods] = [limited(), [failed("a", 1, 0)]];
    const end = { outcome: "Complete", reason: "", message: "" } as const;
    expect(planCounting(of, pods, observe(of, pods, NONE), undefined, NONE, 0).failed).toEqual([]);
    expect(planCounting(of, pods, observe(of, pods, NONE), end, NONE, 0).failed).toEqual(pods);
  });
});

it("the wait doubles from 10 s to 10 minutes", () => {
  expect([0, 1, 2, 3, 7, 20].map(backoffMs)).toEqual([0, 10_000, 20_000, 40_000, 600_000, 600_000]);
});
