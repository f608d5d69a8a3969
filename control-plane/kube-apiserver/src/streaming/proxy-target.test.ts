import { systemRandom } from "@coracle/base";
import { isStatusError } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import type { RegistryReader } from "../registry/registry-reader.ts";
import { backendPath, isGlobalUnicast, portNumber, serviceTarget, splitProxyName } from "./proxy-target.ts";

function refusalOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (isStatusError(error)) return `${error.code} ${error.message}`;
    throw error;
  }
  return "none";
}

describe("names of what is proxied", () => {
  it.each([
    ["web", { scheme: "", name: "web", port: "" }],
    ["web:http", { scheme: "", name: "web", port: "http" }],
    ["web:", { scheme: "", name: "web", port: "" }],
    ["https:web:443", { scheme: "https", name: "web", port: "443" }],
    ["https:web:", { scheme: "https", name: "web", port: "" }],
  ])("%s", (text, parts) => {
    expect(splitProxyName(text, "pod")).toEqual(parts);
  });

  it.each(["ftp:web:21", "a:b:c:d", ":80", ""])("%j is refused", (text) => {
    expect(refusalOf(() => splitProxyName(text, "pod"))).toBe(`400 invalid pod request ${JSON.stringify(text)}`);
  });

  it("a port that is none cannot be reached", () => {
    expect(portNumber("8080")).toBe(8080);
    expect(refusalOf(() => portNumber("99999"))).toBe(
      "503 error trying to reach service: dial tcp: address 99999: invalid port",
    );
  });
});

describe("addresses that a request may be sent to", () => {
  it.each(["10.0.0.1", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1"])("%s", (address) => {
    expect(isGlobalUnicast(address)).toBe(true);
  });
  it.each([
    "127.0.0.1",
    "127.9.9.9",
    "169.254.169.254",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "",
    "localhost",
  ])("not %j", (address) => {
    expect(isGlobalUnicast(address)).toBe(false);
  });
});

describe("the path behind /proxy", () => {
  it.each([
    ["/api/v1/nodes/n/proxy", "", ""],
    ["/api/v1/nodes/n/proxy/", "", "/"],
    ["/x/proxy/a/b/", "/a/b/", "/a/b/"],
    ["/x/proxy/a", "/a/../../b", "/b"],
    ["/x/proxy/a", "/a b", "/a%20b"],
    ["/x/proxy/a", "/a%20b", "/a%2520b"],
    ["/x/proxy/a", "/a/../../../b", "/b"],
    ["/x/proxy/a", "/a?b", "/a%3Fb"],
    ["/x/proxy/a", "/a\r\nx-remote-user: b", "/a%0D%0Ax-remote-user:%20b"],
  ])("%s (%s) is %s", (path, rest, wanted) => {
    expect(backendPath(path, rest)).toBe(wanted);
  });
});

describe("services by their endpoints", () => {
  const objects = new Map<string, object>([
    ["services/web", { spec: { ports: [{ name: "http", port: 80 }] } }],
    ["services/bare", { spec: { ports: [{ port: 80 }] } }],
    ["services/none", { spec: { ports: [{ port: 80 }] } }],
    ["endpoints/none", { metadata: {} }],
    [
      "endpoints/web",
      {
        subsets: [
          {
            addresses: [
              { ip: "10.1.0.9" },
              { ip: "10.1.0.8", targetRef: { kind: "Pod", namespace: "other", name: "p" } },
              { ip: "10.1.0.7", targetRef: { kind: "Pod", namespace: "n", name: "p" } },
              { ip: "10.1.0.1", targetRef: { kind: "Pod", namespace: "n", name: "p" } },
            ],
            notReadyAddresses: [{ ip: "10.1.0.2", targetRef: { kind: "Pod", namespace: "n", name: "p" } }],
            ports: [{ name: "http", port: 8080 }],
          },
        ],
      },
    ],
    ["pods/p", { status: { podIPs: [{ ip: "10.1.0.1" }] } }],
  ]);
  const reader = {
    get: ({ plural }: { plural: string }, _: string, name: string) => Promise.resolve(objects.get(`${plural}/${name}`)),
  } as unknown as RegistryReader;
  const find = (id: string): Promise<unknown> =>
    serviceTarget(reader, systemRandom, "n", id, splitProxyName(id, "service")).catch((error: unknown) =>
      isStatusError(error) ? `${error.code} ${error.message}` : error,
    );

  it.each(["web:http", "web:80", "https:web:http"])("%s leads to the one address that is a pod's", async (id) => {
    expect(await find(id)).toEqual({ host: "10.1.0.1", port: 8080 });
  });

  it.each([
    ["web:81", '503 no service port 81 found for service "web"'],
    ["web:https", '503 no endpoints available for service "web:https"'],
    ["web", '503 no endpoints available for service "web"'],
    ["none:80", '503 no endpoints available for service "none"'],
    ["gone:80", '404 services "gone" not found'],
    ["gone", '404 services "gone" not found'],
    ["bare", '404 endpoints "bare" not found'],
  ])("%s: %s", async (id, refusal) => {
    expect(await find(id)).toBe(refusal);
  });
});
