import type { Draft } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  admin,
  failureOf,
  objectOf,
  openRegistryFixture,
  strictWrite,
  type RegistryFixture,
} from "../registry/registry-fixture.ts";
import { resourceDefinitions } from "../resources/index.ts";

let fixture: RegistryFixture;

const open = (serviceCidr: string): Promise<RegistryFixture> =>
  openRegistryFixture({ definitions: resourceDefinitions, serviceCidr });

beforeEach(async () => {
  fixture = await open("10.96.0.0/16,fd00:10:96::/112");
});
afterEach(() => fixture[Symbol.asyncDispose]());

const service = (name: string, spec: Draft): Draft => ({
  metadata: { name },
  spec: { selector: { app: "x" }, ports: [{ port: 80, protocol: "TCP" }], ...spec },
});
const create = async (name: string, spec: Draft, of = fixture): Promise<Draft> =>
  objectOf(await of.handler("services").create(admin, "default", service(name, spec), strictWrite))["spec"] as Draft;
const update = async (name: string, spec: Draft): Promise<Draft> =>
  objectOf(await fixture.handler("services").update(admin, "default", name, service(name, spec), strictWrite))[
    "spec"
  ] as Draft;
const recorded = async (): Promise<string[]> => {
  const { items } = await fixture.handler("networking.k8s.io/v1/ipaddresses").list(admin, "", {});
  return items.map(({ name }) => name);
};

const V4 = /^10\.96\./;
const V6 = /^fd00:10:96::/;
const ip = (pattern: RegExp): unknown => expect.stringMatching(pattern);

