import { describe, expect, it } from "vitest";
import type { Node, Pod } from "@coracle/api/core/v1";
import type { PodDisruptionBudget } from "@coracle/api/policy/v1";
import { createSeededRandom } from "@coracle/base";
import { schedulePod } from "../cycle/schedule-pod.ts";
import type { PostFilterResult } from "../framework/plugin.ts";
import { defaultPlugins } from "../plugins/index.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { planPreemption } from "./plan.ts";

const node = (name: string, cpu = "4", spec: Node["spec"] = {}): Node => ({
  metadata: { name, labels: { "kubernetes.io/hostname": name } },
  spec,
  status: { allocatable: { cpu, memory: "8Gi", pods: "110" } },
});
const pod = (
  name: string,
  priority: number,
  cpu: string,
  part: { on?: string; started?: string; labels?: Record<string, string>; spec?: Partial<Pod["spec"]> } = {},
): Pod => ({
  metadata: { name, namespace: "default", uid: name, labels: part.labels },
  spec: {
    priority,
    nodeName: part.on,
    containers: [{ name: "c", resources: { requests: { cpu } } }],
    ...part.spec,
  },
  status: { startTime: part.started ?? "2026-01-01T00:00:00Z" },
});
const budget = (app: string, disruptionsAllowed: number): PodDisruptionBudget => ({
  metadata: { name: app, namespace: "default" },
  spec: { selector: { matchLabels: { app } } },
  status: { disruptionsAllowed, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 },
});

function stateOf(nodes: readonly Node[], placed: readonly Pod[]): ClusterState {
  const state = new ClusterState();
  for (const each of nodes) state.setNode(each);
  for (const each of placed) state.setPod(each);
  return state;
}
function attempt(waiting: Pod, state: ClusterState, budgets: readonly PodDisruptionBudget[] = []) {
  const plugins = defaultPlugins({
    binder: () => Promise.resolve(),
    owners: { selectorOf: () => undefined },
    budgets: () => budgets,
    volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
  });
  const decision = schedulePod(waiting, state, { plugins, random: createSeededRandom(1), startAt: 0 });
  if (decision.type === "fits") return { fits: decision.nodeName, room: undefined };
  const preemption = plugins.find(({ plugin }) => plugin.name === "DefaultPreemption")?.plugin;
  const byColumns = preemption?.postFilter?.(waiting, decision.unfit, state, decision.state);
  const plainly = planPreemption(waiting, decision.unfit, state, plugins, budgets);
  expect(told(byColumns).replace("preemption: ", "")).toBe(told(plainly));
  return { fits: undefined, room: planPreemption(waiting, decision.unfit, state, plugins, budgets) };
}
const told = (room: PostFilterResult | undefined): string =>
  room === undefined
    ? "it fits"
    : room.type === "none"
      ? room.message
      : `${room.nodeName}: ${room.victims.map((each) => each.metadata.name).join(",")}`;
const plan = (waiting: Pod, nodes: readonly Node[], placed: readonly Pod[], budgets?: readonly PodDisruptionBudget[]) =>
  told(attempt(waiting, stateOf(nodes, placed), budgets).room);

