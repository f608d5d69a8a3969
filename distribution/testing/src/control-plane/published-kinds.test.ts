import type { KubeObject } from "@coracle/api";
import { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { isStatusError } from "@coracle/apimachinery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly [member: string]: unknown;
}
interface Definition {
  readonly group?: string;
  readonly plural: string;
  readonly kind: string;
  readonly versions: Readonly<
    Record<string, { readonly schema: Schema; readonly served?: boolean; readonly fields?: readonly string[] }>
  >;
}

const free: Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
const oars: Schema = {
  type: "object",
  description: "A boat.",
  properties: {
    spec: {
      type: "object",
      required: ["oars"],
      properties: { oars: { type: "integer", minimum: 1, description: "How many there are." } },
    },
  },
};

let plane: TestControlPlane;
beforeEach(async () => {
  plane = await createTestControlPlane({ components: [] });
});
afterEach(async () => plane[Symbol.asyncDispose]());

const nameOf = ({ plural, group = "a.example.com" }: Definition): string => `${plural}.${group}`;
const body = (definition: Definition): CustomResourceDefinition =>
  ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: nameOf(definition) },
    spec: {
      group: definition.group ?? "a.example.com",
      scope: "Namespaced",
      names: { plural: definition.plural, kind: definition.kind },
      versions: Object.entries(definition.versions).map(([name, { schema, served = true, fields }], i) => ({
        name,
        served,
        storage: i === 0,
        schema: { openAPIV3Schema: schema },
        ...(fields && { selectableFields: fields.map((jsonPath) => ({ jsonPath })) }),
      })),
    },
  }) as unknown as CustomResourceDefinition;

async function define(definition: Definition): Promise<void> {
  await plane.admin.create(CustomResourceDefinition, body(definition));
  await plane.until(`${nameOf(definition)} is established`, async () => {
    const { status } = await plane.admin.get(CustomResourceDefinition, { name: nameOf(definition) });
    return status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True");
  });
}

describe("OpenAPI", () => {
  const key = (kind: string, version = "v1", group = "a"): string => `com.example.${group}.${version}.${kind}`;
  const definitions = async (): Promise<Record<string, Schema>> =>
    ((await plane.admin.raw("GET", "/openapi/v2")) as { definitions: Record<string, Schema> }).definitions;
  /** What is published once all these are, and those are not. */
  const published = (there: readonly string[], gone: readonly string[] = []): Promise<Record<string, Schema>> =>
    plane.until(`${there.join(", ")} published, ${gone.join(", ")} not`, async () => {
      const all = await definitions();
      return there.every((each) => all[each] !== undefined) && gone.every((each) => all[each] === undefined) && all;
    });

  it("has a kind's schema, with descriptions and rules", async () => {
    await define({ plural: "boats", kind: "Boat", versions: { v1: { schema: oars } } });
    const { [key("Boat")]: boat } = await published([key("Boat")]);
    expect(boat).toMatchObject({
      description: "A boat.",
      properties: {
        apiVersion: { type: "string" },
        metadata: { $ref: "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" },
        spec: { required: ["oars"], properties: { oars: { description: "How many there are.", minimum: 1 } } },
      },
      "x-kubernetes-group-version-kind": [{ group: "a.example.com", kind: "Boat", version: "v1" }],
    });
    const { components } = (await plane.admin.raw("GET", "/openapi/v3/apis/a.example.com/v1")) as {
      components: { schemas: Record<string, Schema> };
    };
    expect(components.schemas[key("Boat")]).toMatchObject({ properties: { spec: { required: ["oars"] } } });
  });

  it("has a kind without a schema, and those that keep unknown fields at the root or in a member", async () => {
    const inside: Schema = { type: "object", properties: { spec: free } };
    await define({ plural: "empties", kind: "Empty", versions: { v1: { schema: { type: "object" } } } });
    await define({ plural: "roots", kind: "Root", versions: { v1: { schema: free } } });
    await define({ plural: "insides", kind: "Inside", versions: { v1: { schema: inside } } });
    const all = await published([key("Empty"), key("Root"), key("Inside")]);
    // Clients that check before they send must let such objects pass.
    expect(all[key("Root")]?.properties?.["spec"]).toBeUndefined();
    expect(all[key("Inside")]?.properties?.["spec"]?.properties).toBeUndefined();
    expect(Object.keys(all[key("Inside")]?.properties ?? {})).toContain("spec");
  });

  it("has kinds of several groups, of one group and version, and of one group's versions", async () => {
    await define({ plural: "boats", kind: "Boat", versions: { v1: { schema: oars }, v2: { schema: oars } } });
    await define({ plural: "rafts", kind: "Raft", versions: { v1: { schema: oars } } });
    await define({ group: "b.example.com", plural: "boats", kind: "Boat", versions: { v1: { schema: oars } } });
    await published([key("Boat"), key("Boat", "v2"), key("Raft"), key("Boat", "v1", "b")]);
  });

  it("follows a version that is renamed, and one that is no longer served", async () => {
    await define({ plural: "boats", kind: "Boat", versions: { v1: { schema: oars }, v2: { schema: oars } } });
    await published([key("Boat"), key("Boat", "v2")]);
    const change = (definition: Definition): Promise<unknown> =>
      plane.admin.patch(CustomResourceDefinition, { name: "boats.a.example.com" }, "merge", {
        spec: { versions: body(definition).spec.versions },
      });
    await change({ plural: "boats", kind: "Boat", versions: { v1: { schema: oars }, v3: { schema: oars } } });
    await published([key("Boat"), key("Boat", "v3")], [key("Boat", "v2")]);
    await change({
      plural: "boats",
      kind: "Boat",
      versions: { v1: { schema: oars }, v3: { schema: oars, served: false } },
    });
    await published([key("Boat")], [key("Boat", "v3")]);
  });
});

