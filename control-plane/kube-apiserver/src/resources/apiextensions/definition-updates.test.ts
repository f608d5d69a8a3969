import type { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { describe, expect, it } from "vitest";
import type { Decoded } from "../validation/decoded.ts";
import { createRuleChecker } from "./rules/check-rules.ts";
import { validateDefinitionUpdate } from "./validate-definition.ts";

const rules = createRuleChecker();

interface Shape {
  readonly schema?: object | undefined;
  readonly spec?: object;
  readonly version?: object;
  readonly status?: object;
}

function definition({ schema, spec, version, status }: Shape): Decoded<CustomResourceDefinition> {
  const openAPIV3Schema = { type: "object", properties: { spec: schema ?? { type: "object" } } };
  return {
    metadata: { name: "as.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "as", singular: "a", kind: "A", listKind: "AList" },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema }, ...version }],
      conversion: { strategy: "None" },
      ...spec,
    },
    status: { storedVersions: ["v1"], acceptedNames: { plural: "as", kind: "A" }, conditions: [], ...status },
  } as unknown as Decoded<CustomResourceDefinition>;
}

const verdict = (from: Shape, to: Shape): readonly string[] =>
  validateDefinitionUpdate(definition(to), definition(from), rules).map(({ field, message }) => `${field}: ${message}`);
const ESTABLISHED = { conditions: [{ type: "Established", status: "True" }] };
const AT = "spec.validation.openAPIV3Schema.properties[spec]";

describe("updates of custom resource definitions", () => {
  it("what was wrong before may stay wrong", () => {
    const bad = { type: "array", "x-kubernetes-list-type": "set", items: { type: "object" } };
    expect(verdict({ schema: bad }, { schema: { ...bad, maxItems: 5 } })).toEqual([]);
    const nullable = { type: "array", "x-kubernetes-list-type": "set", items: { type: "string", nullable: true } };
    expect(verdict({ schema: nullable }, { schema: nullable })).toEqual([]);
  });

  it("what was right before may not become wrong", () => {
    const bad = { type: "array", "x-kubernetes-list-type": "set", items: { type: "object" } };
    expect(verdict({}, { schema: bad })).toEqual([
      `${AT}.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set`,
    ]);
  });

  it("unpruned defaults stay only where there have been some", () => {
    const bad = { type: "object", properties: { a: { type: "string" } }, default: { b: 1 } };
    expect(verdict({ schema: bad }, { schema: bad })).toEqual([]);
    expect(verdict({}, { schema: bad })).toEqual([
      `${AT}.default: Invalid value: {"b":1}: must not have unknown fields`,
    ]);
  });

  it("scope and kind are fixed once the definition is established, group and plural always", () => {
    const other = { scope: "Cluster", names: { plural: "as", singular: "a", kind: "B", listKind: "AList" } };
    expect(verdict({}, { spec: other })).toEqual([]);
    expect(verdict({ status: ESTABLISHED }, { spec: other, status: ESTABLISHED })).toEqual([
      'spec.scope: Invalid value: "Cluster": field is immutable',
      'spec.names.kind: Invalid value: "B": field is immutable',
    ]);
    expect(verdict({}, { spec: { group: "example.org" } })).toEqual([
      'spec.group: Invalid value: "example.org": field is immutable',
    ]);
  });

  it("versions that objects are stored in stay", () => {
    expect(verdict({ status: { storedVersions: ["v1", "v0"] } }, { status: { storedVersions: ["v1", "v0"] } })).toEqual(
      [
        'status.storedVersions[1]: Invalid value: "v0": missing from spec.versions; v0 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v0 and removes v0 from status.storedVersions',
      ],
    );
  });

  it("rules that cost too much stay as long as the schema does", () => {
    const dear = {
      type: "array",
      items: { type: "string" },
      "x-kubernetes-validations": [{ rule: "self.all(x, self.all(y, x == y))" }],
    };
    const found = verdict({ schema: dear }, { schema: dear });
    expect(found.some((text) => text.includes("estimated rule cost exceeds budget"))).toBe(false);
    const changed = verdict({ schema: dear }, { schema: { ...dear, minItems: 1 } });
    expect(changed.some((text) => text.includes("estimated rule cost exceeds budget"))).toBe(true);
  });
});
