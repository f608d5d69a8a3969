import type { Pod, Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { describe, expect, it } from "vitest";
import { planSlices } from "./plan.ts";

const service: Service = {
  metadata: { name: "s", namespace: "n", uid: "s" },
  spec: { selector: { a: "b" }, ports: [{ port: 80, targetPort: "web" }], ipFamilies: ["IPv4"] },
};

function pod(ip: string, extra: { ready?: boolean; deleted?: boolean; port?: number } = {}): Pod {
  const { ready = true, deleted = false, port = 8080 } = extra;
  return {
    metadata: { name: ip, uid: ip, namespace: "n", ...(deleted ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}) },
    spec: { containers: [{ name: "c", ports: [{ name: "web", containerPort: port }] }] },
    status: { phase: "Running", podIP: ip, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

const plan = (pods: readonly Pod[], existing: readonly EndpointSlice[] = [], max = 100) =>
  planSlices(service, pods, existing, () => undefined, max, undefined);
const named = (slices: readonly EndpointSlice[]): readonly EndpointSlice[] =>
  slices.map((slice, i) => ({ ...slice, metadata: { ...slice.metadata, name: `s-${i}` } }));

describe("planSlices", () => {
  it("a service without pods has one empty slice", () => {
    expect(plan([]).create).toMatchObject([{ endpoints: [], addressType: "IPv4" }]);
    expect(plan([], named(plan([]).create))).toEqual({ create: [], update: [], delete: [] });
  });

  it.each([
    ["ready", {}, { ready: true, serving: true, terminating: false }],
    ["not ready", { ready: false }, { ready: false, serving: false, terminating: false }],
    ["terminating but serving", { deleted: true }, { ready: false, serving: true, terminating: true }],
  ])("a pod that is %s", (_, shape, conditions) => {
    expect(plan([pod("10.0.0.1", shape)]).create[0]?.endpoints[0]?.conditions).toEqual(conditions);
  });

  it("a named port may mean another number in each pod", () => {
    const { create } = plan([pod("10.0.0.1", { port: 1 }), pod("10.0.0.2", { port: 2 })]);
    expect(create.map((slice) => slice.ports?.[0]?.port)).toEqual([1, 2]);
  });

  it("no slice holds more than its limit, and gaps are filled before new ones are made", () => {
    const pods = [1, 2, 3, 4, 5].map((i) => pod(`10.0.0.${i}`));
    const slices = named(plan(pods, [], 2).create);
    expect(slices.map((slice) => slice.endpoints.length)).toEqual([2, 2, 1]);
    const changed = plan([...pods.slice(1), pod("10.0.0.6")], slices, 2);
    expect(changed.create).toEqual([]);
    expect(changed.update.map((slice) => slice.metadata.name)).toEqual(["s-0"]);
  });
});
