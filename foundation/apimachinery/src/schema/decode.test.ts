import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeKubernetes, encodeKubernetes } from "@coracle/api";
import { applyJsonPatch } from "../patch/json-patch.ts";
import { builtInSchema } from "./schema-engine.ts";

const pod = (spec: unknown): unknown => ({ apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec });
const POD = { group: "", version: "v1", kind: "Pod" };
const decode = (spec: unknown) => builtInSchema().decodeKind(POD, pod(spec));
const container = { name: "c", resources: {} };

/** Go writes absent lists and times of some kinds as null; here they are absent. */
function withoutNulls(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, member: unknown) => (member === null ? undefined : member)));
}

describe("decoding", () => {
  it("names unknown fields by path, drops them", () => {
    const { object, unknownFields } = decode({ containers: [{ name: "c", foo: 1 }], Bar: 2 });
    expect(unknownFields).toEqual(['unknown field "spec.containers[0].foo"', 'unknown field "spec.Bar"']);
    expect(object).toEqual({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "a" },
      spec: { containers: [container] },
      status: {},
    });
  });

  it.each([
    [
      { containers: "x" },
      "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
    ],
    [
      { hostNetwork: "yes" },
      "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
    ],
    [{ priority: 1.5 }, "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32"],
    [
      { nodeSelector: { a: 1 } },
      "json: cannot unmarshal number into Go struct field PodSpec.spec.nodeSelector of type string",
    ],
    [
      { containers: [{ resources: { limits: { cpu: "Nope" } } }] },
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [[], "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"],
  ])("refuses %j", (spec, message) => {
    expect(() => decode(spec)).toThrow(`Pod in version "v1" cannot be handled as a Pod: ${message}`);
  });

  it.each([
    [
      "goes on after a value of the wrong form, and tells the first",
      { metadata: { name: 1 }, data: { a: "*" } },
      "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
    ],
    ["tells bad base64 like a wrong form", { data: { a: "*" }, metadata: [] }, "illegal base64 data at input byte 0"],
    [
      "reads bytes from lists of numbers",
      { data: { a: ["x"] } },
      "json: cannot unmarshal string into Go struct field Secret.data of type uint8",
    ],
  ])("%s", (_, value, message) => {
    expect(() => builtInSchema().decodeKind({ group: "", version: "v1", kind: "Secret" }, value)).toThrow(message);
  });

  it.each([
    [
      "a quantity ends the decoding",
      { metadata: [], spec: { limits: [{ max: { cpu: [] } }] } },
      { group: "", version: "v1", kind: "LimitRange" },
      "quantities must match the regular expression",
    ],
    [
      "so does a port",
      { spec: { ports: [{ port: 1.5, targetPort: true }] } },
      { group: "", version: "v1", kind: "Service" },
      "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
    ],
    [
      "keys of maps are left out",
      { spec: { devices: [{ attributes: { model: 1 } }] } },
      { group: "resource.k8s.io", version: "v1", kind: "ResourceSlice" },
      "json: cannot unmarshal number into Go struct field Device.spec.devices.attributes of type v1.DeviceAttribute",
    ],
    [
      "maps with named keys say so",
      { spec: { devices: [{ attributes: 1 }] } },
      { group: "resource.k8s.io", version: "v1", kind: "ResourceSlice" },
      "json: cannot unmarshal number into Go struct field Device.spec.devices.attributes of type map[v1.QualifiedName]v1.DeviceAttribute",
    ],
    [
      "times are quoted byte by byte",
      { spec: { renewTime: "ü" } },
      { group: "coordination.k8s.io", version: "v1", kind: "Lease" },
      String.raw`parsing time "\xc3\xbc" as`,
    ],
  ])("%s", (_, value, gvk, message) => {
    expect(() => builtInSchema().decodeKind(gvk, value)).toThrow(message);
  });

  it("reads bytes from lists of numbers, null among them as zero", () => {
    const { object } = builtInSchema().decodeKind(
      { group: "", version: "v1", kind: "Secret" },
      { data: { a: [104, null] } },
    );
    expect(object["data"]).toEqual({ a: "aAA=" });
  });

  it("reads null as absent, drops zero values that JSON leaves out, keeps those of pointers", () => {
    const spec = {
      containers: [container],
      nodeName: null,
      hostNetwork: false,
      nodeSelector: {},
      priority: 0,
      volumes: [],
    };
    expect(decode(spec).object["spec"]).toEqual({ containers: [container], priority: 0 });
  });

  it("writes quantities, times and int-or-strings canonically", () => {
    const { object } = decode({
      containers: [
        {
          name: "c",
          resources: { requests: { cpu: 0.5, memory: "1024Mi", x: "1u" } },
          livenessProbe: { httpGet: { port: "http" }, exec: null },
        },
      ],
    });
    expect(object["spec"]).toMatchObject({
      containers: [{ resources: { requests: { cpu: "500m", memory: "1Gi", x: "1m" } } }],
    });
    const lease = builtInSchema().decodeKind(
      { group: "coordination.k8s.io", version: "v1", kind: "Lease" },
      {
        metadata: { name: "l", creationTimestamp: "2026-01-02T03:04:05.678+01:00" },
        spec: { renewTime: "2026-01-02T03:04:05.678901Z" },
      },
    );
    expect(lease.object).toMatchObject({
      metadata: { creationTimestamp: "2026-01-02T02:04:05Z" },
      spec: { renewTime: "2026-01-02T03:04:05.678901Z" },
    });
  });

  it("keeps keys named __proto__ as data", () => {
    const value: unknown = JSON.parse('{"metadata":{"labels":{"__proto__":"x"}},"__proto__":1}');
    const { object, unknownFields } = builtInSchema().decodeKind(POD, value);
    expect(JSON.stringify(object)).toContain('"__proto__":"x"');
    expect(unknownFields).toEqual(['unknown field "__proto__"']);
  });

  it("refuses bad base64", () => {
    const gvk = { group: "", version: "v1", kind: "Secret" };
    expect(() => builtInSchema().decodeKind(gvk, { data: { a: "*" } })).toThrow("illegal base64 data at input byte 0");
    expect(builtInSchema().decodeKind(gvk, { data: { a: "eA==" } }).object["data"]).toEqual({ a: "eA==" });
  });

  const seeds = JSON.parse(
    readFileSync(new URL("../../../api/testdata/seeds.json", import.meta.url), "utf8"),
  ) as readonly {
    seed: string;
    object: Record<string, unknown>;
    answer?: Record<string, unknown>;
  }[];
  it.each(seeds.filter((seed) => seed.answer !== undefined).map((seed) => [seed.seed, seed] as const))(
    "what the API stores of %s is canonical",
    (_, { object, answer }) => {
      const [group = "", version = ""] = String(object["apiVersion"]).includes("/")
        ? String(object["apiVersion"]).split("/")
        : ["", String(object["apiVersion"])];
      const gvk = { group, version, kind: String(object["kind"]) };
      const decoded = builtInSchema().decodeKind(gvk, answer);
      expect(decoded.unknownFields).toEqual([]);
      expect(withoutNulls(decoded.object)).toEqual(withoutNulls(answer));
      expect(builtInSchema().decodeKind(gvk, object).unknownFields).toEqual([]);
    },
  );

  it("refuses with 400 what the API refuses with 400, and nothing else", () => {
    const lines = readFileSync(new URL("../../testdata/decode-answers.jsonl", import.meta.url), "utf8")
      .trim()
      .split("\n");
    const objects = new Map(seeds.map((seed) => [seed.seed, seed.object]));
    const wrong: string[] = [];
    for (const line of lines) {
      const { seed, op, path, value, code } = JSON.parse(line) as Record<string, unknown> & { code: number };
      const repeat = typeof value === "string" ? /^(.)\*(\d+)$/.exec(value) : null;
      const operation = { op, path, value: repeat === null ? value : String(repeat[1]).repeat(Number(repeat[2])) };
      const object = applyJsonPatch(objects.get(String(seed)), [operation]) as Record<string, unknown>;
      const [version = "", group = ""] = String(object["apiVersion"]).split("/").reverse();
      let isRefused = false;
      try {
        const gvk = { group, version, kind: String(object["kind"]) };
        isRefused = builtInSchema().decodeKind(gvk, object).unknownFields.length > 0;
      } catch (error) {
        expect(error).toMatchObject({ code: 400 });
        isRefused = true;
      }
      if (isRefused !== (code === 400)) wrong.push(line);
    }
    expect(wrong).toEqual([]);
  });

  it("what comes out of protobuf is what came out of JSON", () => {
    for (const { answer } of seeds) {
      const bytes = answer === undefined ? undefined : encodeKubernetes(answer);
      if (bytes === undefined || answer === undefined || answer["kind"] === "StatefulSet") continue;
      const [version = "", group = ""] = String(answer["apiVersion"]).split("/").reverse();
      const decoded = builtInSchema().decodeKind(
        { group, version, kind: String(answer["kind"]) },
        decodeKubernetes(bytes),
      );
      expect(withoutNulls(decoded.object)).toEqual(withoutNulls(answer));
    }
  });
});
