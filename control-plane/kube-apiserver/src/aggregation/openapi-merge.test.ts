import { describe, expect, it } from "vitest";
import { asVersion3, mergeSpecification, underPrefix, type Specification } from "./openapi-merge.ts";

const ref = (name: string) => ({ $ref: `#/definitions/${name}` });
const at = (name: string) => ({ get: { responses: { "200": { schema: ref(name) } } } });
const KINDS = "x-kubernetes-group-version-kind";
const kind = (name: string) => ({ group: "g", version: "v1", kind: name });

const own: Specification = {
  swagger: "2.0",
  paths: { "/api/v1/pods": at("Meta") },
  definitions: { Meta: { type: "object", [KINDS]: [kind("A")] } },
};

describe("merged OpenAPI", () => {
  it("of another server only its own paths count, with the definitions they lead to", () => {
    const document = {
      paths: { "/apis/g/v1/things": at("Thing"), "/api/v1/pods": at("Lie") },
      definitions: { Thing: { properties: { part: ref("Part") } }, Part: { type: "string" }, Lie: {}, Unused: {} },
    };
    expect(underPrefix(document, "/apis/g/v1/")).toEqual({
      paths: { "/apis/g/v1/things": at("Thing") },
      definitions: { Thing: { properties: { part: ref("Part") } }, Part: { type: "string" } },
    });
    expect(underPrefix("nonsense", "/apis/g/v1/")).toBeUndefined();
  });

  it("a definition of the same name and another content gets a name of its own, also where it is referred to", () => {
    const source: Specification = {
      paths: { "/apis/g/v1/things": at("Thing") },
      definitions: { Thing: { properties: { metadata: ref("Meta") } }, Meta: { type: "object", description: "old" } },
    };
    expect(mergeSpecification(own, source)).toEqual({
      swagger: "2.0",
      paths: { ...own.paths, "/apis/g/v1/things": at("Thing") },
      definitions: {
        ...own.definitions,
        Thing: { properties: { metadata: ref("Meta_v2") } },
        Meta_v2: { type: "object", description: "old" },
      },
    });
  });

  it("the same definition is shared, and stands for all kinds", () => {
    const source: Specification = {
      paths: { "/apis/g/v1/things": at("Meta") },
      definitions: { Meta: { type: "object", [KINDS]: [kind("A"), kind("B")] } },
    };
    expect(mergeSpecification(own, source).definitions).toEqual({
      Meta: { type: "object", [KINDS]: [kind("A"), kind("B")] },
    });
  });

  it("a third server with the same other definition shares the second's", () => {
    const source = (path: string): Specification => ({
      paths: { [path]: at("Meta") },
      definitions: { Meta: { type: "string" } },
    });
    const merged = mergeSpecification(mergeSpecification(own, source("/apis/a/v1/x")), source("/apis/b/v1/x"));
    expect(Object.keys(merged.definitions)).toEqual(["Meta", "Meta_v2"]);
  });

  it("a path that is there stays what it is", () => {
    const source: Specification = { paths: { "/api/v1/pods": at("Other") }, definitions: { Other: {} } };
    expect(mergeSpecification(own, source)).toBe(own);
  });

  it("v2 becomes v3 for servers that publish none", () => {
    const converted = asVersion3({
      paths: {
        "/apis/g/v1/things": {
          post: {
            consumes: ["*/*"],
            produces: ["application/json"],
            parameters: [
              { name: "body", in: "body", required: true, schema: ref("Thing") },
              { name: "dryRun", in: "query", type: "string", uniqueItems: true },
            ],
            responses: { "201": { description: "Created", schema: ref("Thing") } },
          },
        },
      },
      definitions: { Thing: { properties: { part: ref("Part") } } },
    });
    expect(converted).toEqual({
      openapi: "3.0.0",
      info: { title: "", version: "" },
      paths: {
        "/apis/g/v1/things": {
          post: {
            parameters: [{ name: "dryRun", in: "query", schema: { type: "string", uniqueItems: true } }],
            requestBody: { content: { "*/*": { schema: { $ref: "#/components/schemas/Thing" } } }, required: true },
            responses: {
              "201": {
                description: "Created",
                content: { "application/json": { schema: { $ref: "#/components/schemas/Thing" } } },
              },
            },
          },
        },
      },
      components: { schemas: { Thing: { properties: { part: { $ref: "#/components/schemas/Part" } } } } },
    });
  });
});