describe("what a client may write, when fields are checked strictly", () => {
  const place = "/apis/a.example.com/v1/namespaces/default/boats";
  const write = async (text: object | string, how: "POST" | "PATCH" = "POST", at = place): Promise<string> => {
    const path = `${at}${how === "PATCH" ? "/one" : ""}?fieldValidation=Strict&fieldManager=story${how === "PATCH" ? "&force=true" : ""}`;
    const transport = plane.transportOf("kubernetes-admin", "system:masters");
    const contentType = how === "PATCH" ? "application/apply-patch+yaml" : "application/json";
    const response = await transport.request({
      method: how,
      path,
      headers: { "content-type": contentType },
      body: Buffer.from(typeof text === "string" ? text : JSON.stringify(text)),
    });
    const parts: Buffer[] = [];
    for await (const part of response.body) parts.push(Buffer.from(part));
    const { message = "" } = JSON.parse(Buffer.concat(parts).toString()) as { message?: string };
    return `${response.status} ${message}`.trim();
  };
  const boat = (more: object = {}, metadata: object = {}): object => ({
    apiVersion: "a.example.com/v1",
    kind: "Boat",
    metadata: { name: "one", ...metadata },
    spec: { oars: 2 },
    ...more,
  });

  it.each(["POST", "PATCH"] as const)("a custom resource with a schema: %s", async (how) => {
    await define({ plural: "boats", kind: "Boat", versions: { v1: { schema: oars } } });
    expect(await write(boat({ extra: 1 }), how)).toMatch(
      /^(400 .*unknown field "extra"|500 .*\.extra: field not declared in schema)/,
    );
    expect(await write(boat({ spec: { oars: 2, extra: 1 } }), how)).toMatch(
      /^(400 .*unknown field "spec.extra"|500 .*\.spec\.extra: field not declared in schema)/,
    );
    expect(await write(boat({}, { strange: 1 }), how)).toMatch(
      /unknown field "metadata.strange"|\.metadata\.strange: field not declared in schema/,
    );
    expect(await write(boat(), how)).toBe("201");
  });

  it.each(["POST", "PATCH"] as const)("a custom resource of any form: %s", async (how) => {
    await define({ plural: "boats", kind: "Boat", versions: { v1: { schema: free } } });
    expect(await write(boat({ extra: { any: 1 } }), how)).toBe("201");
    const twice = JSON.stringify(boat({}, { name: "two" })).replace('"oars":2', '"oars":2,"oars":3');
    expect(await write(twice)).toContain('duplicate field "spec.oars"');
  });

  it("the metadata of an object inside a custom resource", async () => {
    const inside: Schema = {
      type: "object",
      properties: {
        spec: {
          type: "object",
          properties: { template: { ...free, "x-kubernetes-embedded-resource": true } },
        },
      },
    };
    await define({ plural: "boats", kind: "Boat", versions: { v1: { schema: inside } } });
    const template = { apiVersion: "v1", kind: "Pod", metadata: { name: "x", strange: 1 } };
    expect(await write(boat({ spec: { template } }))).toContain('unknown field "spec.template.metadata.strange"');
  });

  it("a built-in kind: unknown and repeated fields, also of its metadata", async () => {
    const maps = "/api/v1/namespaces/default/configmaps";
    const text = '{"metadata":{"name":"x","strange":1},"data":{"a":"1","a":"2"},"extra":1}';
    const message = await write(text, "POST", maps);
    expect(message).toContain('unknown field "metadata.strange"');
    expect(message).toContain('duplicate field "data.a"');
    expect(message).toContain('unknown field "extra"');
  });
});

describe("fields that select", () => {
  it("narrow lists and watches of a custom resource; one that ceases to match is deleted", async () => {
    const schema: Schema = {
      type: "object",
      properties: { spec: { type: "object", properties: { colour: { type: "string" } } } },
    };
    await define({ plural: "boats", kind: "Boat", versions: { v1: { schema, fields: [".spec.colour"] } } });
    const type = {
      group: "a.example.com",
      version: "v1",
      kind: "Boat",
      listKind: "BoatList",
      plural: "boats",
      namespaced: true,
    };
    const make = (name: string, colour: string): Promise<unknown> =>
      plane.admin.create(type, { metadata: { name, namespace: "default" }, spec: { colour } } as KubeObject);
    await make("a", "red");
    await make("b", "blue");
    const red = { namespace: "default", fieldSelector: "spec.colour=red" };
    const { items, metadata } = await plane.admin.list<{ metadata: { name: string } }>(type, red);
    expect(items.map((item) => item.metadata.name)).toEqual(["a"]);
    const seen: string[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      const options = { ...red, resourceVersion: metadata.resourceVersion, signal: stop.signal };
      for await (const event of plane.admin.watch<{ metadata: { name: string } }>(type, options))
        if ("object" in event) seen.push(`${event.type} ${event.object.metadata.name}`);
    })().catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    await make("c", "red");
    await make("d", "blue");
    for (const [name, colour] of [
      ["a", "blue"],
      ["b", "red"],
    ] as const)
      await plane.admin.patch(type, { name, namespace: "default" }, "merge", { spec: { colour } });
    await plane.until("all was told", () => seen.length === 3);
    stop.abort();
    await watching;
    expect(seen).toEqual(["ADDED c", "DELETED a", "ADDED b"]);
    await expect(plane.admin.list(type, { fieldSelector: "spec.other=red" })).rejects.toSatisfy(
      (error) => isStatusError(error) && error.code === 400,
    );
  });
});
