import { Lease } from "@coracle/api/coordination/v1";
import { Node, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { quantityMilliValue } from "@coracle/apimachinery";
import { sleep, systemClock } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { expect, it } from "vitest";
import { startOurServer } from "../src/differential/server.ts";
import { adminOf, coracle, startScheduler } from "../src/scheduling/scheduler-process.ts";

const PODS = 5_000;
const FEWER = 1_000;
/** Some fit fifty pods, some a hundred: a little more than is needed altogether. */
const NODES = 80;
const CREATING = 64;
const WITHIN_MS = 240_000;
const namespace = "default";
const OURS = [process.execPath, coracle, "kube-scheduler"] as const;

async function fill(admin: ApiClient): Promise<void> {
  await admin.create(ServiceAccount, { metadata: { namespace, name: "default" } });
  await inParallel(NODES, async (i) => addNode(admin, i));
}

async function inParallel(count: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await work(i);
  };
  await Promise.all(Array.from({ length: CREATING }, worker));
}

const addNode = (admin: ApiClient, i: number): Promise<Node> => {
  const size = { cpu: i % 2 === 0 ? "50" : "100", memory: "1Ti", pods: "110" };
  return admin.create(Node, {
    metadata: { name: `n${i}`, labels: { half: i % 2 === 0 ? "small" : "large" } },
    spec: {},
    status: { capacity: size, allocatable: size },
  });
};

const addPod = (admin: ApiClient, i: number): Promise<Pod> =>
  admin.create(Pod, {
    metadata: { namespace, name: `p${i}` },
    spec: {
      automountServiceAccountToken: false,
      tolerations: [{ operator: "Exists" }],
      ...(i % 4 === 0 ? { nodeSelector: { half: "large" } } : {}),
      containers: [{ name: "c", image: "app", resources: { requests: { cpu: "1" } } }],
    },
  });

/** Pod → node, of those that have one. */
async function placements(admin: ApiClient): Promise<ReadonlyMap<string, string>> {
  const { items } = await admin.list(Pod, { namespace });
  return new Map(
    items.flatMap(({ metadata, spec }) =>
      (spec.nodeName ?? "") === "" ? [] : [[metadata.name ?? "", spec.nodeName ?? ""]],
    ),
  );
}

async function untilPlaced(admin: ApiClient, atLeast: number): Promise<ReadonlyMap<string, string>> {
  const end = systemClock.monotonicMs() + WITHIN_MS;
  for (;;) {
    const placed = await placements(admin);
    if (placed.size >= atLeast) return placed;
    if (systemClock.monotonicMs() > end) throw new Error(`${placed.size} of ${atLeast} pods have a node`);
    await sleep(systemClock, 50);
  }
}

it(
  "kill -9 of the scheduler in the middle of 5,000 pods, twice: each is placed once, on a node that fits",
  {
    timeout: 600_000,
  },
  async () => {
    await using server = await startOurServer(coracle);
    await using admin = adminOf(server);
    await fill(admin);
    let placed: ReadonlyMap<string, string> = new Map();
    const made = inParallel(PODS, async (i) => addPod(admin, i));
    for (const share of [1 / 4, 1 / 2]) {
      await using scheduler = startScheduler(server, OURS);
      const before = placed;
      placed = await untilPlaced(admin, PODS * share);
      await scheduler.kill("SIGKILL");
      for (const [pod, node] of before) expect(placed.get(pod)).toBe(node);
    }
    await using _last = startScheduler(server, OURS);
    await made;
    const all = await untilPlaced(admin, PODS);
    for (const [pod, node] of placed) expect(all.get(pod)).toBe(node);

    await allFit(admin);
  },
);

it(
  "kill -9 of the API server in the middle of binding: the scheduler finds it again, and nothing was lost",
  {
    timeout: 600_000,
  },
  async () => {
    await using server = await startOurServer(coracle);
    await using admin = adminOf(server);
    await fill(admin);
    await inParallel(FEWER, async (i) => addPod(admin, i));
    await using scheduler = startScheduler(server, OURS);
    await untilPlaced(admin, FEWER / 4);
    await server.end("SIGKILL");
    await server.startAgain();
    await untilPlaced(admin, FEWER);
    await allFit(admin);
    expect(scheduler.hasEnded).toBe(false);
  },
);

it(
  "of two schedulers that elect a leader one works; when it is killed the other goes on",
  {
    timeout: 600_000,
  },
  async () => {
    await using server = await startOurServer(coracle);
    await using admin = adminOf(server);
    await fill(admin);
    const election = ["--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s"];
    const electing = [...OURS, "--leader-elect=true", ...election, "--leader-elect-retry-period=500ms"] as const;
    const leader = async (): Promise<string> => {
      const lease = await admin.get(Lease, { namespace: "kube-system", name: "kube-scheduler" });
      return lease.spec?.holderIdentity ?? "";
    };
    await using first = startScheduler(server, electing);
    await addPod(admin, FEWER);
    await untilPlaced(admin, 1);
    const before = await leader();
    await using _second = startScheduler(server, electing);
    const made = inParallel(FEWER, async (i) => addPod(admin, i));
    await untilPlaced(admin, FEWER / 4);
    await first.kill("SIGKILL");
    await made;
    await untilPlaced(admin, FEWER + 1);
    expect(await leader()).not.toBe(before);
    await allFit(admin);
  },
);

/** Each pod is where its selector wants it, and no node has more than it can take. */
async function allFit(admin: ApiClient): Promise<void> {
  const nodes = new Map((await admin.list(Node)).items.map((node) => [node.metadata.name ?? "", node]));
  const used = new Map<string, number>();
  for (const pod of (await admin.list(Pod, { namespace })).items) {
    const name = pod.spec.nodeName ?? "";
    used.set(name, (used.get(name) ?? 0) + 1);
    const half = pod.spec.nodeSelector?.["half"];
    if (half !== undefined) expect(nodes.get(name)?.metadata.labels?.["half"]).toBe(half);
  }
  for (const [name, count] of used) {
    const { cpu = "0" } = nodes.get(name)?.status?.allocatable ?? {};
    expect(count * 1000).toBeLessThanOrEqual(quantityMilliValue(cpu));
  }
}
