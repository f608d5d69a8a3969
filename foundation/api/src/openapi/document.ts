import type { LineTable } from "../tables.ts";
import { OBJECT_META_DESCRIPTIONS } from "./meta-descriptions.ts";
import { isCustom, type OpenApiResource } from "./openapi-resource.ts";
import { reference, writePath, type Form, type Json, type Operation } from "./operation.ts";
import { operationsOf } from "./resource-operations.ts";
import { resourceListOperation, serverOperations } from "./server-operations.ts";

/** Where documents find the types they name. */
export interface TypeNames {
  /** Definition of a kind: `io.k8s.api.core.v1.Pod`. */
  nameOf(group: string, version: string, kind: string): string | undefined;
}

/** Indexes the kinds of the schema table by group, version and kind. */
export function indexTypeNames(schema: LineTable, resources: readonly OpenApiResource[]): TypeNames {
  const names = new Map<string, string>();
  const marker = '"x-kubernetes-group-version-kind":';
  for (const name of schema.names("definitions")) {
    const text = schema.text("definitions", name) ?? "";
    const at = text.indexOf(marker);
    if (at === -1) continue;
    const list = JSON.parse(text.slice(at + marker.length, text.indexOf("]", at) + 1)) as readonly {
      readonly group: string;
      readonly version: string;
      readonly kind: string;
    }[];
    for (const { group, version, kind } of list) names.set(`${group}/${version}/${kind}`, name);
  }
  for (const resource of resources) {
    const { group, version, kind, listKind, types } = resource;
    if (types === undefined) continue;
    names.set(`${group}/${version}/${kind}`, customTypeName(group, version, kind));
    if (listKind) names.set(`${group}/${version}/${listKind}`, customTypeName(group, version, listKind));
  }
  return { nameOf: (group, version, kind) => names.get(`${group}/${version}/${kind}`) };
}

/** `com.example.v1.Widget`. */
export function customTypeName(group: string, version: string, kind: string): string {
  return [...group.split(".").reverse(), version, kind].join(".");
}

/** What a document is about. */
export interface DocumentParts {
  readonly resources: readonly OpenApiResource[];
  /** Groups and versions whose lists of resources are told of. */
  readonly versions: readonly { readonly group: string; readonly version: string }[];
  /** Paths about the server itself. */
  readonly server: readonly (readonly [path: string, operation: Operation])[];
}

/** The parts of the document at `apis/apps/v1` and the like; undefined for a path that has none. */
export function partsAt(path: string, resources: readonly OpenApiResource[]): DocumentParts | undefined {
  const own = resources.filter((resource) => documentPathOf(resource) === path);
  const [first] = own;
  if (first !== undefined) {
    // What serves custom resources keeps the lists of them out of its documents.
    const versions = own.some((resource) => !isCustom(resource)) ? [first] : [];
    return { resources: own, versions, server: [] };
  }
  const server = serverOperations(groupsOf(resources)).filter(([document]) => document === path);
  if (server.length === 0) return undefined;
  return { resources: [], versions: [], server: server.map(([, at, operation]) => [at, operation]) };
}

/** The parts of the one document about everything. */
export function allParts(resources: readonly OpenApiResource[]): DocumentParts {
  const builtIn = resources.filter((resource) => !isCustom(resource));
  return {
    resources,
    versions: [...new Map(builtIn.map((resource) => [documentPathOf(resource), resource])).values()],
    server: serverOperations(groupsOf(resources)).map(([, at, operation]) => [at, operation]),
  };
}

/** Where documents are: `api/v1`, `apis/apps/v1`, and those about the server itself. */
export function documentPaths(resources: readonly OpenApiResource[]): readonly string[] {
  return [
    ...new Set([...resources.map(documentPathOf), ...serverOperations(groupsOf(resources)).map(([path]) => path)]),
  ].sort();
}

/** `api/v1`, `apis/apps/v1`. */
export function documentPathOf({ group, version }: { readonly group: string; readonly version: string }): string {
  return group === "" ? `api/${version}` : `apis/${group}/${version}`;
}

const groupsOf = (resources: readonly OpenApiResource[]): readonly string[] => [
  ...new Set(resources.filter((resource) => !isCustom(resource)).map(({ group }) => group)),
];

const SECURITY = {
  BearerToken: { description: "Bearer Token authentication", type: "apiKey", name: "authorization", in: "header" },
};

