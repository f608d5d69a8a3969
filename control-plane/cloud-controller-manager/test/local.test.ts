import { Node, Service } from "@coracle/api/core/v1";
import { EndpointSlice } from "@coracle/api/discovery/v1";
import { Cleanup, silentLogger } from "@coracle/base";
import { createInformerFactory } from "@coracle/client";
import { ipBatch, ipJson, run } from "@coracle/linux";
import { createTestControlPlane, type TestControlPlane } from "@coracle/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLocalProvider } from "../src/local/local-provider.ts";
import type { CloudProvider } from "../src/provider/cloud-provider.ts";
import { providerContract } from "../src/provider/provider-contract.ts";

// Runs in a network namespace of its own (scripts/test.mjs): this is the machine, two more namespaces on a bridge are nodes.
const BRIDGE = "corccm";
const SUBNET = "172.30.8";
const NODES = ["cor-ccm-1", "cor-ccm-2"];
const pathOf = (name: string): string => `/run/netns/${name}`;
const SUBNET6 = "fd00:8:";
const POOL6 = [`${SUBNET6}:c8`, `${SUBNET6}:c9`];
const POOL = [`${SUBNET}.200`, `${SUBNET}.201`, `${SUBNET}.202`];
const CONFIG = JSON.stringify({
  addressPool: [`${POOL[0]}-${POOL[2]}`, `${POOL6[0]}-${POOL6[1]}`],
  machines: [...NODES, "cor-ccm-gone"].map((name) => ({ name, networkNamespace: pathOf(name) })),
});

async function makeNetwork(): Promise<void> {
  await ipBatch([
    "link set lo up",
    `link add ${BRIDGE} type bridge`,
    `addr add ${SUBNET}.1/24 dev ${BRIDGE}`,
    `addr add ${SUBNET6}:1/64 dev ${BRIDGE} nodad`,
    `link set ${BRIDGE} up`,
  ]);
  for (const [i, name] of NODES.entries()) {
    await run("ip", ["netns", "add", name]);
    await ipBatch([
      `link add ${BRIDGE}${i} type veth peer name eth0 netns ${name}`,
      `link set ${BRIDGE}${i} master ${BRIDGE}`,
      `link set ${BRIDGE}${i} up`,
    ]);
    const addresses = [`addr add ${SUBNET}.1${i + 1}/24 dev eth0`, `addr add ${SUBNET6}:1${i + 1}/64 dev eth0 nodad`];
    await ipBatch(["link set lo up", ...addresses, "link set eth0 up"], { netns: pathOf(name) });
  }
}

async function removeNetwork(): Promise<void> {
  for (const name of NODES) await run("ip", ["netns", "del", name], { allowFailure: true });
  await run("ip", ["link", "del", BRIDGE], { allowFailure: true });
}

/** The balancers' addresses that a node has. */
async function held(name: string): Promise<string[]> {
  const links = (await ipJson(["addr", "show", "dev", "eth0"], { netns: pathOf(name) })) as {
    addr_info: { local: string; label?: string }[];
  }[];
  return (links[0]?.addr_info ?? []).flatMap(({ local, label }) => (label === "eth0:lb" ? [local] : []));
}
const places = async (): Promise<Record<string, string[]>> =>
  Object.fromEntries(await Promise.all(NODES.map(async (name) => [name, await held(name)] as const)));

interface Cloud extends AsyncDisposable {
  readonly plane: TestControlPlane;
  readonly nodes: readonly Node[];
  readonly provider: CloudProvider;
}

