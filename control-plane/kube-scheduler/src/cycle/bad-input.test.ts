import { describe, expect, it } from "vitest";
import type { Node, Pod } from "@coracle/api/core/v1";
import { createSeededRandom } from "@coracle/base";
import { defaultPlugins } from "../plugins/index.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { schedulePod } from "./schedule-pod.ts";

const plugins = defaultPlugins({
  binder: () => Promise.resolve(),
  budgets: () => [],
  volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
  owners: { selectorOf: () => undefined },
} as unknown as Parameters<typeof defaultPlugins>[0]);

const node = (name: string, allocatable?: Record<string, string>): Node => ({
  metadata: { name, labels: { "kubernetes.io/hostname": name } },
  spec: {},
  ...(allocatable === undefined ? {} : { status: { allocatable } }),
});
const whole = { cpu: "4", memory: "8Gi", pods: "110" };
const pod = (name: string, requests: Record<string, string>, affinity?: Pod["spec"]["affinity"]): Pod => ({
  metadata: { name, namespace: "default", uid: name, labels: { app: "web" } },
  spec: { containers: [{ name: "c", resources: { requests } }], ...(affinity === undefined ? {} : { affinity }) },
});
const place = (waiting: Pod, state: ClusterState): string => {
  const decision = schedulePod(waiting, state, { plugins, random: createSeededRandom(1), startAt: 0 });
  return decision.type === "fits" ? decision.nodeName : decision.message;
};

describe("absurd input", () => {
  it("a node without status takes nothing", () => {
    const state = new ClusterState();
    state.setNode(node("a"));
    expect(place(pod("p", {}), state)).toBe("0/1 nodes are available: 1 Too many pods.");
  });

  it.each([
    [
      "more than a number can say",
      { memory: "99999999999999999999999" },
      "0/1 nodes are available: 1 Insufficient memory.",
    ],
    ["less than nothing asks for nothing", { cpu: "-5" }, "a"],
  ])("requests: %s", (_, requests, expected) => {
    const state = new ClusterState();
    state.setNode(node("a", whole));
    expect(place(pod("p", requests), state)).toBe(expected);
  });

  it("an absurd pod that was there leaves no trace in the sums", () => {
    const state = new ClusterState();
    state.setNode(node("a", whole));
    const absurd = pod("absurd", { memory: "9223372036854775807" });
    const small = pod("small", { memory: "7Gi" });
    for (const each of [absurd, small]) state.setPod({ ...each, spec: { ...each.spec, nodeName: "a" } });
    for (const each of [absurd, small]) state.removePod(each);
    expect(place(pod("p", { memory: "8Gi" }), state)).toBe("a");
  });

  it("a node whose allocatable is negative takes nothing", () => {
    const state = new ClusterState();
    state.setNode(node("a", { ...whole, cpu: "-1" }));
    expect(place(pod("p", { cpu: "1m" }), state)).toBe("0/1 nodes are available: 1 Insufficient cpu.");
  });

  it("a thousand terms are a thousand terms, not a thousand times the work for each node", { timeout: 120_000 }, () => {
    const state = new ClusterState();
    for (let i = 0; i < 200; i++) state.setNode(node(`n${i}`, whole));
    const term = (i: number) => ({
      topologyKey: "kubernetes.io/hostname",
      labelSelector: { matchLabels: { [`k${i}`]: "v" } },
    });
    const wide = pod(
      "wide",
      {},
      {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: Array.from({ length: 1_000 }, (_, i) => term(i)),
        },
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: Array.from({ length: 1_000 }, (_, i) => ({
              matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [`n${i * 7}`] }],
            })),
          },
        },
      },
    );
    for (let i = 0; i < 20; i++) {
      const each = { ...wide, metadata: { ...wide.metadata, name: `w${i}`, uid: `w${i}` } };
      const nodeName = place(each, state);
      expect(nodeName).toMatch(/^n\d+$/);
      state.assume(each, nodeName);
    }
  });
});
