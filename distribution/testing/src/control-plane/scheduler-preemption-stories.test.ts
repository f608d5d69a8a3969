import { Event, Node, Pod, ServiceAccount } from "@coracle/api/core/v1";
import { PriorityClass } from "@coracle/api/scheduling/v1";
import { silentLogger, sleep, systemClock, systemRandom } from "@coracle/base";
import type { ApiClient } from "@coracle/client";
import { runScheduler } from "@coracle/kube-scheduler";
import { describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

const NODES = 8;
const namespace = "default";

const podOf = (name: string, cpu: string, part: Partial<Pod["spec"]> = {}): Pod => ({
  metadata: { name, namespace },
  spec: {
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
    tolerations: [{ operator: "Exists" }],
    containers: [{ name: "c", image: "app", resources: { requests: { cpu } } }],
    ...part,
  },
});

function start(plane: TestControlPlane, change: (client: ApiClient) => ApiClient): void {
  plane.run("a scheduler", async (signal) => {
    await runScheduler({
      client: change(plane.clientOf("system:kube-scheduler")),
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      signal,
    });
  });
}

async function allPlaced(plane: TestControlPlane, limitMs?: number): Promise<readonly Pod[]> {
  return await plane.until(
    "every pod has a node",
    async () => {
      const { items } = await plane.admin.list(Pod, { namespace });
      return items.every(({ spec }) => (spec.nodeName ?? "") !== "") && items;
    },
    limitMs === undefined ? {} : { limitMs },
  );
}

describe("many pods drive out others at the same time", () => {
  it("each those of one node and no more, though they leave slowly", async () => {
    await using plane = await createTestControlPlane({ components: [] });
    await plane.admin.create(ServiceAccount, { metadata: { name: "default", namespace } });
    await plane.admin.create(PriorityClass, { metadata: { name: "urgent" }, value: 10 });
    for (let i = 0; i < NODES; i++)
      await plane.admin.create(Node, {
        metadata: { name: `n${i}` },
        spec: {},
        status: { allocatable: { cpu: "4", memory: "32Gi", pods: "110" } },
      });
    // Deletions take a while, each another one: attempts made meanwhile find some of the victims in place.
    let deletions = 0;
    start(plane, (client) => ({
      ...client,
      delete: async (...args: Parameters<ApiClient["delete"]>) => {
        await sleep(systemClock, 20 * (1 + (deletions++ % 5)));
        await client.delete(...args);
      },
    }));
    for (let i = 0; i < 4 * NODES; i++) await plane.admin.create(Pod, podOf(`low-${i}`, "900m"));
    await allPlaced(plane);
    for (let i = 0; i < NODES; i++)
      await plane.admin.create(Pod, podOf(`high-${i}`, "3", { priorityClassName: "urgent" }));
    const left = await allPlaced(plane, 120_000);
    const high = left.filter(({ metadata: { name = "" } }) => name.startsWith("high"));
    expect(new Set(high.map(({ spec }) => spec.nodeName)).size).toBe(NODES);
    expect(left).toHaveLength(2 * NODES);
    expect(deletions).toBe(3 * NODES);
    await plane.until("each victim was told", async () => {
      const { items } = await plane.admin.list(Event, { namespace });
      return items.filter(({ reason }) => reason === "Preempted").length === 3 * NODES;
    });
  }, 180_000);
});
