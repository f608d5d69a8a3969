import { describe, expect, it } from "vitest";
import type { ServicePort } from "../services/service-port.ts";
import { chainsOf, difference } from "./iptables-backend.ts";
import { buildRuleset, serviceChain } from "./ruleset.ts";

const options = { clusterCidr: "10.244.0.0/16", masqueradeAll: false, masqueradeBit: 14, localhostNodePorts: true };
const port = (part: Partial<ServicePort> = {}): ServicePort => {
  const endpoints = ["10.244.0.2", "10.244.0.3"].map((address) => ({ address, port: 8080, isLocal: true }));
  return {
    id: "shop/web:http",
    namespace: "shop",
    name: "web",
    protocol: "tcp",
    port: 80,
    clusterIp: "10.96.0.5",
    externalIps: [],
    nodePort: 0,
    affinitySeconds: undefined,
    internal: endpoints,
    external: endpoints,
    hasAnyEndpoint: true,
    keepsClientAddress: false,
    firewall: undefined,
    ...part,
  };
};
const natOf = (...ports: ServicePort[]) => buildRuleset(ports, options).nat;

describe("iptables rules", () => {
  it("spreads evenly: 1/n, 1/(n-1), …, the last takes the rest", () => {
    const rules = natOf(port())
      .get(serviceChain(port()))
      ?.filter((rule) => rule.includes("->"));
    expect(rules?.[0]).toContain("--probability 0.50000000000");
    expect(rules?.[1]).not.toContain("probability");
  });
  it("names chains as upstream does, so that its tools recognise them", () => {
    expect(serviceChain(port({ id: "default/kubernetes:https", protocol: "tcp" }))).toBe("KUBE-SVC-NPX46M4PTMTKRN6Y");
  });
  it("refuses where there is no endpoint, drops where there is one elsewhere", () => {
    const refused = (part: Partial<ServicePort>) =>
      buildRuleset([port({ internal: [], external: [], ...part })], options).filter.get("KUBE-SERVICES");
    expect(refused({ hasAnyEndpoint: false })?.[0]).toMatch(/-d 10\.96\.0\.5 .*-j REJECT/);
    expect(refused({ hasAnyEndpoint: true })?.[0]).toMatch(/-j DROP$/);
  });
  it("the node-port jump is the last rule", () => {
    expect(
      natOf(port(), port({ id: "b" }))
        .get("KUBE-SERVICES")
        ?.at(-1),
    ).toContain("-j KUBE-NODEPORTS");
  });
  it("affinity comes before chance", () => {
    const sticky = port({ affinitySeconds: 60 });
    const rules = natOf(sticky).get(serviceChain(sticky)) ?? [];
    const kinds = rules.map((rule) =>
      rule.includes("--rcheck --seconds 60 --reap") ? "recent" : rule.includes("->") ? "chance" : "masquerade",
    );
    expect(kinds).toEqual(["masquerade", "recent", "recent", "chance", "chance"]);
  });
  it("writes only what changed, and removes what is left over", () => {
    const before = natOf(port(), port({ id: "shop/old", clusterIp: "10.96.0.6" }));
    const after = natOf(port());
    const script = difference("nat", before, after, false);
    expect(script).toContain(`-X ${serviceChain(port({ id: "shop/old" }))}`);
    expect(script).toContain(":KUBE-SERVICES - [0:0]");
    expect(script).not.toContain(`-A ${serviceChain(port())}`);
    expect(difference("nat", after, after, false)).toBe("");
  });
  it("recognises its own chains in what the kernel shows", () => {
    expect([
      ...chainsOf("*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:CNI-1 - [0:0]\nCOMMIT\n").keys(),
    ]).toEqual(["KUBE-SERVICES"]);
  });
});
