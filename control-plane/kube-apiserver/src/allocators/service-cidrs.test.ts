import type { Draft } from "@coracle/apimachinery";
import { createFakeClock, createSeededRandom } from "@coracle/base";
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

const SMALL = { definitions: resourceDefinitions, serviceCidr: "10.96.0.0/29" };
let fixture: RegistryFixture;

beforeEach(async () => {
  fixture = await openRegistryFixture(SMALL);
});
afterEach(() => fixture[Symbol.asyncDispose]());

const create = async (name: string, spec: Draft = {}, of = fixture): Promise<Draft> => {
  const service = { metadata: { name }, spec: { ports: [{ port: 80, protocol: "TCP" }], ...spec } };
  return objectOf(await of.handler("services").create(admin, "default", service, strictWrite))["spec"] as Draft;
};
const remove = (name: string): Promise<unknown> =>
  fixture.handler("services").delete(admin, "default", name, { options: {} });
const cidrs = (): ReturnType<RegistryFixture["handler"]> => fixture.handler("networking.k8s.io/v1/servicecidrs");
const addresses = (of = fixture): ReturnType<RegistryFixture["handler"]> =>
  of.handler("networking.k8s.io/v1/ipaddresses");
const namesOf = async (of = fixture): Promise<string[]> =>
  (await addresses(of).list(admin, "", {})).items.map(({ name }) => name);
const addBlock = (name: string, ...blocks: string[]): Promise<unknown> =>
  cidrs().create(admin, "", { metadata: { name }, spec: { cidrs: blocks } }, strictWrite);