describe("making room for a pod that fits nowhere", () => {
  it("takes only pods of lower priority, and no more than needed: the less important first", () => {
    const placed = [pod("low", 1, "2", { on: "a" }), pod("mid", 5, "1", { on: "a" }), pod("high", 9, "1", { on: "a" })];
    expect(plan(pod("new", 7, "2"), [node("a")], placed)).toBe("a: low");
    expect(plan(pod("new", 7, "3"), [node("a")], placed)).toBe("a: mid,low");
    expect(plan(pod("new", 7, "4"), [node("a")], placed)).toBe("0/1 nodes are available: 1 Insufficient cpu.");
  });
  it("says so when nobody is less important, or removing pods does not help", () => {
    const placed = [pod("same", 7, "4", { on: "a" })];
    const nodes = [node("a"), node("b", "1"), node("c", "8", { unschedulable: true })];
    expect(plan(pod("new", 7, "4"), nodes, placed)).toBe(
      "0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.",
    );
  });
  it("drives out nobody for a pod that no node may have, whoever leaves", () => {
    const claim = { name: "v", persistentVolumeClaim: { claimName: "absent" } };
    const waiting = pod("new", 7, "3", { spec: { volumes: [claim] } });
    expect(plan(waiting, [node("a")], [pod("low", 1, "2", { on: "a" })])).toBe(
      "0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    );
  });
  it("leaves all as it is with preemptionPolicy Never", () => {
    const waiting = pod("new", 7, "4", { spec: { preemptionPolicy: "Never" } });
    expect(plan(waiting, [node("a")], [pod("low", 1, "4", { on: "a" })])).toBe(
      "not eligible due to preemptionPolicy=Never.",
    );
  });
  it("prefers the node where no budget is broken, though more important pods go there", () => {
    const placed = [
      pod("kept", 1, "4", { on: "a", labels: { app: "db" } }),
      pod("free", 3, "4", { on: "b", labels: { app: "web" } }),
    ];
    const nodes = [node("a"), node("b")];
    expect(plan(pod("new", 7, "4"), nodes, placed)).toBe("a: kept");
    expect(plan(pod("new", 7, "4"), nodes, placed, [budget("db", 0), budget("web", 1)])).toBe("b: free");
    // A budget is a wish here, not a wall.
    expect(plan(pod("new", 7, "4"), nodes.slice(0, 1), placed, [budget("db", 0)])).toBe("a: kept");
  });
  it("keeps pods under a budget before others of the same node", () => {
    const placed = [
      pod("kept", 1, "2", { on: "a", labels: { app: "db" } }),
      pod("other", 3, "2", { on: "a", labels: { app: "web" } }),
    ];
    expect(plan(pod("new", 7, "2"), [node("a")], placed, [budget("db", 0)])).toBe("a: other");
  });
  it("among equals: the lowest highest victim, then the least in sum, then the fewest, then the youngest", () => {
    const nodes = [node("a"), node("b")];
    const of = (...placed: Pod[]) => plan(pod("new", 7, "4"), nodes, placed);
    expect(of(pod("a1", 3, "4", { on: "a" }), pod("b1", 2, "4", { on: "b" }))).toBe("b: b1");
    expect(of(pod("a1", 3, "2", { on: "a" }), pod("a2", 3, "2", { on: "a" }), pod("b1", 3, "4", { on: "b" }))).toBe(
      "b: b1",
    );
    const started = "2026-01-01T01:00:00Z";
    expect(of(pod("a1", 3, "4", { on: "a" }), pod("b1", 3, "4", { on: "b", started }))).toBe("b: b1");
  });
  it("waits while pods of the chosen node are on their way out", () => {
    const going = pod("low", 1, "4", { on: "a" });
    const state = stateOf(
      [node("a")],
      [{ ...going, metadata: { ...going.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } }],
    );
    const waiting = pod("new", 7, "4");
    state.nominate(waiting, "a");
    expect(attempt(waiting, state).room).toEqual({
      type: "none",
      message: "not eligible due to a terminating pod on the nominated node.",
      isUnderWay: true,
    });
  });
});

describe("room that was made for a pod", () => {
  it("is not taken by others of its priority or less, but by more important ones", () => {
    const state = stateOf([node("a")], []);
    state.nominate(pod("first", 7, "4"), "a");
    expect(attempt(pod("second", 7, "1"), state).fits).toBeUndefined();
    expect(attempt(pod("urgent", 8, "1"), state).fits).toBe("a");
  });
  it("is where the pod goes, though another node would be better", () => {
    const waiting = pod("first", 7, "1");
    const state = stateOf([node("a"), node("b")], [pod("x", 0, "2", { on: "a" })]);
    expect(attempt(waiting, state).fits).toBe("b");
    state.nominate(waiting, "a");
    expect(attempt(waiting, state).fits).toBe("a");
    state.denominate(waiting);
    expect(attempt(waiting, state).fits).toBe("b");
  });
});

describe("what is kept of a node between attempts", () => {
  it("ends when a pod on it is told to have started at another time", () => {
    const plugins = defaultPlugins({
      binder: () => Promise.resolve(),
      owners: { selectorOf: () => undefined },
      budgets: () => [],
      volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
    });
    const preemption = plugins.find(({ plugin }) => plugin.name === "DefaultPreemption")?.plugin;
    const old = (name: string, on: string, day: number): Pod =>
      pod(name, 1, "4", { on, started: `2026-01-0${day}T00:00:00Z` });
    const state = stateOf([node("a"), node("b")], [old("x", "a", 1), old("y", "b", 2)]);
    const waiting = pod("important", 10, "4");
    const room = (): string => {
      const decision = schedulePod(waiting, state, { plugins, random: createSeededRandom(1), startAt: 0 });
      if (decision.type === "fits") return "it fits";
      return told(preemption?.postFilter?.(waiting, decision.unfit, state, new Map()));
    };
    expect(room()).toBe("b: y"); // the younger
    state.setPod(old("x", "a", 3));
    expect(room()).toBe("a: x");
  });
});
