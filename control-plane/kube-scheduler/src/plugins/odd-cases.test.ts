import { describe, expect, it } from "vitest";
import type { Node, Pod } from "@coracle/api/core/v1";
import { explainPod } from "../debug/explain.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { requestsToScore, scoringRequests } from "../state/pod-resources.ts";
import { defaultPlugins } from "./index.ts";

const node = (name: string, labels: Record<string, string> = {}): Node => ({
  metadata: { name, labels: { "kubernetes.io/hostname": name, ...labels } },
  spec: {},
  status: { allocatable: { cpu: "4", memory: "8Gi", pods: "110" } },
});
let serial = 0;
const pod = (spec: Partial<Pod["spec"]> = {}, labels: Record<string, string> = {}): Pod => ({
  metadata: { name: `p${++serial}`, namespace: "default", uid: `uid-${serial}`, labels },
  spec: { containers: [{ name: "c" }], ...spec },
});
const on = (nodeName: string, it: Pod): Pod => ({ ...it, spec: { ...it.spec, nodeName } });

/** Node → its reason against the pod, or its score by the plugin. */
function opinions(plugin: string, waiting: Pod, nodes: readonly Node[], placed: readonly Pod[] = []) {
  const state = new ClusterState();
  for (const each of nodes) state.setNode(each);
  for (const each of placed) state.setPod(each);
  const plugins = defaultPlugins({
    binder: () => Promise.resolve(),
    budgets: () => [],
    volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
    owners: {
      selectorOf: ({ metadata: { labels } }) =>
        labels?.["app"] === undefined ? undefined : { matchLabels: { app: labels["app"] } },
    },
  });
  const explanation = explainPod(waiting, { schedulerName: "default-scheduler", plugins }, state);
  return Object.fromEntries(
    explanation.nodes.map((each) => [each.node, each.reasons?.join() ?? each.scores?.[plugin]?.score ?? "fits"]),
  );
}

describe("cases in which upstream decides as nobody would think", () => {
  const spread = { topologyKey: "zone", maxSkew: 1, whenUnsatisfiable: "DoNotSchedule", labelSelector: {} };

  it("a spread constraint with an empty selector counts nobody", () => {
    const nodes = [node("a", { zone: "a" }), node("b", { zone: "b" })];
    const crowd = [on("a", pod()), on("a", pod()), on("a", pod())];
    expect(opinions("PodTopologySpread", pod({ topologySpreadConstraints: [spread] }), nodes, crowd)).toEqual({
      a: "fits",
      b: "fits",
    });
  });

  it("nodes without a zone are one more zone when zones are weighed", () => {
    const zone = (name: string) => ({ "topology.kubernetes.io/zone": name });
    const web = { app: "web" };
    const placed = ["a", "a", "a", "b", "c"].map((name) => on(name, pod({}, web)));
    const nodes = [node("a", zone("a")), node("b", zone("b")), node("c")];
    // By hand: three nodes and three zones (a, b, none) weigh log 5 each; a: 3 + 3, b: 1 + 1, c: 1, and the skews.
    const [a, b, c] = [3 * Math.log(5) * 2 + 6, 2 * Math.log(5) + 6, Math.log(5) + 2].map(Math.round) as [
      number,
      number,
      number,
    ];
    const normal = (score: number): number => Math.floor((100 * (a + c - score)) / a);
    expect(opinions("PodTopologySpread", pod({}, web), nodes, placed)).toEqual({
      a: normal(a),
      b: normal(b),
      c: normal(c),
    });
  });

  it("what a pod asks for as a whole is not looked at when nodes are compared by what is left", () => {
    const containers = [{ name: "c", resources: { requests: { cpu: "100m", memory: "64Mi" } } }];
    const waiting = pod({ containers, resources: { requests: { cpu: "3", memory: "1Gi" } }, overhead: { cpu: "50m" } });
    expect(Object.fromEntries(requestsToScore(waiting))).toEqual({ cpu: 150, memory: 64 * 1024 * 1024 });
  });

  it("containers that say nothing count as small ones, but not in a pod that says it as a whole", () => {
    const cpuOf = (spec: Partial<Pod["spec"]>) => scoringRequests(pod(spec)).get("cpu");
    expect(cpuOf({})).toBe(100);
    const containers = [{ name: "a", resources: { requests: { cpu: "1" } } }, { name: "b" }];
    expect(cpuOf({ containers })).toBe(1100);
    expect(cpuOf({ containers, resources: { requests: { memory: "1Gi" } } })).toBe(1000);
    expect(cpuOf({ resources: { requests: { memory: "1Gi" } } })).toBe(100);
  });
});
