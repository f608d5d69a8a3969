import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Event, Node, Service } from "@coracle/api/core/v1";
import { ClusterRole, ClusterRoleBinding } from "@coracle/api/rbac/v1";
import { isNotFound } from "@coracle/apimachinery";
import { silentLogger } from "@coracle/base";
import {
  CloudMetrics,
  defaultFlags,
  runCloudControllerManager,
  type CloudProvider,
  type CloudProviderContext,
  type CloudProviderFactory,
  type Instances,
  type LoadBalancers,
} from "@coracle/cloud-controller-manager";
import { CLOUD_CONTROLLER_MANAGER, cloudControllerManagerRole } from "@coracle/cluster";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const TOY = fileURLToPath(new URL("../../../../examples/17-cloud-provider/toy-cloud", import.meta.url));
const TAINT = { key: "node.cloudprovider.kubernetes.io/uninitialized", value: "true", effect: "NoSchedule" };
const FINALIZER = "service.kubernetes.io/load-balancer-cleanup";
const namespace = "default";

type Machines = Record<string, Record<string, string>>;

interface Made {
  balancers: Record<string, { address: string; ports: unknown; from: string[]; nodes: string[] }>;
  routes: { targetNode: string; destinationCidr: string }[];
}

let plane: TestControlPlane;
let dir: string;
let metrics: CloudMetrics;
/** By a Service's name, or a machine's: what the cloud does instead of making its balancer, or saying what it is. */
const faults = new Map<string, () => void>();

/** The toy cloud, with faults. */
async function faultyCloud(context: CloudProviderContext): Promise<CloudProvider> {
  const module = (await import(join(TOY, "index.js"))) as { readonly default: CloudProviderFactory };
  const inner = await module.default(context);
  const loadBalancers = inner.loadBalancers as LoadBalancers;
  const instances = inner.instances as Instances;
  return {
    ...inner,
    instances: {
      ...instances,
      async metadata(of, signal) {
        faults.get(`machine ${of.metadata.name}`)?.();
        return await instances.metadata(of, signal);
      },
    },
    loadBalancers: {
      ...loadBalancers,
      async ensure(clusterName, of, nodes, signal) {
        faults.get(of.metadata.name ?? "")?.();
        return await loadBalancers.ensure(clusterName, of, nodes, signal);
      },
    },
  };
}

/** What somebody does at the cloud's console. */
function edit(change: (machines: Machines) => void): void {
  const file = join(dir, "machines.json");
  const machines = JSON.parse(readFileSync(file, "utf8")) as Machines;
  change(machines);
  writeFileSync(`${file}.new`, JSON.stringify(machines));
  renameSync(`${file}.new`, file);
}

