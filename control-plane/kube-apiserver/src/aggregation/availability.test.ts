import type { Service } from "@coracle/api/core/v1";
import type { EndpointSlice } from "@coracle/api/discovery/v1";
import { describe, expect, it } from "vitest";
import { LOCAL, PASSED, serviceProblem, withAvailability } from "./availability.ts";

const AT = { namespace: "wardle", name: "api", port: 443 };
const service = (spec: object = {}): Service => ({ metadata: { name: "api" }, spec: { type: "ClusterIP", ...spec } });
const listening = service({ ports: [{ name: "https", port: 443 }] });
const slice = (part: object): EndpointSlice =>
  ({
    metadata: {},
    addressType: "IPv4",
    endpoints: [],
    ports: [{ name: "https", port: 8443 }],
    ...part,
  }) as EndpointSlice;

describe("what stands in the way of a registered API", () => {
  it.each<[string, Service | undefined, readonly EndpointSlice[], string, string]>([
    ["no service", undefined, [], "ServiceNotFound", 'service/api in "wardle" is not present'],
    [
      "a service without the port",
      service({ ports: [{ port: 80 }] }),
      [],
      "ServicePortError",
      'service/api in "wardle" is not listening on port 443',
    ],
    [
      "no endpoint slices",
      listening,
      [],
      "EndpointsNotFound",
      'cannot find endpointslices for service/api in "wardle"',
    ],
    [
      "no ready endpoint",
      listening,
      [slice({ endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: false } }] })],
      "MissingEndpoints",
      'endpointslices for service/api in "wardle" have no addresses with port name "https"',
    ],
    [
      "a ready endpoint without the port",
      listening,
      [slice({ endpoints: [{ addresses: ["10.0.0.1"] }], ports: [{ name: "other", port: 1 }] })],
      "MissingEndpoints",
      'endpointslices for service/api in "wardle" have no addresses with port name "https"',
    ],
  ])("%s", (_, found, slices, reason, message) => {
    expect(serviceProblem(AT, found, slices)).toEqual({ status: "False", reason, message });
  });

  it("nothing: an endpoint whose readiness is not told counts as ready", () => {
    expect(serviceProblem(AT, listening, [slice({ endpoints: [{ addresses: ["10.0.0.1"] }] })])).toBeUndefined();
  });

  it("services of other types are only asked whether they answer", () => {
    expect(serviceProblem(AT, service({ type: "ExternalName", externalName: "x" }), [])).toBeUndefined();
  });
});

describe("the condition Available", () => {
  const T0 = Date.UTC(2026, 0, 1);
  const first = withAvailability([], LOCAL, T0)!;

  it("is written once", () => {
    expect(first).toEqual([
      {
        type: "Available",
        status: "True",
        lastTransitionTime: "2026-01-01T00:00:00Z",
        reason: "Local",
        message: "Local APIServices are always available",
      },
    ]);
    expect(withAvailability(first, LOCAL, T0 + 1000)).toBeUndefined();
  });

  it("keeps its time while its status stays, and other conditions stay what they are", () => {
    const other = { type: "Other", status: "True" };
    const [kept, changed] = withAvailability([other, ...first], PASSED, T0 + 5000)!;
    expect(kept).toBe(other);
    expect(changed).toMatchObject({ reason: "Passed", lastTransitionTime: "2026-01-01T00:00:00Z" });
  });
});
