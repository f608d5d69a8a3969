import { describe, expect, it } from "vitest";
import { cloudRegistration, nodeAddresses } from "./cloud.ts";

const external = { cloudProvider: "external", providerID: "", providedNodeIPs: [] } as const;
const none = { ...external, cloudProvider: "" } as const;
const KEY = "alpha.kubernetes.io/provided-node-ip";

describe("a node of a cloud", () => {
  it("is registered with the taint that keeps pods off until the cloud knows it", () => {
    expect(cloudRegistration(external).taints).toEqual([
      { key: "node.cloudprovider.kubernetes.io/uninitialized", value: "true", effect: "NoSchedule" },
    ]);
    expect(cloudRegistration(none).taints).toEqual([]);
  });

  it("tells the cloud the addresses that it was given, and no others", () => {
    expect(cloudRegistration({ ...external, providedNodeIPs: ["10.0.0.1", "fd00::1"] }).annotations[KEY]).toBe(
      "10.0.0.1,fd00::1",
    );
    expect(cloudRegistration(external).annotations[KEY]).toBeUndefined();
    expect(cloudRegistration({ ...none, providedNodeIPs: ["10.0.0.1"] }).annotations[KEY]).toBeUndefined();
  });

  it("has the provider id that it was given, with or without a cloud", () => {
    expect(cloudRegistration({ ...none, providerID: "toy://a" }).providerID).toBe("toy://a");
    expect(cloudRegistration(external).providerID).toBeUndefined();
  });

  it("leaves its addresses to the cloud, once there are some", () => {
    const own = [
      { type: "InternalIP", address: "10.0.0.1" },
      { type: "Hostname", address: "n" },
    ];
    const clouds = [{ type: "ExternalIP", address: "192.0.2.1" }];
    expect(nodeAddresses(none, clouds, ["10.0.0.1"], "n")).toEqual(own);
    expect(nodeAddresses(external, clouds, ["10.0.0.1"], "n")).toEqual(clouds);
    expect(nodeAddresses(external, [], ["10.0.0.1"], "n")).toEqual([{ type: "Hostname", address: "n" }]);
    expect(nodeAddresses({ ...external, providedNodeIPs: ["10.0.0.1"] }, [], [], "n")).toEqual(own);
  });
});
