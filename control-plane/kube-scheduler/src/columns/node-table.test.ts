import { createSeededRandom } from "@coracle/base";
import type { Node, Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { schedulePlainly } from "../cycle/schedule-plainly.ts";
import { schedulePod } from "../cycle/schedule-pod.ts";
import { defaultPlugins } from "../plugins/index.ts";
import { ClusterState } from "../state/cluster-state.ts";

const node = (name: string, labels: Record<string, string> = {}): Node => ({
  metadata: { name, labels: { "kubernetes.io/hostname": name, ...labels } },
  spec: {},
  status: { allocatable: { cpu: "4", memory: "8Gi", pods: "110", "example.com/gpu": "1" } },
});
let serial = 0;
const pod = (spec: Partial<Pod["spec"]>): Pod => ({
  metadata: { name: `p${++serial}`, namespace: "d", uid: `${serial}`, labels: { app: "a" } },
  spec: { containers: [{ name: "c" }], ...spec },
});
const needing = (resource: string): Pod =>
  pod({ containers: [{ name: "c", resources: { requests: { cpu: "1", [resource]: "1" } } }] });
const apartBy = (topologyKey: string): Pod =>
  pod({
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey, labelSelector: { matchLabels: { app: "a" } } }],
      },
    },
  });

const plugins = defaultPlugins({
  binder: () => Promise.resolve(),
  budgets: () => [],
  volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
  owners: { selectorOf: () => undefined },
});
/** Where it goes or why nowhere, out of columns; and plainly. */
function decide(waiting: Pod, state: ClusterState): string {
  const [byColumns, plainly] = [schedulePod, schedulePlainly].map((schedule) => {
    const found = schedule(waiting, state, { plugins, random: createSeededRandom(1), startAt: 0 });
    return found.type === "fits" ? found.nodeName : found.message;
  });
  expect(byColumns).toBe(plainly);
  return byColumns ?? "";
}

describe("columns over nodes", () => {
  it("are no more than nodes have use for, whatever names pods make up; and are right when they come back", () => {
    const state = new ClusterState();
    state.setNode(node("a"));
    expect(decide(needing("example.com/gpu"), state)).toBe("a");
    for (let i = 0; i < 1_500; i++) {
      decide(needing(`example.com/made-up-${i}`), state);
      if (i % 3 === 0) decide(apartBy(`made-up-${i}`), state);
    }
    expect(state.table.columnCount).toBeLessThan(1_100);
    const placed = needing("example.com/gpu");
    state.setPod({ ...placed, spec: { ...placed.spec, nodeName: "a" } });
    expect(decide(needing("example.com/gpu"), state)).toBe("0/1 nodes are available: 1 Insufficient example.com/gpu.");
    expect(decide(apartBy("kubernetes.io/hostname"), state)).toBe(
      "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
    );
  });

  it("do not remember the labels of all nodes that ever were", () => {
    const state = new ClusterState();
    state.setNode(node("stays"));
    decide(apartBy("kubernetes.io/hostname"), state);
    for (let i = 0; i < 3_000; i++) {
      state.setNode(node(`n${i}`));
      state.removeNode(`n${i}`);
      if (i % 100 === 0) decide(apartBy("kubernetes.io/hostname"), state);
    }
    expect(state.table.label("kubernetes.io/hostname").valueCount).toBeLessThan(1_200);
  });
});
