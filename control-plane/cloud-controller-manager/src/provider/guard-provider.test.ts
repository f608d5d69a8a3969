import type { Node, Service } from "@coracle/api/core/v1";
import { createFakeClock } from "@coracle/base";
import { describe, expect, it } from "vitest";
import { CloudMetrics } from "../metrics.ts";
import type { CloudProvider, Instances, LoadBalancers, Routes } from "./cloud-provider.ts";
import { guardProvider, providerOf } from "./guard-provider.ts";

const node: Node = { metadata: { name: "a" }, spec: {} };
const web: Service = { metadata: { namespace: "default", name: "web" }, spec: {} };
const other: Service = { metadata: { namespace: "default", name: "other" }, spec: {} };
const never = (): Promise<never> => new Promise<never>(() => undefined);

/** A provider with these members, guarded; wrong ones are the point. */
function guarded(parts: Record<string, unknown>) {
  const clock = createFakeClock();
  const metrics = new CloudMetrics(clock);
  const abort = new AbortController();
  const cloud = guardProvider({ name: "odd-cloud", ...parts } as unknown as CloudProvider, clock, metrics);
  const instances = cloud.instances as Instances;
  const balancers = cloud.loadBalancers as LoadBalancers;
  return { clock, metrics, abort, signal: abort.signal, cloud, instances, balancers, routes: cloud.routes as Routes };
}

describe("a provider that answers nonsense", () => {
  it.each([undefined, null, 0, "", "no", {}])("whether a machine exists: %j deletes no node", async (answer) => {
    const { instances, signal } = guarded({ instances: { exists: () => answer, isShutDown: () => answer } });
    await expect(instances.exists(node, signal)).rejects.toThrow("the cloud provider's answer makes no sense");
    await expect(instances.isShutDown(node, signal)).rejects.toThrow("the cloud provider's answer makes no sense");
  });

  it.each([
    ["a text", "it is "],
    [{ providerId: 7 }, "providerId is 7"],
    [{ addresses: {} }, "addresses is {}"],
    [{ addresses: [{ type: "InternalIP" }] }, "addresses[0].address is missing"],
    [{ additionalLabels: { rack: 1 } }, "additionalLabels[rack] is 1"],
  ])("what a machine is: %j", async (answer, why) => {
    const { instances, signal } = guarded({ instances: { metadata: () => Promise.resolve(answer) } });
    await expect(instances.metadata(node, signal)).rejects.toThrow(why);
  });

  it("null counts as nothing to say", async () => {
    const { instances, balancers, signal } = guarded({
      instances: { metadata: () => null },
      loadBalancers: { get: () => null },
    });
    expect(await instances.metadata(node, signal)).toBeUndefined();
    expect(await balancers.get("c", web, signal)).toBeUndefined();
  });

  it.each([undefined, null, [], { ingress: "x" }, { ingress: [{}] }, { ingress: [{ ip: 1 }] }])(
    "where a Service is reached: %j",
    async (answer) => {
      const { balancers, signal } = guarded({ loadBalancers: { ensure: () => answer } });
      await expect(balancers.ensure("c", web, [], signal)).rejects.toThrow("makes no sense");
    },
  );

  it.each([undefined, {}, ["r"], [{ name: "r" }], [{ name: "r", destinationCidr: "10.0.0.0/8", targetNode: 1 }]])(
    "its routes: %j removes none",
    async (answer) => {
      const { routes, signal } = guarded({ routes: { list: () => answer } });
      await expect(routes.list("c", signal)).rejects.toThrow("makes no sense");
    },
  );

  it("is no provider at all", () => {
    const clock = createFakeClock();
    for (const none of [undefined, null, "x", {}])
      expect(() => guardProvider(none as unknown as CloudProvider, clock, new CloudMetrics(clock))).toThrow(
        "makes no provider",
      );
  });
});