/** What the cloud holds. */
function cloud(): Made {
  const file = join(dir, "made.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Made) : { balancers: {}, routes: [] };
}

/** A node as its kubelet registers it with --cloud-provider=external. */
async function addNode(name: string, isReady = true): Promise<void> {
  const kubelet = plane.clientOf(`system:node:${name}`, "system:nodes");
  await kubelet.create(Node, { metadata: { name }, spec: { taints: [TAINT] } });
  const conditions = [{ type: "Ready", status: isReady ? "True" : "False" }];
  const addresses = [{ type: "Hostname", address: name }];
  await kubelet.patch(Node, { name }, "strategic", { status: { conditions, addresses } }, { subresource: "status" });
}

const node = (name: string): Promise<Node> => plane.admin.get(Node, { name });
const service = (name: string): Promise<Service> => plane.admin.get(Service, { namespace, name });
const hasTaint = ({ spec }: Node, key: string): boolean => spec?.taints?.some((taint) => taint.key === key) === true;
const reasons = async (kind: string, name: string): Promise<string[]> =>
  (await plane.admin.list(Event, {})).items
    .filter(({ involvedObject }) => involvedObject.kind === kind && involvedObject.name === name)
    .map(({ source, type, reason, message }) => `${source?.component} ${type} ${reason}: ${message}`);
async function isGone(attempt: Promise<unknown>): Promise<boolean> {
  return await attempt.then(() => false, isNotFound);
}

beforeEach(async () => {
  metrics = new CloudMetrics();
  dir = mkdtempSync(join(tmpdir(), "cor-cloud-"));
  const machine = (i: number) => ({ type: "small", address: `10.0.0.${i}`, zone: `z${i}`, region: "r" });
  writeFileSync(join(dir, "machines.json"), JSON.stringify({ a: machine(1), b: machine(2) }));
  plane = await createTestControlPlane({ components: ["kube-controller-manager"], fakeClock: true });
  const { role, binding } = cloudControllerManagerRole();
  await plane.admin.create(ClusterRole, role);
  await plane.admin.create(ClusterRoleBinding, binding);
  plane.run("cloud-controller-manager", (signal) =>
    runCloudControllerManager({
      client: plane.clientOf(CLOUD_CONTROLLER_MANAGER),
      anonymousTransport: plane.anonymousTransport,
      flags: {
        ...defaultFlags,
        useServiceAccountCredentials: true,
        clusterCidr: ["10.244.0.0/16"],
      },
      provider: faultyCloud,
      metrics,
      config: JSON.stringify({ folder: dir }),
      logger: silentLogger,
      clock: plane.clock,
      signal,
      freeze: true,
    }),
  );
});
afterEach(async () => {
  await plane?.[Symbol.asyncDispose]();
  faults.clear();
  rmSync(dir, { recursive: true, force: true });
});

describe("a node of a cloud", () => {
  it("takes no pods until the cloud has said what it is; then it has an id, type, zone, region, addresses and routes", async () => {
    await addNode("a");
    await plane.until("known", async () => !hasTaint(await node("a"), TAINT.key));
    const { metadata, spec } = await node("a");
    expect(spec?.providerID).toBe("toy://a");
    expect(metadata.labels).toMatchObject({
      "node.kubernetes.io/instance-type": "small",
      "topology.kubernetes.io/zone": "z1",
      "topology.kubernetes.io/region": "r",
    });
    await plane.until("addresses", async () =>
      (await node("a")).status?.addresses?.some(({ address }) => address === "10.0.0.1"),
    );
    expect((await node("a")).status?.addresses).toEqual([
      { type: "InternalIP", address: "10.0.0.1" },
      { type: "Hostname", address: "a" },
    ]);
    await plane.until("a route", async () => {
      const { status, spec: now } = await node("a");
      const condition = status?.conditions?.find(({ type }) => type === "NetworkUnavailable");
      return condition?.reason === "RouteCreated" && cloud().routes[0]?.destinationCidr === now?.podCIDR;
    });
    await plane.until("an event", async () =>
      (await reasons("Node", "a")).includes("cloud-node-controller Normal Synced: Node synced successfully"),
    );
    edit((all) => void (all["a"]!["address"] = "10.0.0.7"));
    await plane.until(
      "the machine's new address",
      async () => (await node("a")).status?.addresses?.some(({ address }) => address === "10.0.0.7"),
      { limitMs: 400_000, stepMs: 1000 },
    );
  });

  it("waits while the cloud does not know it", async () => {
    await addNode("c");
    await addNode("a");
    await plane.until("the other is known", async () => !hasTaint(await node("a"), TAINT.key));
    expect(hasTaint(await node("c"), TAINT.key)).toBe(true);
    edit((all) => void (all["c"] = { type: "large", address: "10.0.0.3", zone: "z", region: "r" }));
    await plane.until("known", async () => !hasTaint(await node("c"), TAINT.key), { limitMs: 120_000, stepMs: 200 });
  });

  it("goes when its machine goes before the cloud has said what it is", async () => {
    edit((all) => void (all["c"] = { type: "small", address: "10.0.0.3", zone: "z", region: "r" }));
    faults.set("machine c", () => {
      throw new Error("cannot say");
    });
    await addNode("c");
    await plane.until("it was asked for", () =>
      metrics.text().includes('cloudprovider_toy_api_request_errors{request="instance_metadata"}'),
    );
    edit((all) => void delete all["c"]);
    // Its kubelet still says that all is well.
    expect(hasTaint(await node("c"), TAINT.key)).toBe(true);
    const conditions = [{ type: "Ready", status: "Unknown" }];
    await plane.admin.patch(Node, { name: "c" }, "strategic", { status: { conditions } }, { subresource: "status" });
    await plane.until("gone", () => isGone(node("c")), { limitMs: 120_000, stepMs: 200 });
    // Another of its name is another node.
    faults.clear();
    edit((all) => void (all["c"] = { type: "large", address: "10.0.0.4", zone: "z", region: "r" }));
    await addNode("c");
    await plane.until("known", async () => !hasTaint(await node("c"), TAINT.key), { limitMs: 120_000, stepMs: 200 });
    expect((await node("c")).metadata.labels?.["node.kubernetes.io/instance-type"]).toBe("large");
  });

  it("is tainted while its machine is off, and goes with its machine, and its route with it", async () => {
    await addNode("a");
    await addNode("b");
    await plane.until("routes", () => cloud().routes.length === 2);
    const ready = (status: string) =>
      plane.admin.patch(
        Node,
        { name: "a" },
        "strategic",
        { status: { conditions: [{ type: "Ready", status }] } },
        { subresource: "status" },
      );
    const OFF = "node.cloudprovider.kubernetes.io/shutdown";
    edit((all) => void (all["a"]!["state"] = "off"));
    await ready("Unknown");
    await plane.until("off", async () => hasTaint(await node("a"), OFF), { stepMs: 200 });
    await ready("True");
    await plane.until("on", async () => !hasTaint(await node("a"), OFF), { stepMs: 200 });
    edit((all) => void delete all["a"]);
    // A node that works is not asked for.
    expect(await isGone(node("a"))).toBe(false);
    await ready("False");
    await plane.until("gone", () => isGone(node("a")), { stepMs: 200 });
    await plane.until("its route", () => cloud().routes.length === 1 && cloud().routes[0]?.targetNode === "b", {
      stepMs: 200,
    });
    await plane.until("an event", async () =>
      (await reasons("Node", "a")).some((text) =>
        text.startsWith(
          "cloud-node-lifecycle-controller Normal DeletingNode: Deleting node a because it does not exist in the cloud provider",
        ),
      ),
    );
  });
});

describe("a Service of type LoadBalancer", () => {
  const make = (name: string, spec: Partial<NonNullable<Service["spec"]>> = {}): Promise<Service> =>
    plane.admin.create(Service, {
      metadata: { namespace, name },
      spec: { type: "LoadBalancer", ports: [{ port: 80 }], ...spec },
    });
  const address = async (name: string): Promise<string | undefined> =>
    (await service(name)).status?.loadBalancer?.ingress?.[0]?.ip;

  it("gets an address, keeps it through changes, follows its nodes, and waits at its end for the cloud", async () => {
    await addNode("a");
    await make("web");
    const first = await plane.until("an address", () => address("web"));
    expect(first).toBe("203.0.113.1");
    const made = await service("web");
    expect(made.metadata.finalizers).toEqual([FINALIZER]);
    expect(made.status?.loadBalancer?.ingress).toEqual([{ ip: first, ipMode: "VIP" }]);
    const ports = made.spec?.ports?.map(({ port, nodePort }) => ({ port, nodePort }));
    await plane.until("a node", () => cloud().balancers["default/web"]?.nodes.join() === "a");
    expect(cloud().balancers["default/web"]).toEqual({ address: first, ports, from: ["0.0.0.0/0"], nodes: ["a"] });

    await addNode("b");
    await plane.until("the other node", () => cloud().balancers["default/web"]?.nodes.join() === "a,b");
    const spec = { loadBalancerSourceRanges: ["10.0.0.0/8"] };
    await plane.admin.patch(Service, { namespace, name: "web" }, "merge", { spec });
    await plane.until("source ranges", () => cloud().balancers["default/web"]?.from.join() === "10.0.0.0/8");
    expect(await address("web")).toBe(first);

    await plane.admin.delete(Service, { namespace, name: "web" });
    await plane.until("gone", () => isGone(service("web")));
    expect(cloud().balancers).toEqual({});
    const told = [
      "Normal EnsuringLoadBalancer: Ensuring load balancer",
      "Normal EnsuredLoadBalancer: Ensured load balancer",
      "Normal UpdatedLoadBalancer: Updated load balancer with new hosts",
      "Normal DeletingLoadBalancer: Deleting load balancer",
      "Normal DeletedLoadBalancer: Deleted load balancer",
    ].map((text) => `service-controller ${text}`);
    await plane.until("events", async () => {
      const seen = await reasons("Service", "web");
      return told.every((text) => seen.includes(text));
    });
  });

  it("that becomes another type loses its balancer, its status and its finalizer", async () => {
    await make("web");
    await plane.until("an address", () => address("web"));
    await plane.admin.patch(Service, { namespace, name: "web" }, "merge", { spec: { type: "ClusterIP" } });
    await plane.until("no balancer", async () => {
      const { metadata, status } = await service("web");
      return metadata.finalizers === undefined && (status?.loadBalancer?.ingress ?? []).length === 0;
    });
    expect(cloud().balancers).toEqual({});
  });

  it("of another class is left to whoever serves that class", async () => {
    await make("other", { loadBalancerClass: "example.com/lb" });
    await make("web");
    await plane.until("an address", () => address("web"));
    expect(Object.keys(cloud().balancers)).toEqual(["default/web"]);
    expect((await service("other")).metadata.finalizers).toBeUndefined();
  });

  it("whose balancer cannot be made is told of it, and tried again; others are not held up", async () => {
    faults.set("poison", () => {
      throw new Error("no more balancers");
    });
    await make("poison");
    await make("web");
    await plane.until("the other's address", () => address("web"));
    const told =
      "service-controller Warning SyncLoadBalancerFailed: Error syncing load balancer: failed to ensure load balancer: no more balancers";
    await plane.until("an event", async () => (await reasons("Service", "poison")).includes(told));
    faults.clear();
    await plane.until("an address", () => address("poison"), { limitMs: 120_000, stepMs: 200 });
  });

  it("whose balancer cannot be made is tried again after 5 s, then after twice as long each time, five minutes at most", async () => {
    const tries: number[] = [];
    faults.set("poison", () => {
      tries.push(plane.clock.monotonicMs());
      throw new Error("rate exceeded");
    });
    await make("poison");
    await plane.until("nine tries", () => tries.length === 9, { limitMs: 3_600_000, stepMs: 500 });
    const pauses = tries.slice(1).map((at, i) => (at - (tries[i] ?? 0)) / 1000);
    // Of time that goes on in steps.
    expect(pauses.map((pause) => Math.floor(pause))).toEqual([5, 10, 20, 40, 80, 160, 300, 300]);
  });

  it("whose cloud asks for time is tried again when it said", async () => {
    let tries = 0;
    faults.set("slow", () => {
      tries++;
      if (tries < 3) throw Object.assign(new Error("not yet"), { retryAfterMs: 20_000 });
    });
    await make("slow");
    await plane.until("a first try", () => tries === 1);
    const startedAt = plane.clock.now();
    await plane.until("an address", () => address("slow"), { stepMs: 200 });
    expect(tries).toBe(3);
    // Twice twenty seconds: neither sooner, nor with growing delays.
    expect(plane.clock.now() - startedAt).toBeGreaterThanOrEqual(39_000);
  });

  it("that the cloud leaves to somebody else gets no status from us", async () => {
    faults.set("elsewhere", () => {
      throw Object.assign(new Error("not me"), { code: "IMPLEMENTED_ELSEWHERE" });
    });
    await make("elsewhere");
    await make("web");
    await plane.until("the other's address", () => address("web"));
    expect(await address("elsewhere")).toBeUndefined();
    const seen = (await reasons("Service", "elsewhere")).join();
    expect(seen).not.toContain("SyncLoadBalancerFailed");
  });

  it("that vanishes without waiting, for somebody took its finalizer, loses its balancer all the same", async () => {
    await make("web");
    await plane.until("an address", () => address("web"));
    await plane.admin.patch(Service, { namespace, name: "web" }, "merge", { metadata: { finalizers: null } });
    await plane.admin.delete(Service, { namespace, name: "web" });
    await plane.until("no balancer", () => Object.keys(cloud().balancers).length === 0);
  });

  it("with externalTrafficPolicy Local has a port for health checks, which is the balancer's business", async () => {
    const { spec } = await make("web", { externalTrafficPolicy: "Local" });
    expect(spec?.healthCheckNodePort).toBeGreaterThan(0);
    await plane.until("an address", () => address("web"));
  });

  it("leads to no node that is excluded", async () => {
    await addNode("a");
    await addNode("b");
    await make("web");
    await plane.until("both", () => cloud().balancers["default/web"]?.nodes.join() === "a,b");
    await plane.until("two nodes counted", () =>
      metrics.text().includes("node_controller_initial_node_sync_delay_seconds_count 2\n"),
    );
    const label = { "node.kubernetes.io/exclude-from-external-load-balancers": "" };
    await plane.admin.patch(Node, { name: "a" }, "merge", { metadata: { labels: label } });
    await plane.until("one", () => cloud().balancers["default/web"]?.nodes.join() === "b");
    expect(metrics.text()).toMatch(/^service_controller_loadbalancer_sync_total [1-9]/m);
    expect(metrics.text()).toContain("service_controller_nodesync_error_total 0\n");
    expect(metrics.text()).toMatch(/^service_controller_nodesync_latency_seconds_count [1-9]/m);
    expect(metrics.text()).toMatch(/^service_controller_update_loadbalancer_host_latency_seconds_count [1-9]/m);
    for (const name of ["cloud-node", "cloud-node-lifecycle", "service", "route"])
      expect(metrics.text()).toContain(
        `running_managed_controllers{manager="cloud-controller-manager",name="${name}"} 1\n`,
      );
    expect(metrics.text()).toMatch(/^workqueue_adds_total\{name="service"\} [1-9]/m);
    expect(metrics.text()).toMatch(/^workqueue_adds_total\{name="Nodes"\} [1-9]/m);
    expect(metrics.text()).toMatch(
      /^cloudprovider_toy_api_request_duration_seconds_count\{request="ensure_load_balancer"\} [1-9]/m,
    );
  });
});
