import type { Draft } from "@coracle/apimachinery";
import { createFakeClock } from "@coracle/base";
import { createMemoryStore } from "@coracle/etcd";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  admin,
  failureOf,
  objectOf,
  openRegistryFixture,
  strictWrite,
  type RegistryFixture,
} from "../registry/registry-fixture.ts";
import { resourceDefinitions } from "../resources/index.ts";

let fixture: RegistryFixture;
beforeEach(async () => {
  fixture = await openRegistryFixture({ definitions: resourceDefinitions });
});
afterEach(() => fixture[Symbol.asyncDispose]());

type Spec = { clusterIP?: string; clusterIPs?: string[]; ports?: { nodePort?: number }[]; ipFamilies?: string[] };
const service = (name: string, spec: Draft = {}): Draft => ({
  metadata: { name },
  spec: { selector: { app: "x" }, ports: [{ port: 80, protocol: "TCP" }], ...spec },
});
const create = async (name: string, spec: Draft = {}, query = strictWrite): Promise<Spec> =>
  objectOf(await fixture.handler("services").create(admin, "default", service(name, spec), query)).spec as Spec;
const update = async (name: string, spec: Draft): Promise<Spec> =>
  objectOf(await fixture.handler("services").update(admin, "default", name, service(name, spec), strictWrite))
    .spec as Spec;
const remove = (name: string): Promise<unknown> =>
  fixture.handler("services").delete(admin, "default", name, { options: {} });

describe("cluster IPs", () => {
  it("are unique and come from above the band that is kept for choice", async () => {
    const ips = new Set<string>();
    for (let i = 0; i < 50; i++) ips.add((await create(`s${i}`)).clusterIP ?? "");
    expect(ips.size).toBe(50);
    for (const ip of ips) {
      const [a, b, c = 0, d = 0] = ip.split(".").map(Number);
      expect([a, b]).toEqual([10, 96]);
      expect(c * 256 + d).toBeGreaterThan(256);
    }
  });

  it("can be chosen once, and again after the Service is gone", async () => {
    expect(await create("a", { clusterIP: "10.96.0.10" })).toMatchObject({
      clusterIPs: ["10.96.0.10"],
      ipFamilies: ["IPv4"],
      ipFamilyPolicy: "SingleStack",
    });
    expect(await failureOf(create("b", { clusterIP: "10.96.0.10" }))).toMatchObject({
      code: 422,
      message:
        'Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated',
    });
    await remove("a");
    await create("b", { clusterIP: "10.96.0.10" });
    expect((await failureOf(create("c", { clusterIP: "10.1.0.10" }))).code).toBe(422);
  });

  it("are the first of the range for the kubernetes Service", async () => {
    expect(await create("kubernetes", { clusterIP: "10.96.0.1" })).toMatchObject({ clusterIP: "10.96.0.1" });
    expect(fixture.registry.kubernetesServiceIp).toBe("10.96.0.1");
  });

  it("stay over updates that do not name them", async () => {
    const { clusterIP } = await create("a");
    expect((await update("a", { sessionAffinity: "ClientIP" })).clusterIP).toBe(clusterIP);
  });

  it("are not taken by a dry run", async () => {
    await create("a", { clusterIP: "10.96.0.10" }, { ...strictWrite, dryRun: true });
    await create("b", { clusterIP: "10.96.0.10" });
    const dryRun = { ...strictWrite, dryRun: true };
    expect(await create("c", { type: "NodePort" }, dryRun)).toMatchObject({
      clusterIP: "10.96.0.0",
      ports: [{ nodePort: 32_769 }],
    });
    const addresses = await fixture.handler("networking.k8s.io/v1/ipaddresses").list(admin, "", {});
    expect(addresses.items.map(({ name }) => name)).toEqual(["10.96.0.10"]);
  });

  it("are none for headless Services and external names", async () => {
    expect(await create("a", { clusterIP: "None" })).toMatchObject({ clusterIP: "None", clusterIPs: ["None"] });
    const spec = { type: "ExternalName", externalName: "example.com", ports: undefined, selector: undefined };
    expect(await create("b", spec)).not.toHaveProperty("clusterIP");
  });

  it("have an IPAddress each", async () => {
    const { clusterIP = "" } = await create("a");
    const addresses = fixture.handler("networking.k8s.io/v1/ipaddresses");
    expect(objectOf(await addresses.get(admin, "", clusterIP, {}))).toMatchObject({
      spec: { parentRef: { resource: "services", namespace: "default", name: "a" } },
    });
    await remove("a");
    expect((await failureOf(addresses.get(admin, "", clusterIP, {}))).code).toBe(404);
  });

  it("are known again after a restart", async () => {
    const store = createMemoryStore({ clock: createFakeClock() });
    const first = await openRegistryFixture({ definitions: resourceDefinitions, store });
    await first.handler("services").create(admin, "default", service("a", { clusterIP: "10.96.0.10" }), strictWrite);
    await first[Symbol.asyncDispose]();
    await using second = await openRegistryFixture({ definitions: resourceDefinitions, store });
    const again = second
      .handler("services")
      .create(admin, "default", service("b", { clusterIP: "10.96.0.10" }), strictWrite);
    expect((await failureOf(again)).code).toBe(422);
    await store[Symbol.asyncDispose]();
  });
});

describe("node ports", () => {
  it("are given, kept, and released with the type", async () => {
    const [port] = (await create("a", { type: "NodePort" })).ports ?? [];
    expect(port?.nodePort).toBeGreaterThanOrEqual(30_086);
    expect((await update("a", { type: "NodePort" })).ports?.[0]?.nodePort).toBe(port?.nodePort);
    expect((await update("a", { type: "ClusterIP" })).ports?.[0]?.nodePort).toBeUndefined();
    const wanted = { type: "NodePort", ports: [{ port: 80, protocol: "TCP", nodePort: port?.nodePort }] };
    await create("b", wanted);
    const { message } = await failureOf(create("c", wanted));
    expect(message).toContain(
      `spec.ports[0].nodePort: Invalid value: ${port?.nodePort}: provided port is already allocated`,
    );
  });

  it("must lie in the range", async () => {
    const { message } = await failureOf(
      create("a", { type: "NodePort", ports: [{ port: 80, protocol: "TCP", nodePort: 80 }] }),
    );
    expect(message).toContain(
      "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767",
    );
  });

  it("are shared by the protocols of one port", async () => {
    const ports = [
      { name: "a", port: 53, protocol: "TCP" },
      { name: "b", port: 53, protocol: "UDP" },
    ];
    const spec = await create("dns", { type: "NodePort", ports });
    expect(spec.ports?.[0]?.nodePort).toBe(spec.ports?.[1]?.nodePort);
  });
});
