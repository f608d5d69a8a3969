import { describe, expect, it } from "vitest";
import type { Node } from "@coracle/api/core/v1";
import { planNodeRoutes, routeChanges } from "./node-routes.ts";

const node = (name: string, address: string, podCIDR?: string): Node => ({
  metadata: { name },
  spec: podCIDR === undefined ? {} : { podCIDR },
  status: { addresses: [{ type: "InternalIP", address }] },
});

describe("routes to other nodes' pods", () => {
  it("lead to every node that has a range, except the own", () => {
    const nodes = [
      node("a", "172.30.1.11", "10.244.0.0/24"),
      node("b", "172.30.1.12", "10.244.1.0/24"),
      node("c", "172.30.1.13"),
    ];
    expect([...planNodeRoutes(nodes, "a")]).toEqual([["10.244.1.0/24", "172.30.1.12"]]);
    expect(planNodeRoutes(nodes, undefined).size).toBe(2);
  });
  it("change only where something changed", () => {
    const before = new Map([
      ["10.244.0.0/24", "172.30.1.11"],
      ["10.244.1.0/24", "172.30.1.12"],
    ]);
    const after = new Map([["10.244.1.0/24", "172.30.1.14"]]);
    expect(routeChanges(before, after)).toEqual([
      "route del 10.244.0.0/24",
      "route replace 10.244.1.0/24 via 172.30.1.14",
    ]);
    expect(routeChanges(after, after)).toEqual([]);
  });
});
