import type { Node, Service } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { parseRange } from "../addresses/ranges.ts";
import { parseLocalConfiguration } from "./configuration.ts";
import { chooseAddresses, chooseNode, nodePortIngress } from "./placement.ts";
import { routesOf } from "./routes.ts";

const pool = [parseRange("192.168.1.10-192.168.1.11")];
const service = (part: Partial<Service["spec"]> = {}, ip?: string): Service => ({
  metadata: { namespace: "d", name: "s" },
  spec: { type: "LoadBalancer", ports: [{ port: 80, nodePort: 30_080, protocol: "TCP" }], ...part },
  status: ip === undefined ? {} : { loadBalancer: { ingress: [{ ip }] } },
});

describe("a Service's address", () => {
  it.each([
    ["is the first that is free", service(), {}, "192.168.1.10"],
    ["is not another's", service(), { "192.168.1.10": "d/o" }, "192.168.1.11"],
    ["stays", service({}, "192.168.1.11"), {}, "192.168.1.11"],
    ["does not stay when it is of no pool any more", service({}, "10.0.0.1"), {}, "192.168.1.10"],
    ["is the one it asks for", service({ loadBalancerIP: "192.168.1.11" }, "192.168.1.10"), {}, "192.168.1.11"],
  ])("%s", (_rule, of, taken, address) => {
    expect(chooseAddresses(of, pool, new Map(Object.entries(taken)))).toEqual([address]);
  });
  it.each([
    [service({ loadBalancerIP: "10.0.0.1" }), {}, "the address 10.0.0.1 is not in the pool"],
    [
      service({ loadBalancerIP: "192.168.1.10" }),
      { "192.168.1.10": "d/o" },
      "the address 192.168.1.10 belongs to service d/o",
    ],
    [service(), { "192.168.1.10": "d/o", "192.168.1.11": "d/p" }, "no address of the pool is free"],
  ])("cannot be given: %#", (of, taken, why) => {
    expect(() => chooseAddresses(of, pool, new Map(Object.entries(taken)))).toThrow(why);
  });

  const both = [...pool, parseRange("fd00::10-fd00::11")];
  const V6 = { ipFamilies: ["IPv6"] };
  const DUAL = { ipFamilies: ["IPv6", "IPv4"] };
  it.each([
    ["is of its own family", service(V6), both, {}, ["fd00::10"]],
    ["one of each family, the first one first", service(DUAL), both, {}, ["fd00::10", "192.168.1.10"]],
    ["one of those families that the pool has", service(DUAL), pool, {}, ["192.168.1.10"]],
    [
      "the one it asks for, and one of the other",
      service({ ...DUAL, loadBalancerIP: "fd00::11" }),
      both,
      {},
      ["fd00::11", "192.168.1.10"],
    ],
    ["each stays", service(DUAL, "fd00::11"), both, { "fd00::10": "d/o" }, ["fd00::11", "192.168.1.10"]],
  ])("%s", (_rule, of, from, taken, addresses) => {
    expect(chooseAddresses(of, from, new Map(Object.entries(taken)))).toEqual(addresses);
  });
  it("a pool without its families has none for it", () => {
    expect(() => chooseAddresses(service(V6), pool, new Map())).toThrow(
      "the pool has no addresses of the service's families (IPv6)",
    );
  });
});

describe("the node that holds an address", () => {
  const candidate = (name: string, part = {}) => ({ name, isReady: true, hasEndpoints: true, load: 0, ...part });
  it.each([
    ["is any of those that work", [candidate("a", { isReady: false }), candidate("b")], undefined, false, "b"],
    ["stays", [candidate("a"), candidate("b", { load: 3 })], "b", false, "b"],
    ["stays not when it fails", [candidate("a"), candidate("b", { isReady: false })], "b", false, "a"],
    ["has endpoints where that matters", [candidate("a", { hasEndpoints: false }), candidate("b")], "a", true, "b"],
    ["need not where it does not", [candidate("a", { hasEndpoints: false }), candidate("b")], "a", false, "a"],
    ["has the fewest", [candidate("a", { load: 2 }), candidate("b", { load: 1 })], undefined, false, "b"],
    ["is one that fails, when all do", [candidate("a", { isReady: false })], undefined, false, "a"],
    ["is none without nodes", [], "a", false, undefined],
  ])("%s", (_rule, candidates, current, needsEndpoints, expected) => {
    expect(chooseNode(candidates, current, needsEndpoints)).toBe(expected);
  });
});

