import { describe, expect, it } from "vitest";
import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { staleFlows } from "../conntrack.ts";
import { servicePorts, type ServicePort } from "./service-port.ts";

const service = (spec: Partial<Service["spec"]> = {}, labels: Record<string, string> = {}): Service => ({
  metadata: { name: "web", namespace: "shop", labels },
  spec: {
    clusterIP: "10.96.0.5",
    clusterIPs: ["10.96.0.5"],
    ports: [{ name: "http", port: 80, protocol: "TCP" }],
    ...spec,
  },
});
type E = EndpointSlice["endpoints"][number];
const slice = (...endpoints: E[]): EndpointSlice => ({
  metadata: { name: "web-1", namespace: "shop" },
  addressType: "IPv4",
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  endpoints,
});
const ready = (address: string, nodeName = "n1"): E => ({
  addresses: [address],
  nodeName,
  conditions: { ready: true, serving: true },
});
const ending = (address: string): E => ({
  addresses: [address],
  nodeName: "n1",
  conditions: { ready: false, serving: true, terminating: true },
});
const addresses = (port: ServicePort | undefined) => port?.internal.map((e) => e.address);
const one = (s: Service, ...slices: EndpointSlice[]) => servicePorts(s, slices, "n1")[0];

describe("what a service's port resolves to", () => {
  it("has the ready endpoints, in a stable order", () => {
    expect(one(service(), slice(ready("10.244.0.9"), ready("10.244.0.2")))).toMatchObject({
      id: "shop/web:http",
      clusterIp: "10.96.0.5",
      internal: [
        { address: "10.244.0.2", port: 8080, isLocal: true },
        { address: "10.244.0.9", port: 8080, isLocal: true },
      ],
    });
  });
  it("KEP-1669: falls back to endpoints that terminate but serve only when none is ready", () => {
    expect(addresses(one(service(), slice(ready("10.244.0.2"), ending("10.244.0.3"))))).toEqual(["10.244.0.2"]);
    expect(addresses(one(service(), slice(ending("10.244.0.3"))))).toEqual(["10.244.0.3"]);
  });
  it("internalTrafficPolicy Local keeps to this node, and knows of endpoints elsewhere", () => {
    const port = one(service({ internalTrafficPolicy: "Local" }), slice(ready("10.244.1.2", "n2")));
    expect(port).toMatchObject({ internal: [], hasAnyEndpoint: true });
  });
  it("an endpoint that stands in two slices counts once, ready if it is in one", () => {
    const port = one(
      service(),
      slice({ ...ready("10.244.0.2"), conditions: { ready: false } }),
      slice(ready("10.244.0.2")),
    );
    expect(addresses(port)).toEqual(["10.244.0.2"]);
  });
  it("leaves out headless and external services and those of another proxy", () => {
    expect(servicePorts(service({ clusterIP: "None", clusterIPs: ["None"] }), [], "n1")).toEqual([]);
    expect(servicePorts(service({ type: "ExternalName" }), [], "n1")).toEqual([]);
    expect(servicePorts(service({}, { "service.kubernetes.io/service-proxy-name": "mine" }), [], "n1")).toEqual([]);
  });
  it("a balancer's address is for clients of the source ranges alone; for all when they say so", () => {
    const firewall = (
      spec: Partial<Service["spec"]>,
      ingress: NonNullable<NonNullable<NonNullable<Service["status"]>["loadBalancer"]>["ingress"]> = [
        { ip: "192.0.2.1" },
      ],
      annotations = {},
    ) => {
      const made = service({ externalIPs: ["192.0.2.9"], ...spec });
      const balanced = { ...made, metadata: { ...made.metadata, annotations }, status: { loadBalancer: { ingress } } };
      return one(balanced, slice(ready("10.244.0.2")))?.firewall;
    };
    const guarded = { addresses: ["192.0.2.1"], sources: ["10.0.0.0/8"] };
    expect(firewall({ loadBalancerSourceRanges: ["10.0.0.0/8", "fd00::/8"] })).toEqual(guarded);
    const key = "service.beta.kubernetes.io/load-balancer-source-ranges";
    expect(firewall({}, undefined, { [key]: " 10.0.0.0/8 " })).toEqual(guarded);
    expect(firewall({})).toBeUndefined();
    expect(firewall({ loadBalancerSourceRanges: ["10.0.0.0/8", "0.0.0.0/0"] })).toBeUndefined();
    expect(
      firewall({ loadBalancerSourceRanges: ["10.0.0.0/8"] }, [{ ip: "192.0.2.1", ipMode: "Proxy" }]),
    ).toBeUndefined();
  });
  it("UDP flows to a vanished endpoint, and those from before the first endpoint, are forgotten", () => {
    const udp = (...all: string[]): Map<string, ServicePort> => {
      const s = service({ ports: [{ name: "http", port: 53, protocol: "UDP" }] });
      return new Map([["k", servicePorts(s, [slice(...all.map((a) => ready(a)))], "n1")[0] as ServicePort]]);
    };
    expect(staleFlows(udp("10.244.0.2"), udp("10.244.0.3"))).toEqual([
      ["-p", "udp", "--orig-dst", "10.96.0.5", "--dst-nat", "10.244.0.2"],
    ]);
    expect(staleFlows(udp(), udp("10.244.0.3"))).toEqual([["-p", "udp", "--orig-dst", "10.96.0.5"]]);
    expect(staleFlows(udp("10.244.0.3"), udp("10.244.0.3"))).toEqual([]);
  });
});
