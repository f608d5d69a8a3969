import { describe, expect, it } from "vitest";
import type { Node, Pod } from "@coracle/api/core/v1";
import { createSeededRandom } from "@coracle/base";
import { defaultPlugins } from "../plugins/index.ts";
import { ClusterState } from "../state/cluster-state.ts";
import { enoughNodes, schedulePod } from "./schedule-pod.ts";

const node = (
  name: string,
  part: { labels?: Record<string, string>; spec?: Node["spec"]; allocatable?: Record<string, string> } = {},
): Node => ({
  metadata: { name, labels: { "kubernetes.io/hostname": name, ...part.labels } },
  spec: part.spec ?? {},
  status: { allocatable: { cpu: "4", memory: "8Gi", pods: "110", ...part.allocatable } },
});
let serial = 0;
const pod = (spec: Partial<Pod["spec"]> = {}, labels: Record<string, string> = {}): Pod => ({
  metadata: { name: `p${++serial}`, namespace: "default", uid: `uid-${serial}`, labels },
  spec: { containers: [{ name: "c", image: "app" }], ...spec },
});
const needing = (cpu: string): Partial<Pod["spec"]> => ({
  containers: [{ name: "c", resources: { requests: { cpu } } }],
});

function decide(waiting: Pod, nodes: readonly Node[], placed: readonly Pod[] = []) {
  const state = new ClusterState();
  for (const each of nodes) state.setNode(each);
  for (const each of placed) state.setPod(each);
  const plugins = defaultPlugins({
    binder: () => Promise.resolve(),
    budgets: () => [],
    volumes: { claim: () => undefined, volume: () => undefined, storageClass: () => undefined },
    owners: {
      selectorOf: (p) =>
        p.metadata.labels?.["app"] === undefined ? undefined : { matchLabels: { app: p.metadata.labels["app"] } },
    },
  });
  return schedulePod(waiting, state, { plugins, random: createSeededRandom(1), startAt: 0 });
}
const placeOf = (...args: Parameters<typeof decide>) => {
  const decision = decide(...args);
  return decision.type === "fits" ? decision.nodeName : decision.message;
};
const on = (nodeName: string, p: Pod): Pod => ({ ...p, spec: { ...p.spec, nodeName } });

