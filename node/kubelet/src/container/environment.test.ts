import type { Container, Pod, Service } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { podOf } from "../pod/pod-fixture.ts";
import { containerEnvironment, type EnvironmentSources } from "./environment.ts";
import { expandVariables } from "./expansion.ts";

const service: Service = {
  metadata: { name: "my-db", namespace: "default" },
  spec: { clusterIP: "10.96.0.9", ports: [{ name: "sql", port: 5432, protocol: "TCP" }] },
};

const sources: EnvironmentSources = {
  configMap: (name) => (name === "cm" ? { metadata: { name }, data: { a: "1", b: "two" } } : undefined),
  secret: (name) =>
    name === "s" ? { metadata: { name }, data: { p: Buffer.from("pw").toString("base64") } } : undefined,
  services: [service],
  podIps: ["10.0.0.2"],
  nodeIps: ["192.0.2.1"],
  node: { cpuMillis: 2000, memoryBytes: 1024, ephemeralStorageBytes: 0 },
};

function environment(
  container: Partial<Container>,
  pod: Pod = podOf({ enableServiceLinks: false }),
): Record<string, string> {
  const all = containerEnvironment(pod, { name: "c", ...container }, sources);
  return Object.fromEntries([...all].map(([name, value]) => [name, value.toString()]));
}

describe("variable expansion", () => {
  it.each([
    ["$(A)", "1"],
    ["x$(A)y$(B)", "x1y$(B)"],
    ["$$(A)", "$(A)"],
    ["$A", "$A"],
    ["$(A", "$(A"],
    ["$$$(A)", "$1"],
  ])("%s is %s", (text, expected) =>
    expect(expandVariables(text, (name) => (name === "A" ? "1" : undefined))).toBe(expected),
  );
});

describe("a container's environment", () => {
  it("takes envFrom first, then env in order, each able to use the earlier ones", () => {
    expect(
      environment({
        envFrom: [{ prefix: "X_", configMapRef: { name: "cm" } }],
        env: [
          { name: "P", valueFrom: { secretKeyRef: { name: "s", key: "p" } } },
          { name: "Q", value: "$(P)-$(X_a)" },
          { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
        ],
      }),
    ).toEqual({ X_a: "1", X_b: "two", P: "pw", Q: "pw-1", IP: "10.0.0.2" });
  });

  it("names what is missing as upstream does, unless it is optional", () => {
    const key = { name: "no", key: "k" };
    expect(() => environment({ env: [{ name: "A", valueFrom: { configMapKeyRef: key } }] })).toThrow(
      'configmap "no" not found',
    );
    expect(() =>
      environment({ env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "cm", key: "z" } } }] }),
    ).toThrow("couldn't find key z in ConfigMap default/cm");
    expect(environment({ env: [{ name: "A", valueFrom: { configMapKeyRef: { ...key, optional: true } } }] })).toEqual(
      {},
    );
  });

  it("has the link variables of its namespace's services, unless it wants none", () => {
    expect(environment({}, podOf())).toEqual({
      MY_DB_SERVICE_HOST: "10.96.0.9",
      MY_DB_SERVICE_PORT: "5432",
      MY_DB_SERVICE_PORT_SQL: "5432",
      MY_DB_PORT: "tcp://10.96.0.9:5432",
      MY_DB_PORT_5432_TCP: "tcp://10.96.0.9:5432",
      MY_DB_PORT_5432_TCP_PROTO: "tcp",
      MY_DB_PORT_5432_TCP_PORT: "5432",
      MY_DB_PORT_5432_TCP_ADDR: "10.96.0.9",
    });
    expect(environment({})).toEqual({});
  });

  it("gives limits that are not set as what the node has", () => {
    const env = [{ name: "CPU", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1m" } } }];
    expect(environment({ env })).toEqual({ CPU: "2000" });
    expect(environment({ env, resources: { limits: { cpu: "250m" } } })).toEqual({ CPU: "250" });
  });
});
