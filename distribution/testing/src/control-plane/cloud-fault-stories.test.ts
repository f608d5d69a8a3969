import { Event, Node, Service } from "@coracle/api/core/v1";
import { isNotFound } from "@coracle/apimachinery";
import { createSeededRandom, silentLogger } from "@coracle/base";
import { createApiClient, type Transport } from "@coracle/client";
import { defaultFlags, runCloudControllerManager } from "@coracle/cloud-controller-manager";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CarelessCloud } from "./careless-cloud.ts";
import { createFaultyTransport, type Faults } from "./faulty-transport.ts";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const namespace = "default";
const SERVICES = 8;
const NODES = 3;
const TAINT = { key: "node.cloudprovider.kubernetes.io/uninitialized", value: "true", effect: "NoSchedule" };

/** A manager as a process of its own. */
interface Manager {
  /** As kill -9 does: nothing is finished, nothing given back, and it hears of nothing any more. */
  kill(): void;
  /** As SIGTERM does. */
  stop(): void;
  /** The API server is not there for it, for so long; the cloud is. */
  partition(ms: number): void;
  readonly ended: Promise<void>;
}

const TROUBLE: Faults = {
  conflicts: 0.2,
  throttled: 0.1,
  errors: 0.1,
  slow: 0.1,
  slowMs: 3000,
  watchPieces: 5,
};

