import type { DaemonSet } from "@coracle/api/apps/v1";
import type { Node, Pod, PodSpec, Taint } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { eligibility, specForNode } from "./eligibility.ts";
import { daemonStatus, planDaemons } from "./plan.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const HASH = "new";

const node = (name: string, taints: readonly Taint[] = [], labels: Record<string, string> = {}): Node => ({
  metadata: { name, labels },
  spec: { taints },
});
const taint = (key: string, effect: string): Taint => ({ key, effect });
const set = (rollingUpdate: object = {}, spec: Partial<PodSpec> = {}, type = "RollingUpdate"): DaemonSet => ({
  metadata: { name: "agent", generation: 3 },
  spec: {
    selector: {},
    template: { spec: { containers: [], ...spec } },
    updateStrategy: { type, rollingUpdate },
  },
});
type State = "ready" | "unready" | "failed" | "leaving";
const pod = (name: string, on: string, revision = HASH, state: State = "ready"): Pod => ({
  metadata: {
    name,
    labels: { "controller-revision-hash": revision },
    ...(state === "leaving" ? { deletionTimestamp: "2026-01-01T23:59:00Z" } : {}),
  },
  spec: { containers: [], nodeName: on },
  status: {
    phase: state === "failed" ? "Failed" : "Running",
    conditions: [
      { type: "Ready", status: state === "unready" ? "False" : "True", lastTransitionTime: "2026-01-01T00:00:00Z" },
    ],
  },
});
const plan = (of: DaemonSet, nodes: readonly Node[], pods: readonly Pod[]) => {
  const { create, delete: remove } = planDaemons(of, nodes, pods, HASH, NOW);
  return { create, delete: remove.map((each) => each.metadata.name) };
};
const nothing = { create: [], delete: [] };
const abc = [node("a"), node("b"), node("c")];

describe("which nodes a daemon is for", () => {
  const both = { shouldRun: true, mayStay: true };
  const may = (spec: Partial<PodSpec>, on: Node) => eligibility({ containers: [], ...spec }, on);
  it.each([
    ["an ordinary node", {}, node("a"), both],
    ["a selector that matches", { nodeSelector: { disk: "ssd" } }, node("a", [], { disk: "ssd" }), both],
    ["a selector that does not", { nodeSelector: { disk: "ssd" } }, node("a"), { shouldRun: false, mayStay: false }],
    [
      "a NoSchedule taint: those there stay",
      {},
      node("a", [taint("x", "NoSchedule")]),
      { shouldRun: false, mayStay: true },
    ],
    ["a NoExecute taint: none stays", {}, node("a", [taint("x", "NoExecute")]), { shouldRun: false, mayStay: false }],
    [
      "a tolerated taint",
      { tolerations: [{ key: "x", operator: "Exists" }] },
      node("a", [taint("x", "NoExecute")]),
      both,
    ],
    ["a wish", {}, node("a", [taint("x", "PreferNoSchedule")]), both],
    [
      "a node in trouble",
      {},
      node("a", [
        taint("node.kubernetes.io/unreachable", "NoExecute"),
        taint("node.kubernetes.io/disk-pressure", "NoSchedule"),
      ]),
      both,
    ],
    ["a cordoned node", {}, node("a", [taint("node.kubernetes.io/unschedulable", "NoSchedule")]), both],
    [
      "no network",
      {},
      node("a", [taint("node.kubernetes.io/network-unavailable", "NoSchedule")]),
      { shouldRun: false, mayStay: true },
    ],
    [
      "no network, none needed",
      { hostNetwork: true },
      node("a", [taint("node.kubernetes.io/network-unavailable", "NoSchedule")]),
      both,
    ],
  ])("%s", (_, spec, on, expected) => expect(may(spec, on)).toEqual(expected));

  it("its pods are for the scheduler to bind, to that node alone", () => {
    const own = { nodeSelectorTerms: [{ matchExpressions: [{ key: "disk", operator: "Exists" }] }] };
    const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: own } };
    const spec = specForNode({ containers: [], affinity }, "a");
    expect(spec.nodeName).toBeUndefined();
    expect(spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution).toEqual({
      nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["a"] }] }],
    });
  });
});

