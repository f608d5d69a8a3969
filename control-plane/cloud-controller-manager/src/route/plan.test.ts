import type { Node } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import type { Route } from "../provider/cloud-provider.ts";
import { isWithin } from "../addresses/ranges.ts";
import { planNetworkCondition, planRoutes } from "./plan.ts";

const address = (text: string) => ({ type: "InternalIP", address: text });
const node = (name: string, ...podCIDRs: string[]): Node => ({
  metadata: { name },
  spec: { podCIDRs },
  status: { addresses: [address("10.0.0.1")] },
});
const route = (targetNode: string, destinationCidr: string, part: Partial<Route> = {}): Route => ({
  name: `${targetNode}-${destinationCidr}`,
  targetNode,
  destinationCidr,
  ...part,
});
const isOurs = (cidr: string): boolean => isWithin(cidr, "10.244.0.0/16");

describe("routes to nodes' pods", () => {
  it.each<readonly [string, readonly Node[], readonly Route[], readonly string[], readonly string[]]>([
    ["a range without a route gets one", [node("a", "10.244.1.0/24")], [], [], ["a 10.244.1.0/24"]],
    ["a route that is there is left", [node("a", "10.244.1.0/24")], [route("a", "10.244.1.0/24")], [], []],
    ["a node without a range needs none", [node("a")], [], [], []],
    [
      "both ranges of a node get one",
      [node("a", "10.244.1.0/24", "fd00::/64")],
      [],
      [],
      ["a 10.244.1.0/24", "a fd00::/64"],
    ],
    ["the route of a node that went is removed", [], [route("a", "10.244.1.0/24")], ["a-10.244.1.0/24"], []],
    ["a route outside the cluster's range is not ours", [], [route("a", "192.168.0.0/24")], [], []],
    [
      "a range that moved leads to its new node",
      [node("b", "10.244.1.0/24")],
      [route("a", "10.244.1.0/24")],
      ["a-10.244.1.0/24"],
      ["b 10.244.1.0/24"],
    ],
    [
      "a route that leads nowhere is made anew",
      [node("a", "10.244.1.0/24")],
      [route("a", "10.244.1.0/24", { isBlackhole: true })],
      ["a-10.244.1.0/24"],
      ["a 10.244.1.0/24"],
    ],
    [
      "a route to a node's former addresses is made anew, where the cloud tells them",
      [node("a", "10.244.1.0/24")],
      [route("a", "10.244.1.0/24", { targetNodeAddresses: [address("10.0.0.9")] })],
      ["a-10.244.1.0/24"],
      ["a 10.244.1.0/24"],
    ],
  ])("%s", (_rule, nodes, routes, remove, create) => {
    const plan = planRoutes(nodes, routes, isOurs);
    expect(plan.remove.map(({ name }) => name)).toEqual(remove);
    expect(plan.create.map(({ node: to, destinationCidr }) => `${to.metadata.name} ${destinationCidr}`)).toEqual(
      create,
    );
  });
});

describe("the condition NetworkUnavailable", () => {
  it("says whether there is a route, and is written only when it changes", () => {
    const condition = planNetworkCondition(node("a"), true, 0);
    expect(condition).toMatchObject({ status: "False", reason: "RouteCreated" });
    const told: Node = { ...node("a"), status: { conditions: [condition as NonNullable<typeof condition>] } };
    expect(planNetworkCondition(told, true, 9)).toBeUndefined();
    expect(planNetworkCondition(told, false, 9)).toMatchObject({ status: "True", reason: "NoRouteCreated" });
  });
});
