import { describe, expect, it } from "vitest";
import { createOpenApi, type OpenApiDocument } from "./openapi.ts";

type Json = { readonly [key: string]: Json };
const read = (document: OpenApiDocument | undefined): Json => JSON.parse(String(document?.bytes)) as Json;

/** Every reference of the document leads somewhere. */
function danglingReferences(document: Json, known: Json, prefix: string): string[] {
  const found: string[] = [];
  JSON.stringify(document, (key, value: unknown) => {
    if (key === "$ref" && typeof value === "string" && !(value.slice(prefix.length) in known)) found.push(value);
    return value;
  });
  return found;
}

describe("OpenAPI documents", () => {
  const openApi = createOpenApi();

  it("lists a document for each group and version", () => {
    const paths = read(openApi.v3Index())["paths"] as Json;
    expect(paths["apis/apps/v1"]?.["serverRelativeURL"]).toMatch(/^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]{128}$/);
    for (const path of Object.keys(paths)) expect(openApi.v3(path)).toBeDefined();
    expect(openApi.v3("apis/none/v1")).toBeUndefined();
  });

  it("holds what `kubectl explain` and field validation look for", () => {
    const document = read(openApi.v3("api/v1"));
    const pods = document["paths"]?.["/api/v1/namespaces/{namespace}/pods"];
    expect(pods?.["get"]?.["x-kubernetes-group-version-kind"]).toEqual({ group: "", kind: "Pod", version: "v1" });
    const patch = document["paths"]?.["/api/v1/namespaces/{namespace}/pods/{name}"]?.["patch"];
    expect(JSON.stringify(patch?.["parameters"])).toContain('"fieldValidation"');
    const schemas = document["components"]?.["schemas"] as Json;
    expect(schemas["io.k8s.api.core.v1.PodSpec"]?.["properties"]?.["containers"]).toMatchObject({
      type: "array",
      "x-kubernetes-patch-merge-key": "name",
    });
    expect(schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]).not.toHaveProperty("type");
    expect(danglingReferences(document, schemas, "#/components/schemas/")).toEqual([]);
  });

  it("the v2 document has every resource and no dangling reference", () => {
    const document = read(openApi.v2());
    expect(document["paths"]).toHaveProperty(["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]);
    expect(danglingReferences(document, document["definitions"] as Json, "#/definitions/")).toEqual([]);
  });

  it("describes custom resources, and follows their changes", () => {
    const type = {
      type: "object",
      properties: { spec: { type: "object", properties: { size: { enum: ["s", "m"] } } } },
    };
    const widget = {
      group: "example.com",
      version: "v1",
      kind: "Widget",
      listKind: "WidgetList",
      plural: "widgets",
      namespaced: true,
      verbs: ["get", "list", "create"],
      types: { v2: { type: "object" }, v3: type, list: { type: "object" } },
    };
    let custom = [widget];
    const withCustom = createOpenApi({ custom: () => custom });
    const before = read(withCustom.v3("apis/example.com/v1"));
    const schemas = before["components"]?.["schemas"] as Json;
    expect(schemas["com.example.v1.Widget"]?.["properties"]?.["spec"]?.["properties"]?.["size"]).toEqual({
      enum: ["s", "m"],
    });
    expect(danglingReferences(before, schemas, "#/components/schemas/")).toEqual([]);
    expect(String(withCustom.v3Index().bytes)).toContain("example.com");
    expect(String(withCustom.v2().bytes)).toContain("com.example.v1.Widget");
    expect(JSON.parse(String(withCustom.v2().bytes))).toHaveProperty(["paths", "/api/v1/pods"]);
    const kept = withCustom.v3("apis/example.com/v1");
    custom = [widget, { ...widget, group: "other.com" }];
    withCustom.refresh();
    expect(withCustom.v3("apis/example.com/v1"), "what did not change is not built again").toBe(kept);
    expect(String(withCustom.v2().bytes)).toContain("com.other.v1.Widget");
    custom = [];
    withCustom.refresh();
    expect(withCustom.v3("apis/example.com/v1")).toBeUndefined();
    expect(String(withCustom.v3Index().bytes)).not.toContain("example.com");
  });
});
