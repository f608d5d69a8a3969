import { Namespace, ServiceAccount } from "@coracle/api/core/v1";
import { createSeededRandom, silentLogger } from "@coracle/base";
import { createApiClient, type Transport } from "@coracle/client";
import { defaultFlags, runControllerManager } from "@coracle/kube-controller-manager";
import { describe, expect, it } from "vitest";
import { createTestControlPlane } from "../control-plane/test-control-plane.ts";
import { COUNTED_NODES, COUNTED_ROLLOUTS } from "./counted-rollouts.ts";

interface Versioned {
  readonly metadata?: { readonly resourceVersion?: string };
}

/** `transport`, and what was asked of it. */
function counted(transport: Transport): Transport & { readonly calls: string[]; readonly idle: string[] } {
  const calls: string[] = [];
  const idle: string[] = [];
  return {
    calls,
    idle,
    async request(request) {
      const what = `${request.method} ${request.path.split("?")[0]}`;
      if (!/[?&]watch=/.test(request.path)) calls.push(what);
      const response = await transport.request(request);
      if (request.method !== "PUT" || response.status !== 200) return response;
      const pieces: Buffer[] = [];
      for await (const piece of response.body) pieces.push(piece);
      const versionOf = (body: Buffer | undefined): string | undefined =>
        (JSON.parse(String(body)) as Versioned).metadata?.resourceVersion;
      if (versionOf(request.body) === versionOf(Buffer.concat(pieces))) idle.push(what);
      return {
        ...response,
        body: (async function* () {
          yield* pieces;
        })(),
      };
    },
    [Symbol.asyncDispose]: async () => transport[Symbol.asyncDispose](),
  };
}

describe("no more calls than upstream's, and no write that changes nothing", { timeout: 300_000 }, () => {
  it.each(Object.entries(COUNTED_ROLLOUTS))("%s", async (_, { rollout, upstreams }) => {
    await using plane = await createTestControlPlane({ fakeClock: true, components: ["kube-scheduler"] });
    for (const node of COUNTED_NODES) await plane.addNode(node);
    const transport = counted(plane.transportOf("kubernetes-admin", "system:masters"));
    plane.run("kube-controller-manager", (signal) =>
      runControllerManager({
        client: createApiClient({ transport, clock: plane.clock, random: createSeededRandom(1) }),
        flags: { ...defaultFlags, leaderElect: false },
        logger: silentLogger,
        signal,
        clock: plane.clock,
        random: createSeededRandom(1),
      }),
    );
    const namespace = "stage";
    const until = async <T>(what: string, attempt: () => Promise<T | undefined | false>): Promise<T> =>
      plane.until(what, attempt, { limitMs: 300_000, stepMs: 50 });
    await plane.admin.create(Namespace, { metadata: { name: namespace }, spec: {} });
    await until("pods can be made", async () => plane.admin.get(ServiceAccount, { namespace, name: "default" }));
    const now = plane.clock.now();
    await until("it is quiet", async () => plane.clock.now() > now + 3000);
    const before = transport.calls.length;
    await rollout({ admin: plane.admin, namespace, until });
    const end = plane.clock.now();
    await until("it is quiet again", async () => plane.clock.now() > end + 3000);
    const calls = transport.calls.slice(before).filter((call) => call.includes(`/${namespace}/`));
    expect(calls.length).toBeLessThanOrEqual(upstreams);
    expect(transport.idle).toEqual([]);
  });
});
