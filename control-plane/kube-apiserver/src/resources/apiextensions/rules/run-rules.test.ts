import { createCustomSchema } from "@coracle/apimachinery/structural";
import { describe, expect, it } from "vitest";
import { createRuleRunner } from "./run-rules.ts";

const schema = createCustomSchema(
  {
    type: "object",
    properties: {
      spec: {
        type: "object",
        properties: {
          a: { type: "string", "x-kubernetes-validations": [{ rule: "self != 'bad'", message: "is bad" }] },
          b: { type: "string" },
        },
      },
    },
  },
  { group: "example.com", version: "v1", kind: "Odd", rules: createRuleRunner() } as never,
);

const odd = (a: string, b: string): never =>
  ({ apiVersion: "example.com/v1", kind: "Odd", metadata: { name: "x" }, spec: { a, b } }) as never;

describe("rules that stay broken", () => {
  it("where nothing changed are warned of", () => {
    const warnings: string[] = [];
    expect(schema.validateUpdate(odd("bad", "2"), odd("bad", "1"), [], warnings)).toEqual([]);
    expect(warnings).toEqual(['spec.a: Invalid value: "bad": is bad']);
  });

  it("where something changed are refused", () => {
    const warnings: string[] = [];
    expect(schema.validateUpdate(odd("bad", "1"), odd("good", "1"), [], warnings)).toHaveLength(1);
    expect(warnings).toEqual([]);
  });
});
