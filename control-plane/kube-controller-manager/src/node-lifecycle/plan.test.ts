import type { Node, Taint } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import {
  countZones,
  formerLabels,
  sameTaints,
  silentConditions,
  taintsFor,
  unreadyKey,
  zoneOf,
  zoneState,
} from "./plan.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const AT = "2026-01-02T00:00:00Z";
const node = (conditions: Record<string, string>, spec: Node["spec"] = {}): Node => ({
  metadata: { name: "a", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec,
  status: { conditions: Object.entries(conditions).map(([type, status]) => ({ type, status, reason: "Kubelet" })) },
});
const named = (taints: readonly Taint[]): string[] => taints.map(({ key, effect }) => `${key.split("/")[1]}:${effect}`);

describe("a node that went silent", () => {
  it("has Unknown conditions, since now", () => {
    const conditions = silentConditions(node({ Ready: "True", MemoryPressure: "False", Other: "True" }), NOW) ?? [];
    expect(conditions.map(({ type, status }) => `${type}=${status}`)).toEqual([
      "Ready=Unknown",
      "MemoryPressure=Unknown",
      "Other=True",
      "DiskPressure=Unknown",
      "PIDPressure=Unknown",
    ]);
    expect(conditions[0]).toMatchObject({
      reason: "NodeStatusUnknown",
      message: "Kubelet stopped posting node status.",
      lastTransitionTime: AT,
    });
    expect(conditions[3]).toMatchObject({
      reason: "NodeStatusNeverUpdated",
      message: "Kubelet never posted node status.",
      lastHeartbeatTime: "2026-01-01T00:00:00Z",
    });
  });
  it("is told so once", () => {
    const silent = { Ready: "Unknown", MemoryPressure: "Unknown", DiskPressure: "Unknown", PIDPressure: "Unknown" };
    expect(silentConditions(node(silent), NOW)).toBeUndefined();
  });
});

describe("a node's taints follow its conditions", () => {
  it.each([
    ["ready", { Ready: "True" }, {}, false, []],
    ["not ready", { Ready: "False" }, {}, false, ["not-ready:NoSchedule"]],
    ["not ready, its turn", { Ready: "False" }, {}, true, ["not-ready:NoSchedule", "not-ready:NoExecute"]],
    ["silent, its turn", { Ready: "Unknown" }, {}, true, ["unreachable:NoSchedule", "unreachable:NoExecute"]],
    ["short of memory", { Ready: "True", MemoryPressure: "True" }, {}, true, ["memory-pressure:NoSchedule"]],
    ["of unknown memory", { Ready: "True", MemoryPressure: "Unknown" }, {}, true, []],
    ["without network", { Ready: "True", NetworkUnavailable: "True" }, {}, true, ["network-unavailable:NoSchedule"]],
    ["cordoned", { Ready: "True" }, { unschedulable: true }, true, ["unschedulable:NoSchedule"]],
  ])("%s", (_, conditions, spec, mayEvict, expected) =>
    expect(named(taintsFor(node(conditions, spec), mayEvict, NOW))).toEqual(expected),
  );
  it("others' taints stay, own ones go with their cause, and none gets a new time", () => {
    const taints = [
      { key: "example.com/x", effect: "NoSchedule" },
      { key: "node.kubernetes.io/not-ready", effect: "NoExecute", timeAdded: "2026-01-01T12:00:00Z" },
      { key: "node.kubernetes.io/disk-pressure", effect: "NoSchedule" },
    ];
    expect(named(taintsFor(node({ Ready: "True" }, { taints }), true, NOW))).toEqual(["x:NoSchedule"]);
    expect(taintsFor(node({ Ready: "False" }, { taints }), false, NOW).at(-1)).toEqual(taints[1]);
  });
  it("a node that becomes silent after it was not ready changes its taint", () => {
    const taints = [{ key: "node.kubernetes.io/not-ready", effect: "NoExecute", timeAdded: "2026-01-01T12:00:00Z" }];
    expect(named(taintsFor(node({ Ready: "Unknown" }, { taints }), false, NOW))).toEqual(["unreachable:NoSchedule"]);
  });
  it("with all nodes down, nobody is driven away any more", () => {
    const taints = [{ key: "node.kubernetes.io/unreachable", effect: "NoExecute", timeAdded: "2026-01-01T12:00:00Z" }];
    expect(named(taintsFor(node({ Ready: "Unknown" }, { taints }), false, NOW, true))).toEqual([
      "unreachable:NoSchedule",
    ]);
  });
  it("a node that has said nothing yet is not driven empty", () => expect(unreadyKey(node({}))).toBeUndefined());
  it("order and age of taints do not matter", () => {
    const [a, b] = [
      { key: "a", effect: "NoSchedule" },
      { key: "b", effect: "NoSchedule" },
    ];
    expect(sameTaints([a, b], [b, { ...a, timeAdded: AT }])).toBe(true);
    expect(sameTaints([a], [b])).toBe(false);
    expect(sameTaints([a], [{ ...a, value: "x" }])).toBe(false);
  });
});

describe("how bad it is in a zone", () => {
  it.each([
    [3, 0, "Normal"],
    [0, 1, "FullDisruption"],
    [1, 2, "Normal"], // two nodes are too few to speak of a disruption
    [2, 3, "PartialDisruption"],
    [3, 3, "Normal"],
    [0, 0, "Normal"],
  ])("%i ready, %i not: %s", (ready, notReady, state) => expect(zoneState(ready, notReady, 0.55)).toBe(state));
  it("region and zone together name it", () => {
    const at = (region: string, zone: string): string =>
      zoneOf({
        metadata: { labels: { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone } },
        spec: {},
      });
    expect(at("r", "1")).not.toBe(at("r", "2"));
    expect(at("r", "1")).toBe(at("r", "1"));
  });
  it("those that come and go as they like are not counted", () => {
    const labels = { "node.kubernetes.io/exclude-disruption": "" };
    const some = [
      node({ Ready: "True" }),
      node({ Ready: "False" }),
      { ...node({ Ready: "False" }), metadata: { labels } },
    ];
    expect([...countZones(some).values()]).toEqual([{ ready: 1, notReady: 1 }]);
  });
});

describe("former labels", () => {
  const of = (labels: Record<string, string>) => formerLabels({ metadata: { labels }, spec: {} });
  it("follow today's, and stay where there are none", () => {
    expect(of({ "kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64", "beta.kubernetes.io/arch": "x" })).toEqual({
      "beta.kubernetes.io/os": "linux",
      "beta.kubernetes.io/arch": "arm64",
    });
    expect(of({ "beta.kubernetes.io/os": "linux" })).toBeUndefined();
  });
});