describe("one live daemon per node", () => {
  it.each([
    ["is started where there is none", set(), abc, [pod("pa", "a")], { create: ["b", "c"], delete: [] }],
    ["is all there is to have", set(), [node("a")], [pod("p1", "a"), pod("p2", "a")], { create: [], delete: ["p2"] }],
    [
      "a failed one is removed first",
      set(),
      [node("a")],
      [pod("p", "a", HASH, "failed")],
      { create: [], delete: ["p"] },
    ],
    ["one on its way out is waited for", set(), [node("a")], [pod("p", "a", HASH, "leaving")], nothing],
    ["whose node is gone is left to the pod collector", set(), [node("a")], [pod("pa", "a"), pod("pz", "z")], nothing],
    [
      "is not waited for on its way out when it has ended",
      set(),
      [node("a")],
      [{ ...pod("p", "a", HASH, "leaving"), status: { phase: "Failed" } }],
      { create: ["a"], delete: [] },
    ],
    [
      "goes from a node that no longer fits",
      set({}, { nodeSelector: { x: "y" } }),
      [node("a")],
      [pod("pa", "a")],
      { create: [], delete: ["pa"] },
    ],
    ["stays through a new NoSchedule taint", set(), [node("a", [taint("x", "NoSchedule")])], [pod("pa", "a")], nothing],
  ])("%s", (_, of, nodes, pods, expected) => expect(plan(of, nodes, pods)).toEqual(expected));
});

describe("a rolling update", () => {
  const old = (state: State = "ready") => [pod("pa", "a", "old", state), pod("pb", "b", "old"), pod("pc", "c", "old")];
  it.each([
    ["takes one at a time by default", set(), old(), { create: [], delete: ["pa"] }],
    ["takes maxUnavailable at a time", set({ maxUnavailable: 2 }), old(), { create: [], delete: ["pa", "pb"] }],
    ["rounds a share up", set({ maxUnavailable: "34%" }), old(), { create: [], delete: ["pa", "pb"] }],
    ["waits while as many are down", set(), [pod("pa", "a", HASH, "unready"), ...old().slice(1)], nothing],
    [
      "takes broken ones whatever the limit",
      set(),
      [pod("pa", "a", "old", "unready"), pod("pb", "b", "old", "unready"), pod("pc", "c", "old")],
      { create: [], delete: ["pa", "pb"] },
    ],
    ["leaves all to their owner with OnDelete", set({}, {}, "OnDelete"), old(), nothing],
    [
      "with surge, starts the new one beside the old",
      set({ maxSurge: 1, maxUnavailable: 0 }),
      old(),
      { create: ["a"], delete: [] },
    ],
    [
      "with surge, waits for the new one",
      set({ maxSurge: 1, maxUnavailable: 0 }),
      [...old(), pod("qa", "a", HASH, "unready")],
      nothing,
    ],
    [
      "with surge, then removes the old one and goes on",
      set({ maxSurge: 1, maxUnavailable: 0 }),
      [...old(), pod("qa", "a")],
      { create: [], delete: ["pa"] },
    ],
    [
      "with surge, broken old ones cost no room",
      set({ maxSurge: 1, maxUnavailable: 0 }),
      old("unready"),
      { create: ["a", "b"], delete: [] },
    ],
    [
      "with surge, a broken old one need not wait for the new one",
      set({ maxSurge: 1, maxUnavailable: 0 }),
      [...old("unready"), pod("qa", "a", HASH, "unready")],
      { create: [], delete: ["pa"] },
    ],
  ])("%s", (_, of, pods, expected) => expect(plan(of, abc, pods)).toEqual(expected));
});

it("reports how many should run, run, and run where they should not", () => {
  const nodes = [...abc, node("d", [taint("x", "NoSchedule")])];
  const pods = [pod("pa", "a"), pod("pb", "b", "old", "unready"), pod("pd", "d")];
  expect(daemonStatus(set(), nodes, pods, HASH, undefined, NOW)).toEqual({
    desiredNumberScheduled: 3,
    currentNumberScheduled: 2,
    numberMisscheduled: 1,
    numberReady: 1,
    numberAvailable: 1,
    numberUnavailable: 2,
    updatedNumberScheduled: 1,
    observedGeneration: 3,
  });
});
