import type { Node, Service } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { balancedNodes, FINALIZER, needsUpdate, nodeNames, nodesText, planService, sameIngress } from "./plan.ts";

const service = (spec: Partial<Service["spec"]> = {}, metadata: Partial<Service["metadata"]> = {}): Service => ({
  metadata: { namespace: "d", name: "s", uid: "1", ...metadata },
  spec: { type: "LoadBalancer", ports: [{ port: 80, nodePort: 30_080, targetPort: 8080, protocol: "TCP" }], ...spec },
});
const node = (name: string, part: Partial<Node> = {}): Node => ({ metadata: { name }, ...part }) as Node;
const held = { finalizers: [FINALIZER] };

describe("what is done about a Service", () => {
  const nodes = [node("a")];
  const last = { service: service(), nodes: nodesText(nodes) };
  it.each([
    ["one that asks for a balancer gets it", service(), undefined, "ensure"],
    ["one whose balancer is as it should be is left", service(), last, "nothing"],
    ["one of another class is somebody else's", service({ loadBalancerClass: "x/y" }), undefined, "nothing"],
    ["one of another type has none", service({ type: "ClusterIP" }), undefined, "nothing"],
    ["one that is deleted loses its balancer first", service({}, { ...held, deletionTimestamp: "t" }), last, "delete"],
    ["one that changed its type loses its balancer", service({ type: "NodePort" }, held), last, "delete"],
    ["the same after a restart, by the finalizer", service({ type: "NodePort" }, held), undefined, "delete"],
    ["other ports", service({ ports: [{ port: 81 }] }), last, "ensure"],
    ["other source ranges", service({ loadBalancerSourceRanges: ["10.0.0.0/8"] }), last, "ensure"],
    ["another traffic policy", service({ externalTrafficPolicy: "Local" }), last, "ensure"],
    ["another annotation", service({}, { annotations: { a: "b" } }), last, "ensure"],
    ["another selector is not the balancer's business", service({ selector: { a: "b" } }), last, "nothing"],
  ] as const)("%s", (_rule, of, before, plan) => {
    expect(planService(of, before, nodes)).toBe(plan);
  });
  it("other nodes are told to the balancer, and nothing else", () => {
    expect(planService(service(), last, [node("a"), node("b")])).toBe("update-nodes");
    expect(planService(service(), last, [node("a", { spec: { providerID: "toy://a" } })])).toBe("update-nodes");
  });
  it("a change of the address that it asks for matters", () => {
    expect(needsUpdate(service(), service({ loadBalancerIP: "192.0.2.1" }))).toBe(true);
  });
});

describe("nodes that balancers lead to", () => {
  const EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers";
  it.each([
    ["all", node("a"), true],
    ["also those that are not ready: health checks tell", node("a", { status: { conditions: [] } }), true],
    ["not those that are excluded", node("a", { metadata: { name: "a", labels: { [EXCLUDE]: "" } } }), false],
    ["but those whose label says false", node("a", { metadata: { name: "a", labels: { [EXCLUDE]: "false" } } }), true],
    ["not those that are deleted", node("a", { metadata: { name: "a", deletionTimestamp: "t" } }), false],
    [
      "not those that the autoscaler removes",
      node("a", { spec: { taints: [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }] } }),
      false,
    ],
  ])("%s", (_rule, of, isThere) => {
    expect(balancedNodes([of])).toEqual(isThere ? [of] : []);
  });
  it("are named to people, twenty of them at most", () => {
    const many = Array.from({ length: 22 }, (_, i) => node(`n${String(i).padStart(2, "0")}`));
    expect(nodeNames(many)).toMatch(/^\[n00 n01 .* n19 <2 more>\]$/);
    expect(nodeNames([node("a")])).toBe("[a]");
  });
});

describe("a status", () => {
  it("is the same when only a default was filled in", () => {
    expect(sameIngress([{ ip: "192.0.2.1", ipMode: "VIP" }], [{ ip: "192.0.2.1" }])).toBe(true);
    expect(sameIngress([{ ip: "192.0.2.1", ipMode: "VIP" }], [{ ip: "192.0.2.1", ipMode: "Proxy" }])).toBe(false);
    expect(sameIngress([{ hostname: "a" }], [{ hostname: "b" }])).toBe(false);
  });
});