describe("a provider that throws", () => {
  it.each([
    ["at once", () => { throw new Error("no"); }, "no"], // prettier-ignore
    ["a text", () => Promise.reject("just so"), "just so"], // oxlint-disable-line prefer-promise-reject-errors
    ["nothing", () => Promise.reject(undefined), "undefined"], // oxlint-disable-line prefer-promise-reject-errors
  ])("%s: it is an Error all the same, and counted", async (_, ensure, why) => {
    const { balancers, metrics, signal } = guarded({ loadBalancers: { ensure } });
    await expect(balancers.ensure("c", web, [], signal)).rejects.toThrow(new Error(why));
    expect(metrics.text()).toContain('cloudprovider_odd_cloud_api_request_errors{request="ensure_load_balancer"} 1\n');
  });

  it("what its error says to the controllers stays", async () => {
    const error = Object.assign(new Error("not yet"), { retryAfterMs: 7 });
    const { balancers, signal } = guarded({ loadBalancers: { delete: () => Promise.reject(error) } });
    await expect(balancers.delete("c", web, signal)).rejects.toBe(error);
  });
});

describe("a provider that hangs", () => {
  it("is given up after ten minutes; others have their turn, this Service when the former call has ended", async () => {
    let finish: (() => void) | undefined;
    const calls: string[] = [];
    const { balancers, clock, signal } = guarded({
      loadBalancers: {
        ensure: (_: string, { metadata }: Service) => {
          calls.push(metadata.name ?? "");
          if (metadata.name === "web") return new Promise<void>((resolve) => (finish = resolve));
          return { ingress: [] };
        },
      },
    });
    const first = balancers.ensure("c", web, [], signal).catch((error: unknown) => error);
    await clock.advance(602_000);
    expect(String(await first)).toContain(
      "the cloud provider did not answer ensure_load_balancer for service default/web within 600s",
    );
    await expect(balancers.ensure("c", web, [], signal)).rejects.toThrow(
      "the cloud provider still works on a former request for service default/web",
    );
    expect(await balancers.ensure("c", other, [], signal)).toEqual({ ingress: [] });
    expect(calls).toEqual(["web", "other"]);
    finish?.();
    await clock.advance(0);
    const again = balancers.ensure("c", web, [], signal);
    finish?.();
    await expect(again).rejects.toThrow("makes no sense");
    expect(calls).toEqual(["web", "other", "web"]);
    expect(clock.pending).toBe(0);
  });

  it("is told to stop, and not waited for when it does not", async () => {
    const told: unknown[] = [];
    const { instances, clock, abort, signal } = guarded({
      instances: {
        exists: (_: Node, link: AbortSignal) => {
          link.addEventListener("abort", () => told.push(link.reason));
          return never();
        },
      },
    });
    const asked = instances.exists(node, signal).catch((error: unknown) => error);
    abort.abort(new Error("the lease is lost"));
    await clock.advance(2000);
    expect(await asked).toEqual(new Error("the lease is lost"));
    expect(told).toEqual([new Error("the lease is lost")]);
  });

  it("one that finishes what it does soon after it was told to stop is waited for", async () => {
    let isDone = false;
    const { balancers, clock, abort, signal } = guarded({
      loadBalancers: {
        delete: () =>
          new Promise<void>((resolve) =>
            clock.after(1000, () => {
              isDone = true;
              resolve();
            }),
          ),
      },
    });
    const asked = balancers.delete("c", web, signal).catch(() => isDone);
    abort.abort(new Error("over"));
    await clock.advance(1500);
    expect(await asked).toBe(true);
  });

  it("when it is made, or disposed of, holds nobody up for ever", async () => {
    const { cloud, clock, abort, signal } = guarded({ [Symbol.asyncDispose]: never });
    const made = providerOf(never, clock, signal).catch((error: unknown) => error);
    abort.abort(new Error("over"));
    await clock.advance(0);
    expect(await made).toEqual(new Error("over"));
    const disposed = cloud[Symbol.asyncDispose]?.();
    await clock.advance(2000);
    await disposed;
  });
});
