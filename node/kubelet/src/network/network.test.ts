import { describe, expect, it } from "vitest";
import { podOf } from "../pod/pod-fixture.ts";
import { parseResolvConf, podDns, type DnsSettings } from "./dns.ts";
import { hostsFile, podHostname } from "./hosts-file.ts";

const settings: DnsSettings = {
  clusterDns: ["10.96.0.10"],
  clusterDomain: "cluster.local",
  host: parseResolvConf("# a comment\nnameserver 192.0.2.53\nsearch example.com\noptions ndots:1 rotate\n"),
};
const cluster = {
  servers: ["10.96.0.10"],
  searches: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.com"],
  options: ["ndots:5", "rotate"],
};
const host = { servers: ["192.0.2.53"], searches: ["example.com"], options: ["ndots:1", "rotate"] };

describe("a pod's name resolution", () => {
  it.each([
    ["ClusterFirst", {}, cluster],
    ["ClusterFirst on the node's network", { hostNetwork: true }, host],
    ["ClusterFirstWithHostNet", { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" }, cluster],
    ["Default", { dnsPolicy: "Default" }, host],
    [
      "None with its own",
      {
        dnsPolicy: "None",
        dnsConfig: { nameservers: ["192.0.2.1"], options: [{ name: "ndots", value: "2" }, { name: "debug" }] },
      },
      { servers: ["192.0.2.1"], searches: [], options: ["ndots:2", "debug"] },
    ],
  ])("%s", (_name, spec, expected) => expect(podDns(podOf(spec), settings)).toEqual(expected));
});

describe("a pod's hosts file", () => {
  it("has its name, its domain and its aliases", () => {
    const pod = podOf({
      hostname: "web-0",
      subdomain: "web",
      hostAliases: [{ ip: "192.0.2.7", hostnames: ["a", "b"] }],
    });
    const text = hostsFile(pod, ["10.0.0.2"], "cluster.local", undefined);
    expect(text).toContain("10.0.0.2\tweb-0.web.default.svc.cluster.local\tweb-0\n");
    expect(text).toContain("# Entries added by HostAliases.\n192.0.2.7\ta\tb\n");
  });

  it("cuts long names to 63 characters without a dash at the end", () => {
    const name = `${"a".repeat(62)}-b`;
    expect(podHostname(podOf({}, { metadata: { name } }), "x").hostname).toBe("a".repeat(62));
  });
});
