import type { Pod, Service } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { planEndpoints } from "./plan.ts";

const service = (spec: Partial<NonNullable<Service["spec"]>> = {}): Service => ({
  metadata: { name: "web", namespace: "default", labels: { tier: "front" } },
  spec: { clusterIP: "10.96.0.9", ports: [{ port: 80, targetPort: 8080, protocol: "TCP" }], ...spec },
});
const pod = (
  name: string,
  ip: string,
  part: { ready?: boolean; phase?: string; deleted?: boolean; port?: number; unnamed?: boolean } = {},
): Pod => ({
  metadata: {
    name,
    namespace: "default",
    uid: name,
    ...(part.deleted === true ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
  },
  spec: {
    nodeName: "n1",
    containers: [
      { name: "c", ports: part.unnamed === true ? [] : [{ name: "http", containerPort: part.port ?? 8080 }] },
    ],
  },
  status: {
    phase: part.phase ?? "Running",
    podIP: ip,
    podIPs: ip === "" ? [] : [{ ip }],
    conditions: [{ type: "Ready", status: part.ready === false ? "False" : "True" }],
  },
});
const subsets = (of: Service, pods: readonly Pod[]): string[] =>
  (planEndpoints(of, pods, undefined, undefined)?.subsets ?? []).map((subset) => {
    const list = (addresses: readonly { readonly ip: string }[] | undefined) =>
      (addresses ?? []).map(({ ip }) => ip).join(",");
    const ports = (subset.ports ?? []).map(({ port }) => port).join(",");
    return `${list(subset.addresses)}|${list(subset.notReadyAddresses)}|${ports}`;
  });

describe("a service's Endpoints", () => {
  it.each([
    [
      "ready and others apart, in order",
      service(),
      [pod("b", "10.0.0.2"), pod("a", "10.0.0.1"), pod("c", "10.0.0.3", { ready: false })],
      ["10.0.0.1,10.0.0.2|10.0.0.3|8080"],
    ],
    [
      "publishNotReadyAddresses: all are ready",
      service({ publishNotReadyAddresses: true }),
      [pod("c", "10.0.0.3", { ready: false })],
      ["10.0.0.3||8080"],
    ],
    ["no address yet", service(), [pod("a", "")], []],
    ["ended", service(), [pod("a", "10.0.0.1", { phase: "Succeeded" }), pod("b", "10.0.0.2", { phase: "Failed" })], []],
    ["on its way out", service(), [pod("a", "10.0.0.1", { deleted: true })], []],
    [
      "on its way out, but published",
      service({ publishNotReadyAddresses: true }),
      [pod("a", "10.0.0.1", { deleted: true })],
      ["10.0.0.1||8080"],
    ],
    [
      "a named port may differ by pod",
      service({ ports: [{ port: 80, targetPort: "http" }] }),
      [pod("a", "10.0.0.1", { port: 81 }), pod("b", "10.0.0.2", { port: 82 })],
      ["10.0.0.1||81", "10.0.0.2||82"],
    ],
    [
      "a port that only some have, apart from one that all have",
      service({
        ports: [
          { name: "web", port: 80, targetPort: "http" },
          { name: "admin", port: 90 },
        ],
      }),
      [pod("a", "10.0.0.1"), pod("b", "10.0.0.2", { unnamed: true })],
      ["10.0.0.1,10.0.0.2||90", "10.0.0.1||8080"],
    ],
    ["a named port nobody has", service({ ports: [{ port: 80, targetPort: "x" }] }), [pod("a", "10.0.0.1")], []],
  ])("%s", (_, of, pods, expected) => expect(subsets(of, pods)).toEqual(expected));

  it("name their pods, carry the service's labels, and mark headless ones", () => {
    const made = planEndpoints(
      service({ clusterIP: "None" }),
      [pod("a", "10.0.0.1")],
      undefined,
      "2026-01-01T00:00:00Z",
    );
    expect(made?.metadata).toMatchObject({
      name: "web",
      labels: {
        tier: "front",
        "service.kubernetes.io/headless": "",
        "endpoints.kubernetes.io/managed-by": "endpoint-controller",
      },
      annotations: { "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z" },
    });
    expect(made?.subsets?.[0]?.addresses?.[0]).toEqual({
      ip: "10.0.0.1",
      nodeName: "n1",
      targetRef: { kind: "Pod", namespace: "default", name: "a", uid: "a" },
    });
  });
  it("are written only when they change", () => {
    const made = planEndpoints(service(), [pod("a", "10.0.0.1")], undefined, undefined);
    expect(planEndpoints(service(), [pod("a", "10.0.0.1")], made, "2026-01-02T00:00:00Z")).toBeUndefined();
    expect(planEndpoints(service(), [], made, undefined)?.subsets).toEqual([]);
  });
  it("hold a thousand addresses, ready ones first, and say so", () => {
    const many = Array.from({ length: 1001 }, (_, i) => pod(`p${i}`, `10.0.${i >> 8}.${i & 255}`, { ready: i > 0 }));
    const made = planEndpoints(service(), many, undefined, undefined);
    expect(made?.subsets?.[0]?.addresses).toHaveLength(1000);
    expect(made?.subsets?.[0]?.notReadyAddresses).toBeUndefined();
    expect(made?.metadata.annotations).toMatchObject({ "endpoints.kubernetes.io/over-capacity": "truncated" });
  });
});
