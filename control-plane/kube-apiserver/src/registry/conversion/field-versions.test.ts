import type { Draft } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import { createBuiltInSchemaPort } from "../built-in-types.ts";
import { readResourceCatalog, type ResourceEntry } from "../resource-catalog.ts";
import { fieldVersionsOf } from "./field-versions.ts";

const entries = readResourceCatalog().filter((entry) => entry.etcdPrefix !== undefined);
const schema = createBuiltInSchemaPort();
const entryOf = (group: string, version: string, plural: string): ResourceEntry => {
  const found = entries.find((one) => one.group === group && one.version === version && one.plural === plural);
  if (found === undefined) throw new Error(plural);
  return found;
};

describe("fields that are owned in another version", () => {
  it("have the names that they have there", () => {
    const inVersion = fieldVersionsOf(entryOf("autoscaling", "v2", "horizontalpodautoscalers"), entries, schema);
    const version = inVersion?.("autoscaling/v1");
    if (version === undefined || version === "gone") throw new Error("no version");
    const metrics = [{ type: "Resource", resource: { name: "cpu", target: { averageUtilization: 60 } } }];
    const converted = version.convert({ metadata: {}, spec: { maxReplicas: 5, metrics } } as Draft);
    expect(converted["spec"]).toEqual({ maxReplicas: 5, targetCPUUtilizationPercentage: 60 });
    expect(inVersion?.("autoscaling/v2")).toBeUndefined();
  });

  it("in another group are gone", () => {
    expect(fieldVersionsOf(entryOf("", "v1", "events"), entries, schema)?.("events.k8s.io/v1")).toBe("gone");
  });

  it("of most kinds have one name in all versions", () => {
    expect(fieldVersionsOf(entryOf("", "v1", "pods"), entries, schema)).toBeUndefined();
  });
});
