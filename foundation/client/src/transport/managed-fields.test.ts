import { describe, expect, it } from "vitest";
import { withoutManagedFields } from "./managed-fields.ts";

const FIELDS = [
  { manager: 'a "b" ]', fieldsType: "FieldsV1", fieldsV1: { "f:x": { 'k:{"n":"]\\"}': {}, 'v:"["': {} } } },
  { manager: "b" },
];

describe("an object without its owners of fields", () => {
  for (const [where, metadata] of [
    ["alone", { managedFields: FIELDS }],
    ["first", { managedFields: FIELDS, name: "a" }],
    ["last", { name: "a", managedFields: FIELDS }],
    ["between others", { name: "a", managedFields: FIELDS, uid: "]" }],
    ["empty", { name: "a", managedFields: [] }],
    ["absent", { name: "a" }],
  ] as const)
    it(`${where}`, () => {
      const { managedFields: _, ...rest } = metadata as Record<string, unknown>;
      const object = { kind: "Pod", metadata, spec: { nodeName: "n" } };
      expect(JSON.parse(withoutManagedFields(JSON.stringify(object)))).toEqual({ ...object, metadata: rest });
    });

  it("of every object of a list", () => {
    const list = { items: [1, 2, 3].map((i) => ({ metadata: { name: `${i}`, managedFields: FIELDS } })) };
    expect(JSON.parse(withoutManagedFields(JSON.stringify(list)))).toEqual({
      items: [1, 2, 3].map((i) => ({ metadata: { name: `${i}` } })),
    });
  });

  it("text that speaks of them stays", () => {
    const object = { metadata: { annotations: { last: JSON.stringify({ managedFields: FIELDS }) } } };
    expect(withoutManagedFields(JSON.stringify(object))).toBe(JSON.stringify(object));
  });
});
