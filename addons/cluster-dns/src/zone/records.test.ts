import { describe, expect, it } from "vitest";
import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { addressOfReverseName, answerForAddress, answerInZone, type ZoneView } from "./records.ts";

const web: Service = {
  metadata: { name: "web", namespace: "shop" },
  spec: { clusterIP: "10.96.0.20", clusterIPs: ["10.96.0.20"], ports: [{ name: "http", port: 80, protocol: "TCP" }] },
};
const db: Service = { metadata: { name: "db", namespace: "shop" }, spec: { clusterIP: "None", clusterIPs: ["None"] } };
const empty: Service = {
  metadata: { name: "empty", namespace: "shop" },
  spec: { clusterIP: "None", clusterIPs: ["None"] },
};
const outside: Service = {
  metadata: { name: "outside", namespace: "shop" },
  spec: { type: "ExternalName", externalName: "example.com" },
};
const dbSlice: EndpointSlice = {
  metadata: { name: "db-1", namespace: "shop", labels: { "kubernetes.io/service-name": "db" } },
  addressType: "IPv4",
  ports: [{ name: "sql", port: 5432, protocol: "TCP" }],
  endpoints: [
    { addresses: ["10.244.0.5"], hostname: "db-0", conditions: { ready: true } },
    { addresses: ["10.244.0.6"], conditions: {} },
    { addresses: ["10.244.0.7"], conditions: { ready: false } },
  ],
};
const all = [web, db, empty, outside];
const view: ZoneView = {
  service: (namespace, name) => all.find((s) => s.metadata.namespace === namespace && s.metadata.name === name),
  servicesByIp: (ip) => all.filter((s) => s.spec.clusterIPs?.includes(ip)),
  endpointSlices: (namespace, service) => (namespace === "shop" && service === "db" ? [dbSlice] : []),
  slicesByAddress: (ip) => (dbSlice.endpoints.some((e) => e.addresses.includes(ip)) ? [dbSlice] : []),
  hasNamespace: (name) => name === "shop",
};
const ask = (name: string, type = "A") => answerInZone(view, "cluster.local", name, type);
const data = (name: string, type = "A") =>
  ask(name, type).records.map((r) => ("address" in r ? r.address : "target" in r ? r.target : r.text));

describe("names in the cluster's zone (Kubernetes DNS specification 1.1.0)", () => {
  it("2.3.1: a service with a cluster IP has that address", () => {
    expect(data("web.shop.svc.cluster.local")).toEqual(["10.96.0.20"]);
    expect(ask("web.shop.svc.cluster.local", "AAAA")).toEqual({ exists: true, records: [], additional: [] });
  });
  it("2.3.2: a named port has an SRV record that points at the service", () => {
    expect(ask("_http._tcp.web.shop.svc.cluster.local", "SRV")).toMatchObject({
      records: [{ type: "SRV", port: 80, target: "web.shop.svc.cluster.local" }],
      additional: [{ type: "A", address: "10.96.0.20" }],
    });
    expect(ask("_https._tcp.web.shop.svc.cluster.local", "SRV").exists).toBe(false);
  });
  it("2.4.1: a headless service has the addresses of its ready endpoints, and each endpoint its own name", () => {
    expect(data("db.shop.svc.cluster.local")).toEqual(["10.244.0.5", "10.244.0.6"]);
    expect(data("db-0.db.shop.svc.cluster.local")).toEqual(["10.244.0.5"]);
    expect(data("10-244-0-6.db.shop.svc.cluster.local")).toEqual(["10.244.0.6"]);
    expect(ask("10-244-0-7.db.shop.svc.cluster.local").exists).toBe(false);
    expect(ask("empty.shop.svc.cluster.local").exists).toBe(false);
  });
  it("2.4.2: a headless service's named port has one SRV record an endpoint", () => {
    expect(data("_sql._tcp.db.shop.svc.cluster.local", "SRV")).toEqual([
      "db-0.db.shop.svc.cluster.local",
      "10-244-0-6.db.shop.svc.cluster.local",
    ]);
  });
  it("2.5: an external name is a CNAME, whatever type is asked for", () => {
    expect(data("outside.shop.svc.cluster.local", "AAAA")).toEqual(["example.com"]);
  });
  it("a pod's address is a name in its namespace", () => {
    expect(data("10-244-0-9.shop.pod.cluster.local")).toEqual(["10.244.0.9"]);
    expect(ask("10-244-0-9.nowhere.pod.cluster.local").exists).toBe(false);
    expect(ask("words.shop.pod.cluster.local").exists).toBe(false);
  });
  it("names between zone and service exist, empty; others do not", () => {
    for (const name of ["svc.cluster.local", "shop.svc.cluster.local"])
      expect(ask(name)).toMatchObject({ exists: true, records: [] });
    for (const name of ["web.nowhere.svc.cluster.local", "nothing.cluster.local", "a.web.shop.svc.cluster.local"]) {
      expect(ask(name).exists, name).toBe(false);
    }
    expect(data("dns-version.cluster.local", "TXT")).toEqual(["1.1.0"]);
  });
  it("2.3.3, 2.4.3: addresses have names", () => {
    const names = (address: string) =>
      answerForAddress(view, "cluster.local", "q", address).map((r) => ("target" in r ? r.target : ""));
    expect(names("10.96.0.20")).toEqual(["web.shop.svc.cluster.local"]);
    expect(names("10.244.0.5")).toEqual(["db-0.db.shop.svc.cluster.local"]);
    expect(names("192.0.2.1")).toEqual([]);
    expect(addressOfReverseName("5.0.244.10.in-addr.arpa")).toBe("10.244.0.5");
    expect(addressOfReverseName("0.244.10.in-addr.arpa")).toBeUndefined();
  });
});