describe("without a pool", () => {
  const node = (name: string, i: number, status = "True"): Node => ({
    metadata: { name },
    spec: {},
    status: {
      addresses: [{ type: "InternalIP", address: `10.0.0.${i}` }],
      conditions: [{ type: "Ready", status }],
    },
  });
  const nodes = [node("a", 1), node("b", 2), node("c", 3, "False")];
  const at = (ip: string) => ({ ip, ipMode: "Proxy", ports: [{ port: 30_080, protocol: "TCP" }] });
  it("a Service is reached at the ports of all nodes that work", () => {
    expect(nodePortIngress(service(), nodes, new Set())).toEqual([at("10.0.0.1"), at("10.0.0.2")]);
  });
  it("or of those with endpoints, where that matters", () => {
    expect(nodePortIngress(service({ externalTrafficPolicy: "Local" }), nodes, new Set(["b"]))).toEqual([
      at("10.0.0.2"),
    ]);
  });
  it("and cannot be without such ports", () => {
    expect(() => nodePortIngress(service({ ports: [{ port: 80 }] }), nodes, new Set())).toThrow("has no node ports");
  });
});

describe("routes of the kernels", () => {
  const node = (name: string, i: number): Node => ({
    metadata: { name },
    spec: { podCIDRs: [`10.244.${i}.0/24`] },
    status: { addresses: [{ type: "InternalIP", address: `10.0.0.${i}` }] },
  });
  const to = (i: number, gateway = i) => ({ destination: `10.244.${i}.0/24`, gateway: `10.0.0.${gateway}` });
  const nodes = [
    { node: node("a", 1), network: "/a", isWithinReach: true },
    { node: node("b", 2), network: "/b", isWithinReach: true },
  ];
  const listed = (routes: Record<string, readonly ReturnType<typeof to>[]>) =>
    routesOf(
      [undefined, "/a", "/b"].map((network) => ({ network, routes: routes[network ?? "host"] ?? [] })),
      nodes,
      new Set(),
    ).map(({ targetNode, destinationCidr }) => `${targetNode} ${destinationCidr}`);
  it("count when all networks but the node's own have them", () => {
    expect(listed({ host: [to(1), to(2)], "/a": [to(2)], "/b": [] })).toEqual(["b 10.244.2.0/24"]);
  });
  it("count, to be removed, when no node wants them", () => {
    expect(listed({ host: [to(7)], "/a": [to(1, 9)] })).toEqual(["10.0.0.7 10.244.7.0/24", "10.0.0.9 10.244.1.0/24"]);
  });
  it("of the only machine there is are none of the kernel's", () => {
    const only = [{ node: node("a", 1), network: undefined, isWithinReach: true }];
    const networks = [{ network: undefined, routes: [] }];
    expect(routesOf(networks, only, new Set())).toEqual([]);
    expect(routesOf(networks, only, new Set(["10.244.1.0/24 via 10.0.0.1"]))).toHaveLength(1);
  });
});

describe("the configuration", () => {
  it("is empty by default: this machine, and no pool", async () => {
    expect(await parseLocalConfiguration(undefined)).toMatchObject({
      addressPool: [],
      machines: [{ name: undefined }],
    });
  });
  it.each([
    ["pool: []", 'unknown field "pool"'],
    ["- a", "must be an object"],
    ["addressPool: 5", "addressPool must be a list"],
    ["addressPool: [nonsense]", 'addressPool: "nonsense" is no range of addresses'],
    ["machines: [{}]", "each of machines needs a name"],
  ])("%j is refused", async (text, why) => {
    await expect(parseLocalConfiguration(text)).rejects.toThrow(why);
  });
});
