import type { Node } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { initialized, isUninitialized, missingLabels, planAddresses } from "./plan.ts";

const TAINT = { key: "node.cloudprovider.kubernetes.io/uninitialized", value: "true", effect: "NoSchedule" };
const node = (part: Partial<Node["metadata"]> = {}, status: Node["status"] = {}): Node => ({
  metadata: { name: "n", ...part },
  spec: { taints: [{ key: "other", effect: "NoExecute" }, TAINT] },
  status,
});

describe("a node that its cloud makes known", () => {
  it("gets its provider id, type, zone and region, and loses the taint, and no other", () => {
    const known = initialized(
      node(),
      { providerId: "toy://n", instanceType: "m", zone: "z", region: "r" },
      () => undefined,
    );
    expect(known.spec).toEqual({ providerID: "toy://n", taints: [{ key: "other", effect: "NoExecute" }] });
    expect(known.metadata.labels).toEqual({
      "beta.kubernetes.io/instance-type": "m",
      "node.kubernetes.io/instance-type": "m",
      "failure-domain.beta.kubernetes.io/zone": "z",
      "topology.kubernetes.io/zone": "z",
      "failure-domain.beta.kubernetes.io/region": "r",
      "topology.kubernetes.io/region": "r",
    });
    expect(isUninitialized(node())).toBe(true);
    expect(isUninitialized(known)).toBe(false);
  });

  it("keeps the provider id it has, and must have one", () => {
    const named: Node = { ...node(), spec: { providerID: "toy://old" } };
    expect(initialized(named, { providerId: "toy://new" }, () => undefined).spec?.providerID).toBe("toy://old");
    expect(() => initialized(node(), {}, () => undefined)).toThrow(
      "cloud provider does not set node provider ID for node n",
    );
  });

  it("gets additional labels, but none of Kubernetes' own domains and none that it has", () => {
    const discarded: string[] = [];
    const additionalLabels = { "cloud/rack": "7", "node.kubernetes.io/x": "1", "a.k8s.io/y": "2", mine: "theirs" };
    const known = initialized(
      node({ labels: { mine: "mine" } }),
      { providerId: "toy://n", additionalLabels },
      (label) => void discarded.push(label),
    );
    expect(known.metadata.labels).toEqual({ mine: "mine", "cloud/rack": "7" });
    expect(discarded).toEqual(["node.kubernetes.io/x", "a.k8s.io/y", "mine"]);
  });

  it("keeps the taint while the cloud does not know the address that its kubelet insists on", () => {
    const insisting = node({ annotations: { "alpha.kubernetes.io/provided-node-ip": "10.0.0.9" } });
    const metadata = { providerId: "toy://n", addresses: [{ type: "InternalIP", address: "10.0.0.1" }] };
    expect(() => initialized(insisting, metadata, () => undefined)).toThrow(
      'provided node ip for node "n" is not valid: failed to get node address from cloud provider that matches ip: 10.0.0.9',
    );
  });
});

describe("a node's addresses", () => {
  const HOST = { type: "Hostname", address: "n" };
  const inside = (address: string) => ({ type: "InternalIP", address });
  it.each([
    [
      "are the cloud's, with the host name that the kubelet knows",
      {},
      [inside("10.0.0.1")],
      [inside("10.0.0.1"), HOST],
    ],
    ["stay when the cloud says none", {}, [], undefined],
    [
      "are of each type those that the kubelet insists on",
      { "alpha.kubernetes.io/provided-node-ip": "10.0.0.2" },
      [inside("10.0.0.1"), inside("10.0.0.2"), { type: "ExternalIP", address: "192.0.2.1" }],
      [inside("10.0.0.2"), { type: "ExternalIP", address: "192.0.2.1" }, HOST],
    ],
  ])("%s", (_rule, annotations, addresses, expected) => {
    expect(planAddresses(node({ annotations }, { addresses: [HOST] }), addresses)).toEqual(expected);
  });
  it("that are right are not written again", () => {
    expect(planAddresses(node({}, { addresses: [inside("10.0.0.1"), HOST] }), [inside("10.0.0.1")])).toBeUndefined();
  });
});

describe("labels of former names", () => {
  it("count for the present ones", () => {
    const labels = { "failure-domain.beta.kubernetes.io/zone": "a", "topology.kubernetes.io/zone": "b" };
    expect(missingLabels(node({ labels }))).toEqual({ "topology.kubernetes.io/zone": "a" });
    expect(missingLabels(node({ labels: { "topology.kubernetes.io/zone": "b" } }))).toEqual({});
  });
});