/** An API server with three nodes, of which two are there, and the provider. */
async function makeCloud(config = CONFIG): Promise<Cloud> {
  const cleanup = new Cleanup();
  await makeNetwork();
  cleanup.add(removeNetwork);
  const plane = cleanup.use(await createTestControlPlane({ components: [] }));
  const nodes: Node[] = [];
  for (const [i, name] of [...NODES, "cor-ccm-gone"].entries()) {
    const podCIDR = `10.244.${i + 1}.0/24`;
    await plane.admin.create(Node, { metadata: { name }, spec: { podCIDR, podCIDRs: [podCIDR] } });
    const status = {
      addresses: [{ type: "InternalIP", address: `${SUBNET}.1${i + 1}` }],
      conditions: [{ type: "Ready", status: "True" }],
    };
    nodes.push(await plane.admin.patch(Node, { name }, "strategic", { status }, { subresource: "status" }));
  }
  const stop = new AbortController();
  cleanup.add(() => stop.abort());
  const informers = cleanup.use(createInformerFactory({ client: plane.admin, clock: plane.clock, freeze: true }));
  const provider = await createLocalProvider({
    config,
    client: plane.admin,
    informers,
    clock: plane.clock,
    logger: silentLogger,
    signal: stop.signal,
  });
  cleanup.add(async () => provider[Symbol.asyncDispose]?.());
  await informers.waitForSync();
  return { plane, nodes, provider, [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose]() };
}

const makeService = (plane: TestControlPlane, name: string, spec: Partial<Service["spec"]> = {}): Promise<Service> =>
  plane.admin.create(Service, {
    metadata: { namespace: "default", name },
    spec: { type: "LoadBalancer", ports: [{ port: 80 }], ...spec },
  });

providerContract("local", async () => {
  const cloud = await makeCloud();
  // What was removed while nobody looked is no route of a node that is there: only the two nodes have one.
  await cloud.plane.admin.delete(Node, { name: "cor-ccm-gone" });
  const [one, two, gone] = cloud.nodes as [Node, Node, Node];
  return {
    provider: cloud.provider,
    nodes: [one, two],
    goneNode: gone,
    service: (name) => makeService(cloud.plane, name),
    [Symbol.asyncDispose]: () => cloud[Symbol.asyncDispose](),
  };
});

