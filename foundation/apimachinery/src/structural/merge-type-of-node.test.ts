import { describe, expect, it } from "vitest";
import { checkConfig } from "../apply/check-config.ts";
import { compareObjects, fieldSetOf } from "../apply/compare.ts";
import { pathsOf } from "../apply/field-set.ts";
import { mergeConfig } from "../apply/merge.ts";
import { compileSchema } from "./compile-schema.ts";
import { mergeTypeOfResource } from "./merge-type-of-node.ts";

const type = mergeTypeOfResource(
  compileSchema({
    type: "object",
    properties: {
      spec: {
        type: "object",
        properties: {
          size: { type: "integer" },
          port: { "x-kubernetes-int-or-string": true },
          when: { type: "string", format: "date-time" },
          tags: { type: "array", items: { type: "string" } },
          names: { type: "array", "x-kubernetes-list-type": "set", items: { type: "string" } },
          parts: {
            type: "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "port"],
            items: {
              type: "object",
              properties: {
                name: { type: "string" },
                port: { type: "integer", default: 80 },
                note: { type: "string" },
              },
            },
          },
          whole: { type: "object", "x-kubernetes-map-type": "atomic", properties: { a: { type: "string" } } },
          labels: { type: "object", additionalProperties: { type: "string" } },
          free: {
            type: "object",
            "x-kubernetes-preserve-unknown-fields": true,
            properties: { known: { type: "object", properties: { a: { type: "string" } } } },
          },
          template: {
            type: "object",
            "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true,
          },
        },
      },
    },
  }),
);

const owned = (spec: object): readonly string[] => pathsOf(fieldSetOf(type, { spec }));
const merged = (live: object, config: object): unknown =>
  (mergeConfig(type, { spec: live }, { spec: config }) as { spec: unknown }).spec;

describe("how custom resources are owned and merged", () => {
  it.each([
    ["scalars by themselves", { size: 1, port: "http", when: "x" }, [".spec.port", ".spec.size", ".spec.when"]],
    ["a list without a type as one thing", { tags: ["a", "b"] }, [".spec.tags"]],
    ["a set by its items", { names: ["a", "b"] }, ['.spec.names[="a"]', '.spec.names[="b"]']],
    ["an atomic map as one thing", { whole: { a: "x" } }, [".spec.whole"]],
    ["a map by its keys", { labels: { a: "x", b: "y" } }, [".spec.labels.a", ".spec.labels.b"]],
    [
      "what is of free form as far as its values tell",
      { free: { x: { y: 1 }, z: [1] } },
      [".spec.free.x.y", ".spec.free.z"],
    ],
    ["declared parts of what is free", { free: { known: { a: "x" } } }, [".spec.free.known.a"]],
    [
      "metadata of a resource inside by its type",
      { template: { metadata: { labels: { a: "b" } }, spec: { x: 1 } } },
      [".spec.template.metadata.labels.a", ".spec.template.spec.x"],
    ],
  ])("%s", (_, spec, paths) => {
    expect(
      owned(spec)
        .filter((path) => paths.includes(path))
        .sort(),
    ).toEqual([...paths].sort());
  });

  it("items of lists of type map are told apart by their keys, whose defaults count", () => {
    expect(
      merged({ parts: [{ name: "a", port: 80, note: "x" }] }, { parts: [{ name: "a" }, { name: "a", port: 81 }] }),
    ).toEqual({
      parts: [
        { name: "a", port: 80, note: "x" },
        { name: "a", port: 81 },
      ],
    });
  });

  it("members of free form are merged, too", () => {
    expect(merged({ free: { x: { a: 1 }, keep: true } }, { free: { x: { b: 2 } } })).toEqual({
      free: { x: { a: 1, b: 2 }, keep: true },
    });
    const { changed } = compareObjects(type, { spec: { free: { x: 1 } } }, { spec: { free: { x: 2 } } });
    expect(pathsOf(changed)).toEqual([".spec.free.x"]);
  });

  it("a configuration with members that the schema does not have is refused", () => {
    expect(checkConfig(type, { spec: { nope: 1 } })).toEqual([".spec.nope: field not declared in schema"]);
    expect(checkConfig(type, { spec: { size: "x" } })[0]).toContain(".spec.size: expected numeric");
    expect(checkConfig(type, { spec: { free: { anything: 1 } } })).toEqual([]);
  });
});