const setReady = (name: string, status: string): Promise<unknown> =>
  cidrs()
    .subresource("status")
    ?.update?.(
      admin,
      "",
      name,
      {
        metadata: { name },
        spec: {},
        status: {
          conditions: [
            { type: "Ready", status, reason: "Test", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" },
          ],
        },
      },
      strictWrite,
    ) ?? Promise.reject(new Error("no status"));
const eventsOf = async (): Promise<{ reason: string; message: string; by: string }[]> => {
  const { items } = await fixture.handler("events").list(admin, "default", {});
  return items.map(({ object }) => ({
    reason: object["reason"] as string,
    message: object["message"] as string,
    by: object["reportingComponent"] as string,
  }));
};

async function fill(): Promise<void> {
  for (let i = 0; i < 6; i++) await create(`s${i}`);
}

describe("the blocks of service addresses", () => {
  it("begin with the server's own, ready", async () => {
    expect(objectOf(await cidrs().get(admin, "", "kubernetes", {}))).toMatchObject({
      spec: { cidrs: ["10.96.0.0/29"] },
      status: {
        conditions: [{ type: "Ready", status: "True", message: "Kubernetes default Service CIDR is ready" }],
      },
    });
  });

  it("give their addresses until none is left", async () => {
    await fill();
    expect((await namesOf()).toSorted()).toEqual([1, 2, 3, 4, 5, 6].map((i) => `10.96.0.${i}`));
    expect(await failureOf(create("more"))).toMatchObject({
      code: 500,
      message: "Internal error occurred: failed to allocate a serviceIP: range is full",
    });
  });

  it("can be added while the server runs, and addresses come from all of them", async () => {
    await fill();
    await addBlock("more", "192.168.77.0/30");
    expect((await create("a"))["clusterIP"]).toMatch(/^192\.168\.77\.[12]$/);
    expect((await create("b"))["clusterIP"]).toMatch(/^192\.168\.77\.[12]$/);
    expect((await failureOf(create("c"))).code).toBe(500);
    await remove("s3");
    expect((await create("c"))["clusterIP"]).toMatch(/^10\.96\.0\./);
  });

  it("give nothing while they are not ready, or go", async () => {
    await fill();
    await addBlock("more", "192.168.77.0/24");
    await setReady("more", "False");
    expect((await failureOf(create("a"))).code).toBe(500);
    expect((await failureOf(create("a", { clusterIP: "192.168.77.9" }))).message).toContain(
      "failed to allocate IP 192.168.77.9: the provided network does not match the current range",
    );
    await setReady("more", "True");
    await create("a", { clusterIP: "192.168.77.9" });
    await cidrs().delete(admin, "", "more", { options: {} });
    expect((await failureOf(create("b"))).code).toBe(500);
  });

  it("may hold each other: an address is taken once", async () => {
    await addBlock("larger", "10.96.0.0/24");
    await create("a", { clusterIP: "10.96.0.2" });
    await create("b", { clusterIP: "10.96.0.200" });
    expect((await failureOf(create("c", { clusterIP: "10.96.0.2" }))).message).toContain("already allocated");
  });

  it("of the server come back when somebody deletes them", async () => {
    await cidrs().delete(admin, "", "kubernetes", { options: {} });
    await fixture.clock.advance(1000);
    expect(objectOf(await cidrs().get(admin, "", "kubernetes", {}))).toMatchObject({
      spec: { cidrs: ["10.96.0.0/29"] },
    });
  });

  it("of the server gain a second family, and may not be others", async () => {
    const both = { ...SMALL, serviceCidr: "10.96.0.0/29,fd00::/112", store: fixture.store };
    await using second = await openRegistryFixture(both);
    const block = second.handler("networking.k8s.io/v1/servicecidrs");
    expect(objectOf(await block.get(admin, "", "kubernetes", {}))).toMatchObject({
      spec: { cidrs: ["10.96.0.0/29", "fd00::/112"] },
    });
    await using other = await openRegistryFixture({
      ...SMALL,
      serviceCidr: "10.97.0.0/24",
      random: createSeededRandom(2),
      store: fixture.store,
    });
    await other.clock.advance(1000);
    expect(await eventsOf()).toContainEqual({
      reason: "KubernetesDefaultServiceCIDRInconsistent",
      message:
        "The default ServiceCIDR [10.96.0.0/29 fd00::/112] does not match the controller flag configurations [10.97.0.0/24]",
      by: "kubernetes-service-cidr-controller",
    });
  });
});

describe("two servers on one store", () => {
  it("never give the same address or port twice", async () => {
    const store = createMemoryStore({ clock: createFakeClock() });
    const options = {
      definitions: resourceDefinitions,
      serviceCidr: "10.96.0.0/26",
      nodePortRange: "30000-30059",
      store,
    };
    await using one = await openRegistryFixture(options);
    await using two = await openRegistryFixture({ ...options, store: sharedView(store) });
    const make = (of: RegistryFixture, i: number): Promise<Draft> => create(`s${i}`, { type: "NodePort" }, of);
    const made = await Promise.all(Array.from({ length: 60 }, (_, i) => make(i % 2 === 0 ? one : two, i)));
    expect(new Set(made.map((spec) => spec["clusterIP"])).size).toBe(60);
    expect(new Set(made.map((spec) => (spec["ports"] as { nodePort: number }[])[0]?.nodePort)).size).toBe(60);
    expect((await failureOf(make(two, 60))).message).toContain("failed to allocate a nodePort: range is full");
    await store[Symbol.asyncDispose]();
  });
});

/** The same store as another server sees it: others write to it, too. */
function sharedView(store: ReturnType<typeof createMemoryStore>): ReturnType<typeof createMemoryStore> {
  return new Proxy(store, {
    get(target, member) {
      if (member === "isShared") return true;
      const value: unknown = Reflect.get(target, member);
      return typeof value === "function" ? (value as () => unknown).bind(target) : value;
    },
  });
}

describe("repair", () => {
  const record = (name: string, service: string, labels: Draft = {}): Draft => ({
    metadata: {
      name,
      labels: {
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        ...labels,
      },
    },
    spec: { parentRef: { resource: "services", namespace: "default", name: service } },
  });
  const ip = "repairing";

  it("writes an address that was deleted anew", async () => {
    const { clusterIP } = await create("a", { clusterIP: "10.96.0.2" });
    await addresses().delete(admin, "", clusterIP as string, { options: {} });
    await fixture.clock.advance(1000);
    expect(await namesOf()).toEqual(["10.96.0.2"]);
    expect(await eventsOf()).toEqual([
      {
        reason: "ClusterIPNotAllocated",
        message: `Cluster IP [IPv4]: 10.96.0.2 is not allocated; ${ip}`,
        by: "ipallocator-repair-controller",
      },
    ]);
  });

  it("takes away what no Service has, once a request cannot last any more", async () => {
    await addresses().create(admin, "", record("10.96.0.3", "gone"), strictWrite);
    await fixture.clock.advance(59_000);
    expect(await namesOf()).toEqual(["10.96.0.3"]);
    await fixture.clock.advance(5_000);
    expect(await namesOf()).toEqual([]);
    expect((await eventsOf()).map(({ message }) => message)).toEqual([
      "IPAddress: 10.96.0.3 for Service default/gone appears to have leaked: cleaning up",
    ]);
  });

  it("leaves alone what others manage", async () => {
    const others = record("10.96.0.3", "gone", { "ipaddress.kubernetes.io/managed-by": "me" });
    await addresses().create(admin, "", others, strictWrite);
    await fixture.clock.advance(3_600_000);
    expect(await namesOf()).toEqual(["10.96.0.3"]);
  });

  it("mends references and labels at start", async () => {
    await create("a", { clusterIP: "10.96.0.2" });
    await create("b", { clusterIP: "10.96.0.3" });
    await fixture.clock.advance(10_000);
    for (const [name, service, labels] of [
      ["10.96.0.2", "gone", {}],
      ["10.96.0.3", "b", { "ipaddress.kubernetes.io/ip-family": "IPv6" }],
    ] as const) {
      await addresses().delete(admin, "", name, { options: {} });
      await addresses().create(admin, "", record(name, service, labels), strictWrite);
    }
    await using second = await openRegistryFixture({ ...SMALL, store: fixture.store, clock: fixture.clock });
    const { items } = await addresses(second).list(admin, "", {});
    expect(items.map(({ object }) => [object.metadata["name"], object["spec"]])).toEqual([
      ["10.96.0.2", { parentRef: { resource: "services", namespace: "default", name: "a" } }],
      ["10.96.0.3", { parentRef: { resource: "services", namespace: "default", name: "b" } }],
    ]);
    expect(items[1]?.object.metadata["labels"]).toMatchObject({ "ipaddress.kubernetes.io/ip-family": "IPv4" });
  });

  it("tells of addresses of two Services, and of no block", async () => {
    await create("a", { clusterIP: "10.96.0.2" });
    const key = "/registry/services/specs/default";
    const { kvs } = await fixture.store.range({ key: `${key}/a` });
    const copy = (name: string, change: (text: string) => string): Promise<unknown> =>
      fixture.store.txn({
        compare: [],
        success: [
          {
            type: "put",
            key: `${key}/${name}`,
            value: Buffer.from(change(String(kvs[0]?.value).replace('"name":"a"', `"name":"${name}"`))),
          },
        ],
      });
    await copy("b", (text) => text);
    await copy("c", (text) => text.replaceAll("10.96.0.2", "10.99.0.2"));
    await expect
      .poll(async () => {
        await fixture.clock.advance(1000);
        return (await eventsOf()).map(({ message }) => message).toSorted();
      })
      .toEqual([
        "Cluster IP [IPv4]: 10.99.0.2 is not within any configured Service CIDR; please recreate service",
        "Cluster IP [IPv4]:10.96.0.2 was assigned to multiple services; please recreate service",
      ]);
  });

  it("finds node ports that are lost, and gives back those that nobody has", async () => {
    const key = "/registry/ranges/servicenodeports";
    await create("a", { type: "NodePort" });
    // Port 30000 is the lowest bit.
    const record = { kind: "RangeAllocation", apiVersion: "v1", metadata: {}, range: "30000-32767", data: "AQ==" };
    await fixture.store.txn({
      compare: [],
      success: [{ type: "put", key, value: Buffer.from(JSON.stringify(record)) }],
    });
    await using second = await openRegistryFixture({ ...SMALL, store: fixture.store });
    await second.clock.advance(1000);
    expect((await eventsOf()).map(({ reason }) => reason)).toEqual(["PortNotAllocated"]);
    const wanted = { type: "NodePort", ports: [{ port: 80, protocol: "TCP", nodePort: 30_000 }] };
    expect((await failureOf(create("b", wanted, second))).code).toBe(422);
    await second.clock.advance(10 * 60_000);
    await create("b", wanted, second);
  });
});
