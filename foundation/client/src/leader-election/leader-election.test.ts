import { describe, expect, it } from "vitest";
import type { Lease } from "@coracle/api/coordination/v1";
import { conflict, notFound } from "@coracle/apimachinery";
import { createFakeClock, createSeededRandom } from "@coracle/base";
import type { ApiClient } from "../api-client.ts";
import { LeadershipLostError, runAsLeader, runElected } from "./leader-election.ts";

const leases = { group: "coordination.k8s.io", resource: "leases" };

/** The three requests that election makes, with a server's optimistic locking. */
function leaseServer(): { client: ApiClient; lease(): Lease | undefined; fail: boolean; silent: boolean } {
  let stored: Lease | undefined;
  let revision = 0;
  const server = { fail: false, silent: false, lease: () => stored, client: {} as ApiClient };
  const write = (lease: Lease): Lease =>
    (stored = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(++revision) } });
  const check = async (signal: AbortSignal | undefined): Promise<void> => {
    if (server.fail) throw new Error("away");
    if (server.silent)
      await new Promise((_, reject) =>
        signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
      );
  };
  server.client = {
    async get(_type: unknown, _key: unknown, options?: { signal?: AbortSignal }) {
      await check(options?.signal);
      if (stored === undefined) throw notFound(leases, "l");
      return stored;
    },
    async create(_: unknown, lease: Lease, options?: { signal?: AbortSignal }) {
      await check(options?.signal);
      return write(lease);
    },
    async update(_: unknown, lease: Lease, options?: { signal?: AbortSignal }) {
      await check(options?.signal);
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
    expect(stoppedAtMs).toBeLessThanOrEqual(2000 + 10_000);
  });

  it("stops leading before others may begin when the server does not answer at all, and others do not wait for it for ever", async () => {
    const clock = createFakeClock();
    const server = leaseServer();
    const spans: Record<string, number[]> = {};
    const stop = new AbortController();
    const candidate = (identity: string): Promise<unknown> =>
      runAsLeader(
        { client: server.client, namespace: "n", name: "l", identity, clock, random: createSeededRandom(1) },
        (signal) => {
          const span = (spans[identity] ??= []);
          span.push(clock.monotonicMs());
          return new Promise((resolve) =>
            signal.addEventListener("abort", () => resolve(void span.push(clock.monotonicMs())), { once: true }),
          );
        },
        stop.signal,
      ).catch((error: unknown) => error);
    const a = candidate("a");
    await clock.advance(3000);
    const b = candidate("b");
    await clock.advance(4000);
    server.silent = true;
    await clock.advance(30_000);
    expect(await a).toBeInstanceOf(LeadershipLostError);
    server.silent = false;
    await clock.advance(30_000);
    expect(spans["a"]?.[1]).toBeLessThanOrEqual(6000 + 10_000);
    expect(spans["b"]?.[0]).toBeGreaterThan(spans["a"]?.[1] ?? 0);
    server.silent = true;
    stop.abort();
    await clock.advance(10_000);
    await b;
    expect(clock.pending).toBe(0);
  });

  it("without an election the work begins at once, and ends with the signal; what listens to its signal listens to no other", async () => {
    const stop = new AbortController();
    let listeners = 0;
    const add = stop.signal.addEventListener.bind(stop.signal);
    stop.signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    const run = runElected(
      undefined,
      (signal) =>
        new Promise((resolve) => {
          for (let i = 0; i < 20; i++) signal.addEventListener("abort", () => resolve(), { once: true });
        }),
      stop.signal,
    );
    stop.abort();
    await run;
    expect(listeners).toBe(1);
  });

  it("refuses times by which two could lead", async () => {
    const options = { client: leaseServer().client, namespace: "n", name: "l", identity: "a" };
    const lead = (): Promise<void> => Promise.resolve();
    const { signal } = new AbortController();
    await expect(runAsLeader({ ...options, renewDeadlineMs: 15_000 }, lead, signal)).rejects.toThrow(
      "leaseDuration must be greater than renewDeadline",
    );
    await expect(runAsLeader({ ...options, retryPeriodMs: 9000 }, lead, signal)).rejects.toThrow(
      "renewDeadline must be greater than retryPeriod*JitterFactor",
    );
  });
});
