import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { holds, openExtensionsFixture, type ExtensionsFixture } from "./extensions-fixture.ts";

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS = "/apis/shop.example.com/v1/namespaces/default/widgets";

const version = (name: string, part: object = {}): object => ({
  name,
  served: true,
  storage: name === "v1",
  schema: {
    openAPIV3Schema: {
      type: "object",
      properties: {
        spec: {
          type: "object",
          properties: {
            size: { type: "integer", minimum: 0 },
            color: { type: "string", default: "red" },
            replicas: { type: "integer" },
          },
        },
        status: {
          type: "object",
          properties: { replicas: { type: "integer" }, selector: { type: "string" }, phase: { type: "string" } },
        },
      },
    },
  },
  ...part,
});

const definition = (plural: string, part: object = {}, versions: readonly object[] = [version("v1")]): object => {
  const singular = plural.replace(/s$/, "");
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.shop.example.com` },
    spec: {
      group: "shop.example.com",
      scope: "Namespaced",
      names: { plural, singular, kind: singular.charAt(0).toUpperCase() + singular.slice(1) },
      versions,
      ...part,
    },
  };
};

const widget = (name: string, spec: object = { size: 1 }): object => ({
  apiVersion: "shop.example.com/v1",
  kind: "Widget",
  metadata: { name },
  spec,
});

describe("a definition", () => {
  let api: ExtensionsFixture;
  beforeAll(async () => {
    api = await openExtensionsFixture();
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "default" } });
  });
  afterAll(async () => api[Symbol.asyncDispose]());

  it("is served as soon as it says that it is established", async () => {
    const crd = await api.establish(definition("widgets"));
    expect(crd["status"]).toMatchObject({
      acceptedNames: { plural: "widgets", singular: "widget", kind: "Widget", listKind: "WidgetList" },
      storedVersions: ["v1"],
      conditions: [
        { type: "NamesAccepted", status: "True", reason: "NoConflicts", message: "no conflicts found" },
        {
          type: "Established",
          status: "True",
          reason: "InitialNamesAccepted",
          message: "the initial names have been accepted",
        },
      ],
    });
    const made = await api.call("POST", WIDGETS, widget("one"));
    expect(made.json).toMatchObject({ metadata: { generation: 1 }, spec: { size: 1, color: "red" } });
    expect(made.status).toBe(201);
    const list = await api.call("GET", WIDGETS);
    expect(list.json).toMatchObject({ kind: "WidgetList", items: [{ kind: "Widget", metadata: { name: "one" } }] });
  });
});
void holds;
void DEFINITIONS;
