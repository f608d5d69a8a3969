import { Namespace, ServiceAccount } from "@coracle/api/core/v1";
import { describe, it } from "vitest";
import { createTestControlPlane } from "../control-plane/test-control-plane.ts";
import { ROLLOUTS } from "./rollouts.ts";
import { NODES } from "./stage.ts";

describe("rollouts, by our API server and controllers in one process", { timeout: 300_000 }, () => {
  it.each(Object.keys(ROLLOUTS))("%s", async (name) => {
    await using plane = await createTestControlPlane({ fakeClock: true });
    for (const node of NODES) await plane.addNode(node);
    const namespace = "stage";
    await plane.admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
    const until = async <T>(what: string, attempt: () => Promise<T | undefined | false>): Promise<T> =>
      plane.until(what, attempt, { limitMs: 300_000, stepMs: 50 });
    await until("pods can be made", async () => plane.admin.get(ServiceAccount, { namespace, name: "default" }));
    await ROLLOUTS[name]?.({ admin: plane.admin, namespace, until });
  });
});