describe("families of a new Service", () => {
  it.each<[string, Draft, string, string[], RegExp[]]>([
    ["are the primary alone by default", {}, "SingleStack", ["IPv4"], [V4]],
    ["are what was asked for", { ipFamilies: ["IPv6"] }, "SingleStack", ["IPv6"], [V6]],
    ["are both when preferred", { ipFamilyPolicy: "PreferDualStack" }, "PreferDualStack", ["IPv4", "IPv6"], [V4, V6]],
    [
      "keep their order",
      { ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv6", "IPv4"] },
      "RequireDualStack",
      ["IPv6", "IPv4"],
      [V6, V4],
    ],
    [
      "follow a chosen address",
      { ipFamilyPolicy: "PreferDualStack", clusterIP: "fd00:10:96::a" },
      "PreferDualStack",
      ["IPv6", "IPv4"],
      [/^fd00:10:96::a$/, V4],
    ],
  ])("%s", async (_rule, spec, ipFamilyPolicy, ipFamilies, ips) => {
    const made = await create("a", spec);
    expect(made).toMatchObject({
      ipFamilyPolicy,
      ipFamilies,
      clusterIPs: ips.map(ip),
      clusterIP: ip(ips[0] as RegExp),
    });
    expect((await recorded()).toSorted()).toEqual([...(made["clusterIPs"] as string[])].toSorted());
  });

  it.each<[string, Draft, string[]]>([
    ["both without a selector", { clusterIP: "None", selector: undefined }, ["IPv4", "IPv6"]],
    ["the primary with one", { clusterIP: "None" }, ["IPv4"]],
    ["both when preferred", { clusterIP: "None", ipFamilyPolicy: "PreferDualStack" }, ["IPv4", "IPv6"]],
  ])("are, without an address, %s", async (_rule, spec, ipFamilies) => {
    expect(await create("a", spec)).toMatchObject({ ipFamilies, clusterIPs: ["None"] });
    expect(await recorded()).toEqual([]);
  });

  it.each<[Draft, string]>([
    [
      { ipFamilies: ["IPv4", "IPv6"] },
      "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
    ],
    [
      { clusterIP: "10.96.0.9", clusterIPs: ["10.96.0.9", "10.96.0.10"], ipFamilyPolicy: "RequireDualStack" },
      'spec.clusterIPs: Invalid value: ["10.96.0.9","10.96.0.10"]: may specify no more than one IP for each IP family',
    ],
    [
      { clusterIP: "10.96.0.9", ipFamilies: ["IPv6"] },
      'spec.clusterIPs[0]: Invalid value: "10.96.0.9": expected an IPv6 value as indicated by `ipFamilies[0]`',
    ],
    [{ ipFamilies: ["IPv5"] }, 'spec.ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"'],
  ])("are refused: %j", async (spec, message) => {
    expect(await failureOf(create("a", spec))).toMatchObject({
      code: 422,
      message: `Service "a" is invalid: ${message}`,
    });
    expect(await recorded()).toEqual([]);
  });

  it("must be configured", async () => {
    await using single = await open("10.96.0.0/16");
    const refused = async (spec: Draft): Promise<string> => (await failureOf(create("a", spec, single))).message;
    expect(await refused({ ipFamilyPolicy: "RequireDualStack" })).toContain(
      'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
    );
    expect(await refused({ ipFamilies: ["IPv6"] })).toContain(
      'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
    );
    expect(await refused({ clusterIP: "fd00::1" })).toContain(
      'spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster',
    );
    expect(await create("a", { ipFamilyPolicy: "PreferDualStack" }, single)).toMatchObject({ ipFamilies: ["IPv4"] });
  });
});

describe("an update", () => {
  it("adds a second family, and gives it back when one is asked for", async () => {
    const before = await create("a", {});
    const both = await update("a", { ipFamilyPolicy: "RequireDualStack" });
    expect(both).toMatchObject({ clusterIPs: [before["clusterIP"], ip(V6)], ipFamilies: ["IPv4", "IPv6"] });
    expect(await recorded()).toHaveLength(2);
    const message = "must be 'SingleStack' to release the secondary cluster IP";
    const only = { clusterIP: before["clusterIP"], clusterIPs: [before["clusterIP"]] } as Draft;
    expect((await failureOf(update("a", only))).message).toContain(message);
    const single = await update("a", { ...both, ipFamilyPolicy: "SingleStack" });
    expect(single).toMatchObject({ clusterIPs: [before["clusterIP"]], ipFamilies: ["IPv4"] });
    expect(await recorded()).toEqual([before["clusterIP"]]);
  });

  it("does not change the first address", async () => {
    await create("a", { clusterIP: "10.96.0.10" });
    expect((await failureOf(update("a", { clusterIP: "10.96.0.11" }))).message).toContain(
      'spec.clusterIPs[0]: Invalid value: ["10.96.0.11"]: may not change once set',
    );
    expect((await failureOf(update("a", { clusterIP: "None" }))).code).toBe(422);
    expect(await recorded()).toEqual(["10.96.0.10"]);
  });

  it("to an external name gives back everything, and back takes anew", async () => {
    await create("a", { type: "NodePort", ipFamilyPolicy: "RequireDualStack" });
    const external = await update("a", { type: "ExternalName", externalName: "example.com" });
    expect(external).toEqual({
      externalName: "example.com",
      ports: [{ port: 80, protocol: "TCP", targetPort: 80 }],
      selector: { app: "x" },
      sessionAffinity: "None",
      type: "ExternalName",
    });
    expect(await recorded()).toEqual([]);
    expect(await update("a", {})).toMatchObject({ clusterIP: ip(V4), ipFamilyPolicy: "SingleStack" });
    expect(await recorded()).toHaveLength(1);
  });

  it("keeps node ports by their names", async () => {
    const made = await create("a", {
      type: "NodePort",
      ports: [
        { name: "x", port: 80, protocol: "TCP" },
        { name: "y", port: 81, protocol: "TCP" },
      ],
    });
    const [x, y] = made["ports"] as { nodePort: number }[];
    const after = await update("a", {
      type: "NodePort",
      ports: [
        { name: "y", port: 91, protocol: "TCP" },
        { name: "x", port: 80, protocol: "TCP" },
      ],
    });
    expect(after["ports"]).toMatchObject([{ nodePort: y?.nodePort }, { nodePort: x?.nodePort }]);
  });

  it("gives a health check port to local load balancers, and takes it back", async () => {
    const local = { type: "LoadBalancer", externalTrafficPolicy: "Local" };
    const made = await create("a", local);
    expect(made["healthCheckNodePort"]).toBeGreaterThan(0);
    expect(await update("a", local)).toMatchObject({ healthCheckNodePort: made["healthCheckNodePort"] });
    const other = { ...local, healthCheckNodePort: 30_001 };
    expect((await failureOf(update("a", other))).message).toContain(
      "spec.healthCheckNodePort: Forbidden: field is immutable",
    );
    expect(await update("a", { type: "LoadBalancer" })).not.toHaveProperty("healthCheckNodePort");
    await create("b", { ...local, healthCheckNodePort: made["healthCheckNodePort"] });
  });

  it("leaves node ports away where load balancers want none", async () => {
    const none = { type: "LoadBalancer", allocateLoadBalancerNodePorts: false };
    expect((await create("a", none))["ports"]).toEqual([{ port: 80, protocol: "TCP", targetPort: 80 }]);
    expect(((await update("a", { type: "LoadBalancer" }))["ports"] as Draft[])[0]).toHaveProperty("nodePort");
  });
});