describe("local", () => {
  const { signal } = new AbortController();
  let cloud: Cloud;
  let two: Node[];
  beforeAll(async () => {
    cloud = await makeCloud();
    two = cloud.nodes.slice(0, 2);
  });
  afterAll(async () => cloud?.[Symbol.asyncDispose]());

  const ensure = async (service: Service, nodes: readonly Node[] = two): Promise<Service> => {
    const loadBalancer = await cloud.provider.loadBalancers?.ensure("kubernetes", service, nodes, signal);
    const { name = "" } = service.metadata;
    return await cloud.plane.admin.patch(
      Service,
      { namespace: "default", name },
      "strategic",
      { status: { loadBalancer } },
      { subresource: "status" },
    );
  };
  const remove = async (service: Service): Promise<void> => {
    await cloud.provider.loadBalancers?.delete("kubernetes", service, signal);
    await cloud.plane.admin.delete(Service, { namespace: "default", name: service.metadata.name ?? "" });
  };
  const setReady = (name: string, status: string): Promise<Node> =>
    cloud.plane.admin.patch(
      Node,
      { name },
      "strategic",
      { status: { conditions: [{ type: "Ready", status }] } },
      { subresource: "status" },
    );
  const until = (what: string, wanted: Record<string, string[]>): Promise<unknown> =>
    cloud.plane.until(what, async () => JSON.stringify(await places()) === JSON.stringify(wanted));

  it("an address lies on one node's link, spread over the nodes, and moves when its node fails", async () => {
    const a = await ensure(await makeService(cloud.plane, "a"));
    const b = await ensure(await makeService(cloud.plane, "b"));
    expect(a.status?.loadBalancer?.ingress).toEqual([{ ip: POOL[0], ipMode: "VIP" }]);
    expect(await places()).toEqual({ "cor-ccm-1": [POOL[0]], "cor-ccm-2": [POOL[1]] });
    // Whoever is on the link finds it there.
    await expect(
      run("busybox", ["arping", "-c", "1", "-w", "20", "-I", BRIDGE, POOL[0] as string]),
    ).resolves.toBeDefined();
    await setReady("cor-ccm-1", "False");
    await until("both on the other node", { "cor-ccm-1": [], "cor-ccm-2": [POOL[1] as string, POOL[0] as string] });
    await setReady("cor-ccm-1", "True");
    await remove(a);
    await remove(b);
    expect(await places()).toEqual({ "cor-ccm-1": [], "cor-ccm-2": [] });
  });

  it("externalTrafficPolicy Local: the address follows the endpoints", async () => {
    const service = await ensure(await makeService(cloud.plane, "follow", { externalTrafficPolicy: "Local" }));
    expect(await places()).toEqual({ "cor-ccm-1": [POOL[0]], "cor-ccm-2": [] });
    const slice = (nodeName: string): EndpointSlice => ({
      metadata: { namespace: "default", name: "follow-1", labels: { "kubernetes.io/service-name": "follow" } },
      addressType: "IPv4",
      endpoints: [{ addresses: ["10.244.1.2"], nodeName, conditions: { ready: true } }],
    });
    await cloud.plane.admin.create(EndpointSlice, slice("cor-ccm-2"));
    await until("at the endpoint", { "cor-ccm-1": [], "cor-ccm-2": [POOL[0] as string] });
    await cloud.plane.admin.delete(EndpointSlice, { namespace: "default", name: "follow-1" });
    await cloud.plane.admin.create(EndpointSlice, slice("cor-ccm-1"));
    await until("at the other endpoint", { "cor-ccm-1": [POOL[0] as string], "cor-ccm-2": [] });
    await remove(service);
  });

  it("a Service may ask for an address; one that is not in the pool, or another's, is refused in words", async () => {
    const asking = (name: string, loadBalancerIP: string) => makeService(cloud.plane, name, { loadBalancerIP });
    const service = await ensure(await asking("wants", POOL[2] as string));
    expect(service.status?.loadBalancer?.ingress?.[0]?.ip).toBe(POOL[2]);
    await expect(ensure(await asking("wants-too", POOL[2] as string))).rejects.toThrow(
      `the address ${POOL[2]} belongs to service default/wants`,
    );
    await expect(ensure(await asking("wants-more", "192.0.2.1"))).rejects.toThrow(
      "the address 192.0.2.1 is not in the pool",
    );
    await remove(service);
  });

  it("a pool that is used up says so", async () => {
    const made = [];
    for (const name of ["p", "q", "r"]) made.push(await ensure(await makeService(cloud.plane, name)));
    await expect(ensure(await makeService(cloud.plane, "s"))).rejects.toThrow("no address of the pool is free");
    for (const service of made) await remove(service);
  });

  it("after a restart addresses stay where they are, and those of Services that went are taken away", async () => {
    const service = await ensure(await makeService(cloud.plane, "stays"), [two[1] as Node]);
    await ipBatch([`addr add ${POOL[1]}/32 dev eth0 label eth0:lb`], { netns: pathOf("cor-ccm-1") });
    await using informers = createInformerFactory({ client: cloud.plane.admin, clock: cloud.plane.clock });
    const stop = new AbortController();
    const next = await createLocalProvider({
      config: CONFIG,
      client: cloud.plane.admin,
      informers,
      clock: cloud.plane.clock,
      logger: silentLogger,
      signal: stop.signal,
    });
    await until("without the stray address", { "cor-ccm-1": [], "cor-ccm-2": [POOL[0] as string] });
    expect(await next.loadBalancers?.get("kubernetes", service, signal)).toEqual(service.status?.loadBalancer);
    await next.loadBalancers?.ensure("kubernetes", service, two, signal);
    expect(await places()).toEqual({ "cor-ccm-1": [], "cor-ccm-2": [POOL[0]] });
    await next[Symbol.asyncDispose]?.();
    stop.abort();
    await remove(service);
  });

  describe("IPv6", () => {
    // The API server of this test allocates IPv4 alone.
    const dual = (name: string, spec: Partial<Service["spec"]> = {}): Service => ({
      metadata: { namespace: "default", name, uid: name },
      spec: { type: "LoadBalancer", ports: [{ port: 80 }], ipFamilies: ["IPv4", "IPv6"], ...spec },
    });
    /** The nodes that have the address, and where this machine believes it to be. */
    const has = async (name: string, address: string): Promise<boolean> =>
      JSON.stringify(await ipJson(["addr", "show", "dev", "eth0"], { netns: pathOf(name) })).includes(`"${address}"`);
    async function believed(address: string): Promise<string | undefined> {
      const [entry] = (await ipJson(["-6", "neigh", "show", address, "dev", BRIDGE])) as { lladdr?: string }[];
      return entry?.lladdr;
    }
    async function linkAddress(name: string): Promise<string | undefined> {
      const [link] = (await ipJson(["link", "show", "dev", "eth0"], { netns: pathOf(name) })) as { address?: string }[];
      return link?.address;
    }

    it("a Service of both families has an address of each, on one node; neighbours are told when it moves", async () => {
      const balancers = cloud.provider.loadBalancers;
      const service = dual("dual");
      const [first, second] = two as [Node, Node];
      const address = POOL6[0] as string;
      const status = await balancers?.ensure("kubernetes", service, [first], signal);
      // Which one of IPv4 depends on whether the cache has seen the last Service go.
      expect(status?.ingress).toEqual([expect.any(String), address].map((ip) => ({ ip, ipMode: "VIP" })));
      expect([await has("cor-ccm-1", address), await has("cor-ccm-2", address)]).toEqual([true, false]);
      const answers = async (): Promise<boolean> =>
        (await run("busybox", ["ping6", "-c", "1", "-W", "5", address], { allowFailure: true })).code === 0;
      await cloud.plane.until("an answer", answers);
      expect(await believed(address)).toBe(await linkAddress("cor-ccm-1"));
      const made = { ...service, status: { loadBalancer: status ?? {} } };
      await balancers?.ensure("kubernetes", made, [second], signal);
      expect([await has("cor-ccm-1", address), await has("cor-ccm-2", address)]).toEqual([false, true]);
      // Nobody asked for it since: its new holder has said so.
      await cloud.plane.until("the news", async () => (await believed(address)) === (await linkAddress("cor-ccm-2")));
      expect(await balancers?.get("kubernetes", made, signal)).toEqual(status);
      await balancers?.delete("kubernetes", made, signal);
      expect(await has("cor-ccm-2", address)).toBe(false);
      expect(await places()).toEqual({ "cor-ccm-1": [], "cor-ccm-2": [] });
    });

    it("an address that somebody else on the network has is not taken", async () => {
      const address = POOL6[1] as string;
      await ipBatch([`addr add ${address}/128 dev ${BRIDGE} nodad`]);
      const service = dual("rival", { ipFamilies: ["IPv6"], loadBalancerIP: address });
      await expect(cloud.provider.loadBalancers?.ensure("kubernetes", service, two, signal)).rejects.toThrow(
        `the address ${address} is somebody else's on the network of eth0`,
      );
      expect(await has("cor-ccm-1", address)).toBe(false);
      await ipBatch([`addr del ${address}/128 dev ${BRIDGE}`]);
    });
  });

  it("a machine whose links are all down is shut down", async () => {
    const [, node] = two as [Node, Node];
    await ipBatch(["link set eth0 down"], { netns: pathOf("cor-ccm-2") });
    expect(await cloud.provider.instances?.isShutDown(node, signal)).toBe(true);
    await ipBatch(["link set eth0 up"], { netns: pathOf("cor-ccm-2") });
    expect(await cloud.provider.instances?.isShutDown(node, signal)).toBe(false);
  });

  it("without a pool a Service is reached at the nodes' own ports", async () => {
    await using informers = createInformerFactory({ client: cloud.plane.admin, clock: cloud.plane.clock });
    const stop = new AbortController();
    const provider = await createLocalProvider({
      config: undefined,
      client: cloud.plane.admin,
      informers,
      clock: cloud.plane.clock,
      logger: silentLogger,
      signal: stop.signal,
    });
    const service = await makeService(cloud.plane, "ports");
    const port = service.spec?.ports?.[0]?.nodePort;
    const status = await provider.loadBalancers?.ensure("kubernetes", service, two, signal);
    expect(status?.ingress).toEqual(
      [1, 2].map((i) => ({ ip: `${SUBNET}.1${i}`, ipMode: "Proxy", ports: [{ port, protocol: "TCP" }] })),
    );
    // The API server takes it as it is.
    await cloud.plane.admin.patch(
      Service,
      { namespace: "default", name: "ports" },
      "strategic",
      { status: { loadBalancer: status } },
      { subresource: "status" },
    );
    await provider[Symbol.asyncDispose]?.();
    stop.abort();
  });
});