describe("where a pod goes, or why nowhere", () => {
  it("there are no nodes", () => expect(placeOf(pod(), [])).toBe("no nodes available to schedule pods"));

  it("resources: counts what is placed, and says what lacks on how many nodes", () => {
    const nodes = [node("a"), node("b", { allocatable: { cpu: "1" } })];
    expect(placeOf(pod(needing("3")), nodes)).toBe("a");
    expect(placeOf(pod(needing("3")), nodes, [on("a", pod(needing("2")))])).toBe(
      "0/2 nodes are available: 2 Insufficient cpu.",
    );
    expect(placeOf(pod(), [node("a", { allocatable: { pods: "1" } })], [on("a", pod())])).toBe(
      "0/1 nodes are available: 1 Too many pods.",
    );
  });

  it("cordoned nodes and taints keep pods away unless tolerated", () => {
    const cordoned = node("a", { spec: { unschedulable: true } });
    const tainted = node("b", { spec: { taints: [{ key: "k", value: "v", effect: "NoSchedule" }] } });
    expect(placeOf(pod(), [cordoned, tainted])).toBe(
      "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable.",
    );
    expect(placeOf(pod({ tolerations: [{ key: "k", operator: "Equal", value: "v" }] }), [cordoned, tainted])).toBe("b");
    expect(placeOf(pod({ tolerations: [{ operator: "Exists" }] }), [cordoned])).toBe("a");
    const disliked = node("c", { spec: { taints: [{ key: "k", effect: "PreferNoSchedule" }] } });
    expect(placeOf(pod(), [disliked, node("d")])).toBe("d");
  });

  it("node selectors, affinity and names", () => {
    const nodes = [
      node("a", { labels: { disk: "hdd", size: "5" } }),
      node("b", { labels: { disk: "ssd", size: "9" } }),
    ];
    expect(placeOf(pod({ nodeSelector: { disk: "ssd" } }), nodes)).toBe("b");
    expect(placeOf(pod({ nodeSelector: { disk: "tape" } }), nodes)).toBe(
      "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
    );
    const requiring = (key: string, operator: string, values: string[]) =>
      pod({
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [{ matchExpressions: [{ key, operator, values }] }],
            },
          },
        },
      });
    expect(placeOf(requiring("size", "Gt", ["7"]), nodes)).toBe("b");
    expect(placeOf(requiring("disk", "NotIn", ["ssd"]), nodes)).toBe("a");
    const named = pod({
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["b"] }] }],
          },
        },
      },
    });
    expect(placeOf(named, nodes)).toBe("b");
    const preferring = pod({
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 100, preference: { matchExpressions: [{ key: "disk", operator: "In", values: ["ssd"] }] } },
          ],
        },
      },
    });
    expect(placeOf(preferring, nodes)).toBe("b");
  });

  it("a host port is given once per node and address", () => {
    const using = (hostPort: number, hostIP?: string): Partial<Pod["spec"]> => ({
      containers: [{ name: "c", ports: [{ containerPort: 80, hostPort, protocol: "TCP", hostIP }] }],
    });
    const taken = [on("a", pod(using(8080)))];
    expect(placeOf(pod(using(8080)), [node("a")], taken)).toBe(
      "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
    );
    expect(placeOf(pod(using(8081)), [node("a")], taken)).toBe("a");
    expect(placeOf(pod(using(8080, "10.0.0.2")), [node("a")], [on("a", pod(using(8080, "10.0.0.1")))])).toBe("a");
    expect(placeOf(pod(using(8080, "10.0.0.2")), [node("a")], taken)).toContain("free ports");
  });

  it("pods of one service spread over nodes without being told", () => {
    const placed = [on("a", pod({}, { app: "web" })), on("a", pod({}, { app: "web" }))];
    const others = [on("b", pod()), on("b", pod())];
    expect(placeOf(pod({}, { app: "web" }), [node("a"), node("b")], [...placed, ...others])).toBe("b");
  });

  it("DoNotSchedule spread keeps to the skew", () => {
    const spread = {
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: "zone",
          whenUnsatisfiable: "DoNotSchedule",
          labelSelector: { matchLabels: { app: "web" } },
        },
      ],
    };
    const nodes = [
      node("a", { labels: { zone: "1" } }),
      node("b", { labels: { zone: "2" }, spec: { unschedulable: true } }),
      node("c"),
    ];
    const placed = [on("a", pod({}, { app: "web" }))];
    expect(placeOf(pod(spread, { app: "web" }), nodes)).toBe("a");
    expect(placeOf(pod(spread, { app: "web" }), nodes, placed)).toBe(
      "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) didn't match pod topology spread constraints (missing required label), 1 node(s) were unschedulable.",
    );
  });

  it("pod affinity brings together, anti-affinity keeps apart, in both directions", () => {
    const term = { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "db" } } };
    const near = { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
    const away = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
    const nodes = [node("a"), node("b")];
    const db = on("b", pod({}, { app: "db" }));
    expect(placeOf(pod(near), nodes, [db])).toBe("b");
    expect(placeOf(pod(away), nodes, [db])).toBe("a");
    expect(placeOf(pod(near), nodes)).toBe("0/2 nodes are available: 2 node(s) didn't match pod affinity rules.");
    expect(placeOf(pod(near, { app: "db" }), [node("a")])).toBe("a"); // the first of a group
    expect(placeOf(pod({}, { app: "db" }), nodes, [on("b", pod(away))])).toBe("a");
  });

  it("looks at all of 100 nodes, and at fewer of the rest the more there are", () => {
    expect([10, 99, 100, 1000, 5000, 10_000].map((total) => enoughNodes(total))).toEqual([10, 99, 100, 420, 500, 500]);
  });
});
