import type { Node, Service } from "@coracle/api/core/v1";
import type { Endpoint, EndpointSlice } from "@coracle/api/discovery/v1";
import { describe, expect, it } from "vitest";
import { withHints, zoneShares } from "./hints.ts";
import { allocate, redistribute } from "./zone-allocation.ts";

const service = (trafficDistribution?: string, mode?: string): Service => ({
  metadata: { name: "s", annotations: mode === undefined ? {} : { "service.kubernetes.io/topology-mode": mode } },
  spec: trafficDistribution === undefined ? {} : { trafficDistribution },
});
const endpoint = (zone: string | undefined, ready = true): Endpoint => ({
  addresses: ["10.0.0.1"],
  conditions: { ready },
  nodeName: `n-${zone}`,
  ...(zone === undefined ? {} : { zone }),
});
const slice = (name: string, endpoints: readonly Endpoint[]): EndpointSlice => ({
  metadata: { name },
  addressType: "IPv4",
  endpoints,
});
const nothing = { create: [], update: [], delete: [] };
const hints = (slices: readonly EndpointSlice[]): readonly (readonly unknown[])[] =>
  slices.map((each) => each.endpoints.map((one) => one.hints));
const zone = (name: string) => ({ forZones: [{ name }] });

describe("traffic that is to stay close", () => {
  const fresh = { ...nothing, create: [slice("", [endpoint("a"), endpoint("b", false), endpoint(undefined)])] };
  it.each([
    ["PreferClose", [zone("a"), undefined, undefined]],
    ["PreferSameZone", [zone("a"), undefined, undefined]],
    [
      "PreferSameNode",
      [{ ...zone("a"), forNodes: [{ name: "n-a" }] }, undefined, { forNodes: [{ name: "n-undefined" }] }],
    ],
    ["Whatever", [undefined, undefined, undefined]],
  ])("%s", (distribution, expected) => {
    expect(hints(withHints(service(distribution), fresh, [], undefined, false).plan.create)).toEqual([expected]);
  });

  it("slices that say so already are not written", () => {
    const right = slice("s1", [{ ...endpoint("a"), hints: zone("a") }]);
    const wrong = slice("s2", [endpoint("b")]);
    const { plan } = withHints(service("PreferSameZone"), nothing, [right, wrong], undefined, false);
    expect(plan.update.map((each) => each.metadata.name)).toEqual(["s2"]);
    expect(withHints(service(), nothing, [right, wrong], undefined, false).plan.update).toMatchObject([
      { metadata: { name: "s1" }, endpoints: [{ addresses: ["10.0.0.1"] }] },
    ]);
  });
});

describe("endpoints spread over zones", () => {
  const auto = service(undefined, "Auto");
  const halves = new Map([
    ["a", 0.5],
    ["b", 0.5],
  ]);
  it("by the shares of CPUs of ready nodes that may run anything", () => {
    const node = (where: string | undefined, cpu: string, more: Record<string, string> = {}, ready = "True"): Node => ({
      metadata: { labels: { ...(where === undefined ? {} : { "topology.kubernetes.io/zone": where }), ...more } },
      spec: {},
      status: { allocatable: { cpu }, conditions: [{ type: "Ready", status: ready }] },
    });
    const leader = node("c", "8", { "node-role.kubernetes.io/control-plane": "" });
    const shares = zoneShares([
      node("a", "3"),
      node("b", "500m"),
      node("b", "500m"),
      node("c", "9", {}, "False"),
      leader,
    ]);
    expect([...(shares ?? [])]).toEqual([
      ["a", 0.75],
      ["b", 0.25],
    ]);
    expect(zoneShares([node("a", "3"), node(undefined, "1")])).toBeUndefined();
    expect(zoneShares([node("a", "3"), node("a", "1")])).toBeUndefined();
  });

  it("each serves its own zone where that is fair, and that is told once", () => {
    const plan = { ...nothing, create: [slice("", [endpoint("a"), endpoint("b"), endpoint("a", false)])] };
    const first = withHints(auto, plan, [], halves, false);
    expect(hints(first.plan.create)).toEqual([[zone("a"), zone("b"), undefined]]);
    expect(first.events.map((each) => each.message)).toEqual([
      "Topology Aware Hints has been enabled, addressType: IPv4",
    ]);
    expect(withHints(auto, plan, [], halves, true).events).toEqual([]);
  });

  it("those of a zone that has too many serve another", () => {
    const plan = { ...nothing, create: [slice("", [endpoint("a"), endpoint("a"), endpoint("a"), endpoint("b")])] };
    expect(hints(withHints(auto, plan, [], halves, false).plan.create)).toEqual([
      [zone("b"), zone("a"), zone("a"), zone("b")],
    ]);
  });

  it("what is right stays", () => {
    const right = slice("s1", [
      { ...endpoint("a"), hints: zone("a") },
      { ...endpoint("b"), hints: zone("b") },
    ]);
    expect(withHints(auto, nothing, [right], halves, true).plan).toEqual(nothing);
  });

  it.each([
    [
      "no zones",
      [endpoint("a"), endpoint("b")],
      undefined,
      "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes, addressType: IPv4",
    ],
    [
      "fewer endpoints than zones",
      [endpoint("a")],
      halves,
      "Insufficient number of endpoints (1 endpoints, 2 zones), addressType: IPv4",
    ],
    [
      "an endpoint of no zone",
      [endpoint("a"), endpoint(undefined)],
      halves,
      "One or more endpoints do not have a zone specified, addressType: IPv4",
    ],
  ])("not with %s", (_, endpoints, shares, message) => {
    const existing = [
      slice(
        "s1",
        endpoints.map((each) => ({ ...each, hints: zone("a") })),
      ),
    ];
    const { plan, events, isSpread } = withHints(auto, nothing, existing, shares, true);
    expect({ isSpread, events }).toEqual({
      isSpread: false,
      events: [{ type: "Warning", reason: "TopologyAwareHintsDisabled", message }],
    });
    expect(
      hints(plan.update)
        .flat()
        .every((each) => each === undefined),
    ).toBe(true);
  });

  it("no zone gets less than its share by more than a fifth", () => {
    const thirds = new Map([
      ["a", 0.8],
      ["b", 0.1],
      ["c", 0.1],
    ]);
    expect(allocate(thirds, 3)).toMatch(/^Unable to allocate minimum/);
    expect([...(allocate(thirds, 10) as ReadonlyMap<string, unknown>).entries()]).toEqual([
      ["a", { minimum: 7, maximum: 8, desired: 8 }],
      ["b", { minimum: 1, maximum: 2, desired: 1 }],
      ["c", { minimum: 1, maximum: 2, desired: 1 }],
    ]);
    const allocations = allocate(halves, 4);
    if (typeof allocations === "string") throw new Error(allocations);
    expect(redistribute(["a", "a", "a", "a"], allocations, new Map([["a", 4]]))).toEqual(["b", "b", "a", "a"]);
  });
});
