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

const crdOf = async (api: ExtensionsFixture, name: string): Promise<Record<string, unknown>> =>
  (await api.call("GET", `${DEFINITIONS}/${name}.shop.example.com`)).json;

const conditionsOf = (crd: Record<string, unknown>): readonly { type: string; status: string; reason: string }[] =>
  (crd["status"] as { conditions?: readonly { type: string; status: string; reason: string }[] }).conditions ?? [];

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";
const METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const STATUS = { status: {}, scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" } };

describe("a definition", () => {
  let api: ExtensionsFixture;
  beforeAll(async () => {
    api = await openExtensionsFixture();
    await api.call("POST", "/api/v1/namespaces", { metadata: { name: "default" } });
  });
  afterAll(async () => api[Symbol.asyncDispose]());

  const gone = async (name: string): Promise<void> => {
    await api.call("DELETE", `${DEFINITIONS}/${name}.shop.example.com`);
    await api.until(`${name} is gone`, async () => {
      const { status } = await api.call("GET", `${DEFINITIONS}/${name}.shop.example.com`);
      return status === 404;
    });
  };

  it("is served as soon as it says that it is established", async () => {
    const crd = await api.establish(definition("widgets"));
    expect(crd["status"]).toMatchObject({
      acceptedNames: { plural: "widgets", singular: "widget", kind: "Widget", listKind: "WidgetList" },
      storedVersions: ["v1"],
    });
    expect(conditionsOf(crd)).toMatchObject([
      { type: "NamesAccepted", status: "True", reason: "NoConflicts", message: "no conflicts found" },
      {
        type: "Established",
        status: "True",
        reason: "InitialNamesAccepted",
        message: "the initial names have been accepted",
      },
    ]);
    const made = await api.call("POST", WIDGETS, widget("one"));
    expect(made.json).toMatchObject({ metadata: { generation: 1 }, spec: { size: 1, color: "red" } });
    expect(made.status).toBe(201);
    const list = await api.call("GET", WIDGETS);
    expect(list.json).toMatchObject({ kind: "WidgetList", items: [{ kind: "Widget", metadata: { name: "one" } }] });
  });

  it("refuses what its schema refuses, and says so at the field", async () => {
    const bad = await api.call("POST", WIDGETS, widget("bad", { size: -1 }));
    expect(bad.status).toBe(422);
    expect(bad.json["message"]).toBe(
      'Widget.shop.example.com "bad" is invalid: spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0',
    );
    const unnamed = await api.call("PATCH", `${WIDGETS}/one`, "{}", {
      "content-type": "application/strategic-merge-patch+json",
    });
    expect(unnamed.status).toBe(415);
  });

  it("drops unknown fields, and tells of them as asked", async () => {
    const strange = { ...widget("strange"), extra: 1 };
    const ignored = await api.call("POST", `${WIDGETS}?fieldValidation=Ignore&dryRun=All`, strange);
    expect(ignored.json["extra"]).toBeUndefined();
    expect(ignored.headers["warning"]).toBeUndefined();
    const warned = await api.call("POST", `${WIDGETS}?dryRun=All`, strange);
    expect(String(warned.headers["warning"])).toContain('unknown field \\"extra\\"');
    const text =
      '{"kind":"Widget","apiVersion":"shop.example.com/v1","metadata":{"name":"x"},"a":1,"spec":{"size":1,"size":2}}';
    const refused = await api.call("POST", `${WIDGETS}?fieldValidation=Strict`, text);
    expect(refused.json["message"]).toBe(
      'Widget in version "v1" cannot be handled as a Widget: strict decoding error: duplicate field "spec.size", unknown field "a"',
    );
  });

  it("tells repeated and unknown fields of built-in kinds in the order of the text", async () => {
    const text = '{"metadata":{"name":"x"},"before":1,"data":{"a":"1","a":"2"},"after":1}';
    const refused = await api.call("POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Strict", text);
    expect(refused.json["message"]).toBe(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "before", duplicate field "data.a", unknown field "after"',
    );
  });

  it("counts changes of the spec, and of nothing else but the status where that is no subresource", async () => {
    const generation = async (patch: object): Promise<unknown> =>
      ((await api.call("PATCH", `${WIDGETS}/one`, patch)).json["metadata"] as { generation: number }).generation;
    expect(await generation({ metadata: { labels: { a: "b" } } })).toBe(1);
    expect(await generation({ spec: { size: 2 } })).toBe(2);
    expect(await generation({ status: { phase: "Ready" } })).toBe(3);
  });

  it("is applied, with the owners of each field", async () => {
    const apply = { "content-type": "application/apply-patch+yaml" };
    const config = widget("applied", { size: 3 });
    const made = await api.call("PATCH", `${WIDGETS}/applied?fieldManager=me`, config, apply);
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({
      metadata: { managedFields: [{ manager: "me", operation: "Apply", fieldsV1: { "f:spec": { "f:size": {} } } }] },
    });
    const conflict = await api.call(
      "PATCH",
      `${WIDGETS}/applied?fieldManager=you`,
      widget("applied", { size: 4 }),
      apply,
    );
    expect(conflict.json["message"]).toBe('Apply failed with 1 conflict: conflict with "me": .spec.size');
    const unknown = await api.call("PATCH", `${WIDGETS}/applied?fieldManager=me`, { ...config, more: 1 }, apply);
    expect(unknown.json["message"]).toContain(".more: field not declared in schema");
  });

  it("appears in discovery and OpenAPI, and goes with its definition; watches end", async () => {
    const legacy = await api.call("GET", "/apis/shop.example.com/v1");
    expect(legacy.json["resources"]).toMatchObject([
      {
        name: "widgets",
        singularName: "widget",
        namespaced: true,
        kind: "Widget",
        storageVersionHash: expect.any(String),
      },
    ]);
    const groups = await api.call("GET", "/apis", undefined, {
      accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    });
    expect(groups.text).toContain('"resource":"widgets"');
    const v3 = await api.call("GET", "/openapi/v3/apis/shop.example.com/v1");
    expect(v3.text).toContain('"com.example.shop.v1.Widget"');
    using watch = await api.watch(`${WIDGETS}?watch=true`);
    await api.until("the present state", () => watch.events.length >= 2);
    await gone("widgets");
    await watch.ended;
    expect(watch.events.filter(({ type }) => type === "DELETED")).toHaveLength(2);
    expect((await api.call("GET", WIDGETS)).status).toBe(404);
    expect((await api.call("GET", "/apis/shop.example.com")).status).toBe(404);
    expect((await api.call("GET", "/openapi/v3/apis/shop.example.com/v1")).status).toBe(404);
  });

  it("waits for objects that finalizers hold, and takes no new ones meanwhile", async () => {
    await api.establish(definition("widgets"));
    await api.call("POST", WIDGETS, { ...widget("held"), metadata: { name: "held", finalizers: ["me.example.com"] } });
    await api.call("DELETE", `${DEFINITIONS}/widgets.shop.example.com`);
    await api.until("it is terminating", async () => holds(await crdOf(api, "widgets"), "Terminating"));
    const refused = await api.call("POST", WIDGETS, widget("late"));
    expect(refused.status).toBe(403);
    expect(refused.json["message"]).toBe(
      'widgets.shop.example.com "late" is forbidden: create not allowed while custom resource definition is terminating',
    );
    await api.call("PATCH", `${WIDGETS}/held`, { metadata: { finalizers: null } });
    await gone("widgets");
  });

  it("comes back with another schema", async () => {
    const versions = [
      version("v1", { schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } } }),
    ];
    await api.establish(definition("widgets", {}, versions));
    const made = await api.call("POST", WIDGETS, widget("free", { anything: { goes: true } }));
    expect(made.json["spec"]).toEqual({ anything: { goes: true } });
    await gone("widgets");
  });

  it("serves status and scale as subresources", async () => {
    await api.establish(definition("widgets", {}, [version("v1", { subresources: STATUS })]));
    const body = { ...widget("one", { size: 1, replicas: 2 }), status: { phase: "mine" } };
    const made = await api.call("POST", WIDGETS, body);
    expect(made.json["status"]).toBeUndefined();
    const patched = await api.call("PATCH", `${WIDGETS}/one/status`, { spec: { size: 9 }, status: { replicas: 1 } });
    expect(patched.json).toMatchObject({ metadata: { generation: 1 }, spec: { size: 1 }, status: { replicas: 1 } });
    const scale = await api.call("GET", `${WIDGETS}/one/scale`);
    expect(scale.json).toMatchObject({ kind: "Scale", spec: { replicas: 2 }, status: { replicas: 1 } });
    const scaled = await api.call("PATCH", `${WIDGETS}/one/scale`, { spec: { replicas: 5 } });
    expect(scaled.json).toMatchObject({ kind: "Scale", spec: { replicas: 5 } });
    const one = await api.call("GET", `${WIDGETS}/one`);
    expect(one.json).toMatchObject({ metadata: { generation: 2 }, spec: { replicas: 5 } });
    await gone("widgets");
  });

  it("shows its columns, its metadata alone, and selects by its fields", async () => {
    const additionalPrinterColumns = [
      { name: "Size", type: "integer", jsonPath: ".spec.size" },
      { name: "Color", type: "string", jsonPath: ".spec.color", priority: 1 },
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
    ];
    const selectableFields = [{ jsonPath: ".spec.color" }];
    await api.establish(definition("widgets", {}, [version("v1", { additionalPrinterColumns, selectableFields })]));
    await api.call("POST", WIDGETS, widget("red", { size: 1 }));
    await api.call("POST", WIDGETS, widget("blue", { size: 2, color: "blue" }));
    const table = await api.call("GET", WIDGETS, undefined, { accept: TABLE });
    expect(table.json).toMatchObject({
      kind: "Table",
      columnDefinitions: [
        { name: "Name" },
        { name: "Size", type: "integer" },
        { name: "Color", priority: 1 },
        { name: "Age" },
      ],
      rows: [{ cells: ["blue", 2, "blue", expect.any(String)] }, { cells: ["red", 1, "red", expect.any(String)] }],
    });
    const metadata = await api.call("GET", WIDGETS, undefined, { accept: METADATA });
    expect(metadata.json).toMatchObject({
      kind: "PartialObjectMetadataList",
      items: [{ metadata: { name: "blue" } }, {}],
    });
    const selected = await api.call("GET", `${WIDGETS}?fieldSelector=spec.color%3Dblue`);
    expect(selected.json["items"]).toMatchObject([{ metadata: { name: "blue" } }]);
    const refused = await api.call("GET", `${WIDGETS}?fieldSelector=spec.size%3D1`);
    expect(refused.json["message"]).toContain("field label not supported: spec.size");
    await gone("widgets");
  });

  it("waits for a name that another one has, and takes it when it is free", async () => {
    const names = (kind: string, plural: string): object => ({ plural, singular: plural, kind, shortNames: ["wd"] });
    await api.establish(definition("widgets", { names: names("Widget", "widgets") }));
    await api.call("POST", DEFINITIONS, definition("gadgets", { names: names("Gadget", "gadgets") }));
    const waiting = await api.until("it is refused", async () => {
      const crd = await crdOf(api, "gadgets");
      return conditionsOf(crd).length > 0 && crd;
    });
    expect(conditionsOf(waiting)).toMatchObject([
      { type: "NamesAccepted", status: "False", reason: "ShortNamesConflict", message: '"wd" is already in use' },
      { type: "Established", status: "False", reason: "NotAccepted", message: "not all names are accepted" },
    ]);
    await gone("widgets");
    await api.until("it is served", async () => holds(await crdOf(api, "gadgets"), "Established"));
    await gone("gadgets");
  });

  it("serves several versions of an object; what is not served is gone, what is deprecated warns", async () => {
    const versions = [version("v1"), version("v1beta1", { deprecated: true }), version("v2alpha1")];
    await api.establish(definition("widgets", {}, versions));
    const group = await api.call("GET", "/apis/shop.example.com");
    expect(group.json).toMatchObject({
      preferredVersion: { version: "v1" },
      versions: [{ version: "v1" }, { version: "v1beta1" }, { version: "v2alpha1" }],
    });
    await api.call("POST", WIDGETS, widget("one"));
    const beta = await api.call("GET", "/apis/shop.example.com/v1beta1/namespaces/default/widgets/one");
    expect(beta.json).toMatchObject({ apiVersion: "shop.example.com/v1beta1", spec: { size: 1 } });
    expect(String(beta.headers["warning"])).toContain(
      "shop.example.com/v1beta1 Widget is deprecated; use shop.example.com/v1 Widget",
    );
    using alpha = await api.watch("/apis/shop.example.com/v2alpha1/widgets?watch=true");
    using stable = await api.watch("/apis/shop.example.com/v1/widgets?watch=true");
    await api.until("the present state", () => alpha.events.length + stable.events.length === 2);
    expect(alpha.events[0]?.object).toMatchObject({ apiVersion: "shop.example.com/v2alpha1" });
    await api.call("PATCH", `${DEFINITIONS}/widgets.shop.example.com`, {
      spec: { versions: [version("v1"), version("v1beta1"), version("v2alpha1", { served: false })] },
    });
    await alpha.ended;
    expect((await api.call("GET", "/apis/shop.example.com/v2alpha1/widgets")).status).toBe(404);
    await api.call("PATCH", `${WIDGETS}/one`, { spec: { size: 7 } });
    await api.until("the other watch goes on", () => stable.events.length === 2);
    await gone("widgets");
  });

  it("stores what is written in the storage version, whatever it was stored in", async () => {
    await api.establish(definition("widgets", {}, [version("v1"), version("v2", { storage: false })]));
    await api.call("POST", WIDGETS, widget("one"));
    const key = "/registry/shop.example.com/widgets/default/one";
    const stored = async (): Promise<string> => (await api.store.range({ key })).kvs[0]?.value.toString() ?? "";
    expect(await stored()).toContain('"apiVersion":"shop.example.com/v1"');
    const crd = await api.call("PATCH", `${DEFINITIONS}/widgets.shop.example.com`, {
      spec: { versions: [version("v1", { storage: false }), version("v2", { storage: true })] },
    });
    expect(crd.json["status"]).toMatchObject({ storedVersions: ["v1", "v2"] });
    const one = await api.call("GET", `${WIDGETS}/one`);
    expect((await api.call("PUT", `${WIDGETS}/one`, one.json)).json).toMatchObject({
      apiVersion: "shop.example.com/v1",
    });
    expect(await stored()).toContain('"apiVersion":"shop.example.com/v2"');
    await gone("widgets");
  });

  it("gives defaults to what was stored before they were, and survives a restart", async () => {
    const plain = {
      schema: {
        openAPIV3Schema: {
          type: "object",
          properties: { spec: { type: "object", properties: { size: { type: "integer" } } } },
        },
      },
    };
    await api.establish(definition("widgets", {}, [version("v1", plain)]));
    await api.call("POST", WIDGETS, widget("old"));
    await api.call("PATCH", `${DEFINITIONS}/widgets.shop.example.com`, { spec: { versions: [version("v1")] } });
    expect((await api.call("GET", `${WIDGETS}/old`)).json["spec"]).toEqual({ size: 1, color: "red" });
    await api.restart();
    expect((await api.call("GET", `${WIDGETS}/old`)).json["spec"]).toEqual({ size: 1, color: "red" });
    await gone("widgets");
  });

  it("in a group of the community says whether it was approved", async () => {
    const crd = definition("widgets", { group: "shop.k8s.io" }) as { metadata: { name: string; annotations?: object } };
    crd.metadata = {
      name: "widgets.shop.k8s.io",
      annotations: { "api-approved.kubernetes.io": "unapproved, a test" },
    };
    const made = await api.establish(crd);
    expect(conditionsOf(made).find(({ type }) => type === "KubernetesAPIApprovalPolicyConformant")).toMatchObject({
      status: "False",
      reason: "UnapprovedAnnotation",
      message: 'not approved: "unapproved, a test"',
    });
  });
});
