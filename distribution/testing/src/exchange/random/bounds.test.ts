import type { KubeObject } from "@coracle/api";
import type { Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { violationsOf, type PodChange, type StepHistory } from "./bounds.ts";

interface Part {
  readonly ready?: boolean;
  readonly phase?: string;
  readonly going?: boolean;
  readonly owner?: string;
  readonly node?: string;
  readonly index?: string;
}

const pod = (name: string, { ready = true, phase = "Running", going = false, ...part }: Part = {}): Pod => ({
  metadata: {
    name,
    uid: name,
    labels: { app: "web" },
    ownerReferences: [{ apiVersion: "v1", kind: part.owner ?? "ReplicaSet", name: "owner", uid: "owner" }],
    ...(going ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
    ...(part.index === undefined ? {} : { annotations: { "batch.kubernetes.io/job-completion-index": part.index } }),
  },
  spec: { containers: [], ...(part.node === undefined ? {} : { nodeName: part.node }) },
  status: { phase, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
});
const added = (...pods: readonly Pod[]): readonly PodChange[] => pods.map((each) => ({ type: "ADDED", pod: each }));
const deleted = (...pods: readonly Pod[]): readonly PodChange[] => pods.map((each) => ({ type: "DELETED", pod: each }));
const object = (kind: string, spec: object, status: object = {}): KubeObject =>
  ({ kind, metadata: { name: "it", uid: "owner" }, spec, status }) as KubeObject;

const deployment = object("Deployment", {
  replicas: 2,
  strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } },
});
const ordered = object("StatefulSet", { replicas: 3 });
const daemons = object("DaemonSet", {});
const job = object("Job", { parallelism: 2, completions: 2, completionMode: "Indexed" });
const budget = object("PodDisruptionBudget", { selector: { matchLabels: { app: "web" } } }, { desiredHealthy: 2 });
const [a, b, c, d] = ["web-0", "web-1", "web-2", "web-3"].map((name) => pod(name)) as [Pod, Pod, Pod, Pod];
const indexed = (name: string, index: string): Pod => pod(name, { index, ready: false });

function check(of: KubeObject, pods: readonly Pod[], changes: readonly PodChange[], more: Partial<StepHistory> = {}) {
  const step = { pods, changes, before: [of], after: [of], harmed: new Set<string>(), isEviction: false, ...more };
  return violationsOf(step).join();
}

describe("the checker of bounds", () => {
  it.each<readonly [string, KubeObject, readonly Pod[], readonly PodChange[], string]>([
    ["a surge that is too large", deployment, [a, b], added(c, d), "4 pods, at most 3"],
    ["too few that are ready", deployment, [a, b], deleted(a, b), "0 ready, at least 1"],
    ["a pod before its turn", ordered, [a], added(c), "made before those below"],
    [
      "a pod that goes before its turn",
      ordered,
      [a, pod("web-1"), pod("web-2", { ready: false })],
      deleted(b),
      "went before those above",
    ],
    ["two daemons on a node", daemons, [pod("a", { node: "n" })], added(pod("b", { node: "n" })), "2 on node n"],
    [
      "a Job that is too wide",
      job,
      [],
      added(indexed("a", "0"), indexed("b", "1"), indexed("c", "2")),
      "3 pods, at most 2",
    ],
    ["two pods of an index", job, [], added(indexed("a", "0"), indexed("b", "0")), "two of an index"],
  ])("finds %s", (_, of, pods, changes, expected) => expect(check(of, pods, changes)).toContain(expected));

  it("finds too many evictions", () => {
    expect(check(budget, [a, b, c], deleted(a, b), { isEviction: true })).toContain("1 healthy, at least 2");
  });

  it.each<readonly [string, KubeObject, readonly Pod[], readonly PodChange[]]>([
    ["a rollout within its bounds", deployment, [a, b], [...added(c), ...deleted(a), ...added(d)]],
    ["an ordered start", ordered, [a], added(b, c)],
    ["an update from above", ordered, [a, b, c], [...deleted(c), ...added(pod("web-2"))]],
    [
      "a daemon that takes another's place",
      daemons,
      [pod("a", { node: "n" })],
      [...deleted(pod("a", { node: "n" })), ...added(pod("b", { node: "n" }))],
    ],
  ])("finds nothing wrong with %s", (_, of, pods, changes) => expect(check(of, pods, changes)).toBe(""));

  it("leaves alone what somebody else has done", () => {
    const harmed = new Set(["web-0", "web-1"]);
    expect(check(deployment, [a, b], deleted(a, b), { harmed })).toBe("");
  });
});
