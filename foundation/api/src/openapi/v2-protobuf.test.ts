import { describe, expect, it } from "vitest";
import { createOpenApi } from "./openapi.ts";
import { encodeOpenApiV2 } from "./v2-protobuf.ts";

describe("OpenAPI v2 as protobuf", () => {
  it("names every field by its number in OpenAPIv2.proto", () => {
    const bytes = encodeOpenApiV2({
      swagger: "2.0",
      info: { title: "K", version: "v1" },
      paths: {},
      definitions: {
        A: { type: "object", required: ["b"], properties: { b: { type: "array", items: { $ref: "#/B" } } } },
      },
    });
    const at = (...parts: string[]): boolean => bytes.toString("hex").includes(parts.join(""));
    expect(at("0a03322e30")).toBe(true); // 1: swagger
    expect(at("12070a014b12027631")).toBe(true); // 2: info { 1: title, 2: version }
    expect(at("9a010162")).toBe(true); // 19: required
    expect(at("b201080a066f626a656374")).toBe(true); // 22: type { 1: value }
    expect(at("ba01070a050a03232f42")).toBe(true); // 23: items { 1: schema { 1: $ref } }
  });

  it("holds every definition and path of the JSON document", () => {
    const openApi = createOpenApi();
    const json = JSON.parse(openApi.v2().bytes.toString("utf8")) as { definitions: object; paths: object };
    const text = openApi.v2Protobuf().bytes.toString("latin1");
    for (const name of [...Object.keys(json.definitions), ...Object.keys(json.paths)])
      expect(text.includes(name), name).toBe(true);
    expect(openApi.v2Protobuf().hash).not.toBe(openApi.v2().hash);
  });
});
