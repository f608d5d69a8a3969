import { describe, expect, it } from "vitest";
import { metadataText } from "./json-text.ts";

const metadata = { name: 'a "}" \\', labels: { "{": "}" }, ownerReferences: [{ uid: "}" }] };
const spec = { metadata: { name: "of a template" } };

describe("an object's metadata alone", () => {
  it("is what comes first, behind kind and version", () => {
    const object = { kind: "Pod", apiVersion: "v1", metadata, spec, status: {} };
    expect(JSON.parse(metadataText(JSON.stringify(object)))).toEqual({ kind: "Pod", apiVersion: "v1", metadata });
    expect(JSON.parse(metadataText(JSON.stringify({ metadata, spec })))).toEqual({ metadata });
  });

  for (const [what, object] of [
    ["an object that has nothing else", { kind: "Pod", metadata }],
    ["one whose metadata comes later", { kind: "Pod", spec, metadata }],
    ["one without metadata", { kind: "Pod", other: { metadata: "{" } }],
  ] as const)
    it(`${what} stays whole`, () => {
      expect(metadataText(JSON.stringify(object))).toBe(JSON.stringify(object));
    });
});
