import { describe, expect, it } from "vitest";
import type { Lease } from "@coracle/api/coordination/v1";
import { conflict, notFound } from "@coracle/apimachinery";
import { createFakeClock, createSeededRandom } from "@coracle/base";
import type { ApiClient } from "../api-client.ts";
import { LeadershipLostError, runAsLeader } from "./leader-election.ts";

const leases = { group: "coordination.k8s.io", resource: "leases" };

/** The three requests that election makes, with a server's optimistic locking. */
function leaseServer(): { client: ApiClient; lease(): Lease | undefined; fail: boolean } {
  let stored: Lease | undefined;
  let revision = 0;
  const server = { fail: false, lease: () => stored, client: {} as ApiClient };
  const write = (lease: Lease): Lease =>
    (stored = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(++revision) } });
  const check = (): void => {
    if (server.fail) throw new Error("away");
  };
  server.client = {
    async get() {
      check();
      if (stored === undefined) throw notFound(leases, "l");
      return stored;
    },
    async create(_: unknown, lease: Lease) {
      check();
      return write(lease);
    },
    async update(_: unknown, lease: Lease) {
      check();
      if (lease.metadata.resourceVersion !== stored?.metadata.resourceVersion) throw conflict(leases, "l");
      return write(lease);
    },
  } as unknown as ApiClient;
  return server;
}

describe("leader election", () => {
  it("the second candidate waits, and leads as soon as the first one gives back", async () => {
    const clock = createFakeClock();
    const server = leaseServer();
    const leading: string[] = [];
    const candidate = (identity: string, stop: AbortController): Promise<void> =>
      runAsLeader(
        { client: server.client, namespace: "kube-system", name: "l", identity, clock, random: createSeededRandom(1) },
        (signal) => {
          leading.push(identity);
          return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
        },
        stop.signal,
      );
    const stopA = new AbortController();
    const stopB = new AbortController();
    const a = candidate("a", stopA);
    await clock.advance(0);
    const b = candidate("b", stopB);
    await clock.advance(60_000);
    expect(leading).toEqual(["a"]);
    stopA.abort();
    await clock.advance(0);
    await a;
    await clock.advance(2500);
    expect(leading).toEqual(["a", "b"]);
    expect(server.lease()?.spec).toMatchObject({ holderIdentity: "b", leaseDurationSeconds: 15 });
    stopB.abort();
    await clock.advance(0);
    await b;
    expect(clock.pending).toBe(0);
  });

  it("stops leading when the lease cannot be renewed for ten seconds", async () => {
    const clock = createFakeClock();
    const server = leaseServer();
    let stoppedAtMs = 0;
    const run = runAsLeader(
      { client: server.client, namespace: "n", name: "l", identity: "a", clock, random: createSeededRandom(1) },
      (signal) =>
        new Promise((resolve) =>
          signal.addEventListener("abort", () => resolve(void (stoppedAtMs = clock.monotonicMs())), { once: true }),
        ),
      new AbortController().signal,
    );
    const outcome = run.catch((error: unknown) => error);
    await clock.advance(3000);
    server.fail = true;
    await clock.advance(20_000);
    expect(await outcome).toBeInstanceOf(LeadershipLostError);
    expect(stoppedAtMs).toBeLessThanOrEqual(2000 + 10_000 + 2000);
  });
});