/** One document: paths, and every type that they reach. */
export function buildDocument(form: Form, parts: DocumentParts, schema: LineTable, names: TypeNames): Json {
  const builder = new Builder(form);
  for (const [path, operation] of parts.server) builder.add(path, [operation]);
  for (const { group, version } of parts.versions) {
    const [path, operation] = resourceListOperation(group, version);
    builder.add(path, [operation]);
  }
  for (const resource of parts.resources)
    for (const [path, operations] of operationsOf(resource, (group, version, kind) =>
      names.nameOf(group, version, kind),
    ))
      builder.add(path, operations);
  const types = builder.collectTypes(schema, parts.resources);
  const info = { title: "Kubernetes", version: "v1.35.0" };
  const paths = Object.fromEntries(Object.entries(builder.paths).sort(([a], [b]) => (a < b ? -1 : 1)));
  if (form === "v2")
    return {
      swagger: "2.0",
      info,
      paths,
      definitions: types,
      securityDefinitions: SECURITY,
      security: [{ BearerToken: [] }],
    };
  const schemas = Object.keys(types).length === 0 ? {} : { schemas: types };
  return { openapi: "3.0.0", info, paths, components: { ...schemas, securitySchemes: SECURITY } };
}

class Builder {
  readonly paths: Json = {};
  readonly #form: Form;
  readonly #wanted = new Set<string>();

  constructor(form: Form) {
    this.#form = form;
  }

  add(path: string, operations: readonly Operation[]): void {
    this.paths[path] = writePath(this.#form, operations);
    for (const { answer, body } of operations) {
      if (answer !== undefined) this.#wanted.add(answer);
      if (body !== undefined) this.#wanted.add(body.type);
    }
  }

  /** Every type that is reachable from the paths. */
  collectTypes(schema: LineTable, resources: readonly OpenApiResource[]): Json {
    const custom = new Map<string, unknown>();
    for (const resource of resources) {
      const { group, version, kind, listKind, types } = resource;
      if (types === undefined) continue;
      const name = customTypeName(group, version, kind);
      const gvk = { group, kind, version };
      const type = withGvk(types[this.#form], gvk);
      custom.set(name, type);
      if (listKind) {
        const listGvk = { group, kind: listKind, version };
        const list = withGvk(types.list, listGvk);
        custom.set(customTypeName(group, version, listKind), list);
      }
    }
    const types: Json = {};
    const queue = [...this.#wanted];
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      if (name in types) continue;
      const definition = custom.get(name) ?? described(name, schema.entry("definitions", name));
      if (definition === undefined) continue;
      types[name] = this.#convert(definition as Json, queue, !custom.has(name));
    }
    return Object.fromEntries(Object.entries(types).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** References of members stand in `allOf` in the newer form, where they may have siblings. */
  #member(schema: Json): Json {
    return this.#form === "v3" && typeof schema["$ref"] === "string" ? { allOf: [schema] } : schema;
  }

  #convert(definition: Json, queue: string[], isBuiltIn: boolean): Json {
    const out: Json = {};
    for (const [key, value] of Object.entries(definition)) {
      switch (key) {
        case "type":
          // What may be of two types has none of its own.
          if (this.#form === "v3" && isBuiltIn && definition["oneOf"] !== undefined) continue;
          break;
        case "default":
          if (this.#form === "v2" && isBuiltIn) continue;
          break;
        case "oneOf":
          if (this.#form === "v2") continue;
          break;
        case "properties":
          out[key] = Object.fromEntries(
            Object.entries(value as Json).map(([name, member]) => [
              name,
              this.#member(this.#convert(member as Json, queue, isBuiltIn)),
            ]),
          );
          continue;
        case "items":
        case "additionalProperties":
          out[key] =
            typeof value === "object" && value !== null ? this.#convert(value as Json, queue, isBuiltIn) : value;
          continue;
        case "$ref":
          queue.push(value as string);
          continue;
      }
      out[key] = value;
    }
    const ref = definition["$ref"];
    if (typeof ref !== "string") return out;
    const target = reference(this.#form, ref);
    // A reference has no siblings in OpenAPI 3.0.
    if (this.#form === "v3" && Object.keys(out).length > 0) return { allOf: [target], ...out };
    return { ...out, ...target };
  }
}

const META = "io.k8s.apimachinery.pkg.apis.meta.v1";

const withGvk = (type: object, gvk: object): Json => ({ ...type, "x-kubernetes-group-version-kind": [gvk] });

/** The table has no descriptions; those of the metadata, which all kinds have, are given here. */
function described(name: string, definition: unknown): unknown {
  if (name !== `${META}.ObjectMeta`) return definition;
  const { properties = {}, ...type } = definition as { readonly properties?: Json };
  const members = Object.entries(properties).map(([member, schema]) => {
    const description = OBJECT_META_DESCRIPTIONS[member];
    return [member, description === undefined ? schema : { description, ...(schema as Json) }];
  });
  return { ...type, properties: Object.fromEntries(members) as Json };
}
