import { Node, Pod } from "@coracle/api/core/v1";
import { serviceUnavailable } from "@coracle/apimachinery";
import { silentLogger, systemClock, systemRandom } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { runScheduler } from "@coracle/kube-scheduler";
import { describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const PODS = 60;
const NODES = ["a", "b", "c"];

async function setUp(): Promise<TestControlPlane> {
  const plane = await createTestControlPlane({ components: [] });
  for (const name of NODES)
    await plane.admin.create(Node, {
      metadata: { name },
      spec: {},
      status: { allocatable: { cpu: "100", memory: "100Gi", pods: "110" } },
    });
  return plane;
}

async function addPods(plane: TestControlPlane, count = PODS): Promise<void> {
  for (let i = 0; i < count; i++)
    await plane.admin.create(Pod, {
      metadata: { name: `p${i}`, namespace: "default" },
      spec: {
        automountServiceAccountToken: false,
        serviceAccountName: "default",
        tolerations: [{ operator: "Exists" }],
        containers: [{ name: "c", image: "app", resources: { requests: { cpu: "1" } } }],
      },
    });
}

async function allPlaced(plane: TestControlPlane): Promise<readonly string[]> {
  return await plane.until("every pod has a node", async () => {
    const { items } = await plane.admin.list(Pod, { namespace: "default" });
    const nodes = items.map(({ spec }) => spec.nodeName ?? "");
    return nodes.every((node) => node !== "") && nodes;
  });
}

/** Starts a scheduler, over a client of which `change` may change what it likes. Answers how to end it. */
function start(plane: TestControlPlane, change: (client: ApiClient) => ApiClient = (client) => client): () => void {
  const end = new AbortController();
  plane.run("a scheduler", async (signal) => {
    signal.addEventListener("abort", () => end.abort(signal.reason), { once: true });
    await runScheduler({
      client: change(plane.clientOf("system:kube-scheduler")),
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      signal: end.signal,
    }).catch((error: unknown) => {
      if (!end.signal.aborted) throw error;
    });
  });
  return () => end.abort(new DOMException("killed", "AbortError"));
}

/** A client whose bindings go through `post`. */
const binding = (client: ApiClient, post: (send: () => Promise<unknown>) => Promise<unknown>): ApiClient => ({
  ...client,
  post: (async (...args: Parameters<ApiClient["post"]>) => post(async () => client.post(...args))) as ApiClient["post"],
});

async function withAccount(plane: TestControlPlane): Promise<void> {
  const { ServiceAccount } = await import("@coracle/api/core/v1");
  await plane.admin.create(ServiceAccount, { metadata: { name: "default", namespace: "default" } });
}

describe("no pod is lost, none is placed twice", () => {
  it("the API server fails in the middle of binding, before or after it did what it was asked for", async () => {
    await using plane = await setUp();
    await withAccount(plane);
    await addPods(plane);
    let calls = 0;
    start(plane, (client) =>
      binding(client, async (send) => {
        const call = calls++;
        if (call < PODS && call % 3 === 0) throw serviceUnavailable("the connection was lost");
        const answer = await send();
        if (call < PODS && call % 3 === 1) throw serviceUnavailable("the answer was lost");
        return answer;
      }),
    );
    expect(await allPlaced(plane)).toHaveLength(PODS);
  });
  it("two schedulers are active by mistake", async () => {
    await using plane = await setUp();
    await withAccount(plane);
    start(plane);
    start(plane);
    await addPods(plane);
    expect(await allPlaced(plane)).toHaveLength(PODS);
  });
  it("a scheduler dies in the middle of a burst, and another goes on", async () => {
    await using plane = await setUp();
    await withAccount(plane);
    let bound = 0;
    const kill = start(plane, (client) =>
      binding(client, async (send) => {
        if (++bound === PODS / 3) kill();
        return await send();
      }),
    );
    await addPods(plane);
    start(plane);
    const nodes = await allPlaced(plane);
    expect(nodes.every((node) => NODES.includes(node))).toBe(true);
  });
  it("a node goes while pods are on their way to it", async () => {
    await using plane = await setUp();
    await withAccount(plane);
    let isGone = false;
    start(plane, (client) =>
      binding(client, async (send) => {
        if (!isGone) {
          isGone = true;
          await plane.admin.delete(Node, { name: "a" });
        }
        return await send();
      }),
    );
    await addPods(plane, 20);
    expect(await allPlaced(plane)).toHaveLength(20);
  });
});
