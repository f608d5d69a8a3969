import type { Endpoints, Service } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { planMirror } from "./plan.ts";

const service = (selector?: Record<string, string>): Service => ({
  metadata: { name: "db", namespace: "default" },
  spec: { ports: [{ port: 5432 }], ...(selector === undefined ? {} : { selector }) },
});
const endpoints = (subsets: Endpoints["subsets"], metadata: Partial<Endpoints["metadata"]> = {}): Endpoints => ({
  metadata: { name: "db", namespace: "default", uid: "e", labels: { tier: "data" }, ...metadata },
  subsets: subsets ?? [],
});
const one = [{ addresses: [{ ip: "192.0.2.1" }], notReadyAddresses: [{ ip: "192.0.2.2" }], ports: [{ port: 5432 }] }];

describe("Endpoints that people wrote, as slices", () => {
  it("one for each set of ports and family of addresses", () => {
    const made = planMirror(
      endpoints([...one, { addresses: [{ ip: "2001:db8::1" }], ports: [{ port: 5432 }] }]),
      service(),
      [],
      1000,
    ).create;
    expect(made.map(({ addressType, endpoints: all }) => [addressType, all.map((each) => each.addresses[0])])).toEqual([
      ["IPv4", ["192.0.2.1", "192.0.2.2"]],
      ["IPv6", ["2001:db8::1"]],
    ]);
    expect(made[0]).toMatchObject({
      metadata: {
        labels: {
          tier: "data",
          "kubernetes.io/service-name": "db",
          "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
        },
        ownerReferences: [{ kind: "Endpoints", name: "db", uid: "e", controller: true }],
      },
      ports: [{ name: "", port: 5432, protocol: "TCP" }],
      endpoints: [{ conditions: { ready: true } }, { conditions: { ready: false } }],
    });
  });
  it.each([
    ["services with a selector have slices already", endpoints(one), service({ app: "db" })],
    ["no service", endpoints(one), undefined],
    ["told not to", endpoints(one, { labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } }), service()],
    [
      "a lock of leader election",
      endpoints(one, { annotations: { "control-plane.alpha.kubernetes.io/leader": "{}" } }),
      service(),
    ],
  ])("none: %s", (_, of, by) => expect(planMirror(of, by, [], 1000).create).toEqual([]));

  it("are written when they change, and go with what they mirror", () => {
    const { create } = planMirror(endpoints(one), service(), [], 1000);
    expect(planMirror(endpoints(one), service(), create, 1000)).toEqual({ create: [], update: [], delete: [] });
    const more = [{ ...one[0], addresses: [{ ip: "192.0.2.1" }, { ip: "192.0.2.3" }] }];
    expect(planMirror(endpoints(more), service(), create, 1000).update[0]?.endpoints).toHaveLength(3);
    expect(planMirror(undefined, service(), create, 1000).delete).toEqual(create);
    expect(planMirror(endpoints(one), service({ app: "db" }), create, 1000).delete).toEqual(create);
  });
  it("hold only so many addresses of a subset", () => {
    expect(planMirror(endpoints(one), service(), [], 1).create[0]?.endpoints).toHaveLength(1);
  });
});
