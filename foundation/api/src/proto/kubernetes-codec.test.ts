import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  decodeKubernetes,
  decodeWatchFrame,
  encodeKubernetes,
  encodeKubernetesMessage,
  encodeWatchFrame,
  hasKubernetesMessage,
  joinKubernetesList,
} from "./kubernetes-codec.ts";
import { ProtoError } from "./wire.ts";

type Json = { readonly [key: string]: unknown };
const seeds = JSON.parse(readFileSync(new URL("../../testdata/seeds.json", import.meta.url), "utf8")) as readonly {
  readonly seed: string;
  readonly answer?: Json;
}[];

/** Members that differ only by Go's zero values: absent, null, "", 0, false and empty objects and lists are one. */
function withoutZeros(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutZeros(item) ?? null);
  if (typeof value !== "object" || value === null) {
    return value === "" || value === 0 || value === false || value === null ? undefined : value;
  }
  const out: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    const kept = withoutZeros(member);
    if (kept !== undefined) out[key] = kept;
  }
  return Object.keys(out).length === 0 ? undefined : out;
}

/** Embedded objects lose their apiVersion and kind in protobuf, as upstream's do. */
function withoutNestedKinds(object: Json): Json {
  return JSON.parse(
    JSON.stringify(object, (key, value: Json) => {
      if (key !== "volumeClaimTemplates") return value;
      return (value as unknown as Json[]).map(({ apiVersion: _a, kind: _k, ...rest }) => rest);
    }),
  ) as Json;
}

describe("the binary form of kinds", () => {
  const answers = seeds.filter((seed) => seed.answer !== undefined);
  it.each(answers.map((seed) => [seed.seed, seed.answer as Json] as const))("%s goes there and back", (_, answer) => {
    const bytes = encodeKubernetes(answer);
    expect(bytes).toBeDefined();
    const decoded = decodeKubernetes(bytes as Buffer);
    expect(withoutZeros(decoded)).toEqual(withoutZeros(withoutNestedKinds(answer)));
    expect(decodeKubernetes(encodeKubernetes(decoded) as Buffer)).toEqual(decoded);
  });

  it("has the envelope that the format describes", () => {
    const bytes = encodeKubernetes({ apiVersion: "v1", kind: "Status", code: 200 }) as Buffer;
    expect(bytes.subarray(0, 4).toString("latin1")).toBe("k8s\0");
    expect(bytes.subarray(4, 18).toString("hex")).toBe("0a0c0a0276311206537461747573");
    expect(decodeKubernetes(bytes)).toEqual({ apiVersion: "v1", kind: "Status", metadata: {}, code: 200 });
  });

  it("keeps the zero of a pointer, drops that of a plain value", () => {
    const decoded = decodeKubernetes(
      encodeKubernetes({
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "" },
        spec: { replicas: 0, minReadySeconds: 0, paused: false },
      }) as Buffer,
    );
    expect(decoded["spec"]).toMatchObject({ replicas: 0 });
    expect(decoded["spec"]).not.toHaveProperty("minReadySeconds");
    expect(decoded["metadata"]).toEqual({});
  });

  it("joins lists out of encoded items", () => {
    const items = ["a", "b"].map((name) => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name },
      data: { x: "y" },
    }));
    const joined = joinKubernetesList(
      "v1",
      "ConfigMapList",
      { resourceVersion: "7" },
      items.map((item) => encodeKubernetesMessage(item) as Buffer),
    );
    const whole = encodeKubernetes({
      apiVersion: "v1",
      kind: "ConfigMapList",
      metadata: { resourceVersion: "7" },
      items,
    });
    expect(Buffer.concat(joined).equals(whole as Buffer)).toBe(true);
  });

  it("frames watch events around whole objects", () => {
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "a" } };
    const frame = encodeWatchFrame("ADDED", encodeKubernetes(pod) as Buffer);
    expect(frame.readUInt32BE(0)).toBe(frame.length - 4);
    expect(decodeWatchFrame(frame.subarray(4))).toMatchObject({ type: "ADDED", object: pod });
  });

  it("knows options and lists, not custom resources and tables", () => {
    expect(hasKubernetesMessage("v1", "DeleteOptions")).toBe(true);
    expect(hasKubernetesMessage("apps/v1", "DeploymentList")).toBe(true);
    expect(hasKubernetesMessage("metrics.k8s.io/v1beta1", "NodeMetricsList")).toBe(true);
    expect(hasKubernetesMessage("meta.k8s.io/v1", "Table")).toBe(false);
    expect(encodeKubernetes({ apiVersion: "example.com/v1", kind: "Widget" })).toBeUndefined();
  });

  it("throws nothing but ProtoError on damaged bytes", () => {
    const originals = answers.map((seed) => encodeKubernetes(seed.answer as Json) as Buffer);
    let seed = 99;
    const next = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16;
    for (let round = 0; round < 4000; round++) {
      const bytes = Buffer.from(originals[round % originals.length] as Buffer);
      for (let i = 0; i < 1 + (next() % 4); i++) bytes[4 + (next() % (bytes.length - 4))] = next() & 0xff;
      try {
        decodeKubernetes(bytes.subarray(0, next() % 3 === 0 ? 4 + (next() % bytes.length) : bytes.length));
      } catch (error) {
        expect(error).toBeInstanceOf(ProtoError);
      }
    }
  });
});