describe("the cloud's controllers when things go wrong", { timeout: 300_000 }, () => {
  let plane: TestControlPlane;
  let cloud: CarelessCloud;
  let managers: Manager[];

  function manage(identity: string, faults: Faults, seed: number): Manager {
    const end = new AbortController();
    const link = cloud.connect();
    const random = createSeededRandom(seed);
    let isDead = false;
    let awayUntil = 0;
    const inner = createFaultyTransport(plane.transportOf("admin", "system:masters"), faults, plane.clock, random);
    const silence = (signal: AbortSignal | undefined): Promise<never> =>
      new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      });
    const transport: Transport = {
      async request(request) {
        if (isDead || plane.clock.monotonicMs() < awayUntil) return await silence(request.signal);
        const response = await inner.request(request);
        // What it did is done; the answer does not arrive.
        return isDead || plane.clock.monotonicMs() < awayUntil ? await silence(request.signal) : response;
      },
      [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    };
    let ended: (() => void) | undefined;
    const manager: Manager = {
      kill() {
        isDead = true;
        link.cut();
        end.abort(new DOMException("killed", "AbortError"));
      },
      stop: () => end.abort(new DOMException("stopped", "AbortError")),
      partition: (ms) => void (awayUntil = plane.clock.monotonicMs() + ms),
      ended: new Promise((resolve) => (ended = resolve)),
    };
    plane.run(`cloud-controller-manager ${identity}`, async () => {
      try {
        await runCloudControllerManager({
          client: createApiClient({ transport, clock: plane.clock, random }),
          flags: { ...defaultFlags, clusterCidr: ["10.244.0.0/16"], concurrentServiceSyncs: 3 },
          provider: () => link.provider,
          identity,
          logger: silentLogger,
          clock: plane.clock,
          random,
          signal: end.signal,
          freeze: true,
        });
      } catch (error) {
        // Upstream's ends, too, and is started again.
        if (!end.signal.aborted && (error as Error).name !== "LeadershipLostError") throw error;
      } finally {
        ended?.();
      }
    });
    managers.push(manager);
    return manager;
  }

  beforeEach(async () => {
    managers = [];
    plane = await createTestControlPlane({ components: [], fakeClock: true });
    for (let i = 0; i < NODES; i++) {
      const podCIDR = `10.244.${i}.0/24`;
      const spec = { podCIDR, podCIDRs: [podCIDR], taints: [TAINT] };
      await plane.admin.create(Node, { metadata: { name: `n${i}` }, spec });
    }
  });
  afterEach(async () => {
    for (const manager of managers) manager.stop();
    let areEnded = false;
    void Promise.all(managers.map(({ ended }) => ended)).then(() => (areEnded = true));
    await plane?.until("all managers have ended", () => areEnded, { stepMs: 500 });
    await plane?.[Symbol.asyncDispose]();
  });

  const make = (name: string): Promise<Service> =>
    plane.admin.create(Service, {
      metadata: { namespace, name },
      spec: { type: "LoadBalancer", ports: [{ port: 80 }] },
    });
  const wait = async (ms: number, stepMs = 250): Promise<void> => {
    const end = plane.clock.monotonicMs() + ms;
    await plane.until("time to pass", () => plane.clock.monotonicMs() >= end, { limitMs: ms * 2, stepMs });
  };
  /** Each Service has its balancer and says where, no balancer is without its Service, each node has its route. */
  async function isRight(): Promise<boolean> {
    const { items } = await plane.admin.list(Service, { namespace });
    const wanted = items.filter(({ spec }) => spec?.type === "LoadBalancer");
    const said = wanted.map(
      ({ metadata, status }) =>
        `${namespace}/${metadata.name} ${metadata.uid} ${status?.loadBalancer?.ingress?.[0]?.ip}`,
    );
    const there = cloud.balancers.map(({ service, address }) => `${service} ${address}`);
    const nodes = (await plane.admin.list(Node, {})).items;
    return (
      wanted.every(({ metadata }) => metadata.deletionTimestamp === undefined) &&
      said.toSorted().join() === there.toSorted().join() &&
      cloud.routes.length === NODES &&
      nodes.every(({ spec }) => spec?.providerID !== undefined && (spec.taints ?? []).every((t) => t.key !== TAINT.key))
    );
  }
  async function settled(): Promise<void> {
    await plane.until("everything is right", isRight, { limitMs: 3_600_000, stepMs: 1000 });
    expect(cloud.madeTwice).toEqual([]);
  }

  it.each([
    ["on a good day", {}, 1],
    ["with a server that is slow, refuses, throttles, and breaks watches off", TROUBLE, 2],
  ] as const)(
    "killed and cut off in mid-work, %s: no balancer and no route is made twice, none is left",
    async (_, faults, seed) => {
      const random = createSeededRandom(seed);
      cloud = new CarelessCloud(plane.clock, random, 3000);
      let count = 0;
      const pair = [0, 1].map(() => manage(`m${count}`, faults, seed * 100 + count++));
      for (let round = 0; round < 6; round++) {
        for (let i = 0; i < SERVICES; i++) {
          const name = `s${i}`;
          if (random.next() < 0.5) await make(name).catch(() => undefined);
          else await plane.admin.delete(Service, { namespace, name }).catch((error: unknown) => isNotFound(error));
        }
        await wait(random.next() * 8000);
        const at = round % 2;
        if (round % 3 === 2) pair[at]?.partition(20_000);
        else {
          pair[at]?.kill();
          pair[at] = manage(`m${count}`, faults, seed * 100 + count++);
        }
        await wait(random.next() * 30_000);
      }
      // Those that lost the lease have ended, as processes do; somebody starts them again.
      manage("last", faults, seed);
      await settled();
      expect(cloud.made).toBeGreaterThan(3);
    },
  );

  it("told to stop in mid-work, the next goes on at once; the lease is given back when the work is over", async () => {
    cloud = new CarelessCloud(plane.clock, createSeededRandom(3), 1500);
    const first = manage("a", {}, 1);
    for (let i = 0; i < SERVICES; i++) await make(`s${i}`);
    await plane.until("some are made", () => cloud.made >= 3, { stepMs: 100 });
    manage("b", {}, 2);
    first.stop();
    await settled();
    expect(cloud.made).toBe(SERVICES);
  });

  it("a balancer that the cloud works on for an hour: others have their turn; it is made once, and goes if nobody wants it any more", async () => {
    cloud = new CarelessCloud(plane.clock, createSeededRandom(4), 1000);
    const finish: (() => void)[] = [];
    for (const name of ["kept", "dropped"]) cloud.jams.set(name, new Promise((resolve) => finish.push(resolve)));
    manage("a", {}, 1);
    for (const name of ["kept", "dropped", "other"]) await make(name);
    const address = async (name: string): Promise<string | undefined> =>
      (await plane.admin.get(Service, { namespace, name })).status?.loadBalancer?.ingress?.[0]?.ip;
    const patience = { limitMs: 3_600_000, stepMs: 2000 };
    await plane.until("the other's address", () => address("other"), patience);
    await plane.until(
      "words about it",
      async () =>
        (await plane.admin.list(Event, { namespace })).items.some(
          ({ involvedObject, message }) =>
            involvedObject.name === "kept" && message?.includes("did not answer ensure_load_balancer"),
        ),
      patience,
    );
    await plane.admin.delete(Service, { namespace, name: "dropped" });
    await wait(1_800_000, 5000);
    expect(cloud.made).toBe(1);
    expect((await plane.admin.get(Service, { namespace, name: "dropped" })).metadata.finalizers).toHaveLength(1);
    for (const each of finish) each();
    cloud.jams.clear();
    await settled();
    expect([cloud.made, cloud.balancers.length]).toEqual([3, 2]);
  });
});
