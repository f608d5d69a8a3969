import type { LineTable } from "../tables.ts";
import { OBJECT_META_DESCRIPTIONS } from "./meta-descriptions.ts";
import type { OpenApiResource } from "./openapi-resource.ts";

type Json = { [key: string]: unknown };
type Form = "v2" | "v3";

const META = "io.k8s.apimachinery.pkg.apis.meta.v1";
const BODY_TYPES = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/cbor"];
const PATCH_TYPES = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
  "application/apply-patch+yaml",
  "application/apply-patch+cbor",
];

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
    const { group, version, kind, listKind, schema: custom, types } = resource;
    if (custom === undefined && types === undefined) continue;
    names.set(`${group}/${version}/${kind}`, customTypeName(group, version, kind));
    if (listKind) names.set(`${group}/${version}/${listKind}`, customTypeName(group, version, listKind));
  }
  return { nameOf: (group, version, kind) => names.get(`${group}/${version}/${kind}`) };
}

/** `com.example.v1.Widget`. */
export function customTypeName(group: string, version: string, kind: string): string {
  return [...group.split(".").reverse(), version, kind].join(".");
}

/** One document: the paths of the resources, and every type that they reach. */
export function buildDocument(
  form: Form,
  resources: readonly OpenApiResource[],
  schema: LineTable,
  names: TypeNames,
): Json {
  const builder = new Builder(form, names);
  for (const resource of resources) builder.addResource(resource);
  const types = builder.collectTypes(schema, resources);
  const info = { title: "Kubernetes", version: "v1.35.0" };
  return form === "v3"
    ? { openapi: "3.0.0", info, paths: builder.paths, components: { schemas: types } }
    : { swagger: "2.0", info, paths: builder.paths, definitions: types };
}

class Builder {
  readonly paths: Json = {};
  readonly #form: Form;
  readonly #names: TypeNames;
  readonly #wanted = new Set<string>([`${META}.Status`, `${META}.DeleteOptions`, `${META}.Patch`]);

  constructor(form: Form, names: TypeNames) {
    this.#form = form;
    this.#names = names;
  }

  addResource(resource: OpenApiResource): void {
    const { group, version, kind, plural, namespaced, verbs } = resource;
    const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    const collection = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
    const type = this.#nameOf(group, version, kind);
    const list = resource.listKind ? this.#nameOf(group, version, resource.listKind) : undefined;
    const gvk = { group, kind, version };
    const has = (verb: string): boolean => verbs.includes(verb);
    const scope = namespaced ? ["namespace"] : [];

    const many: Json = {};
    if (has("list")) many["get"] = this.#operation("list", gvk, list, LIST_PARAMETERS);
    if (has("create")) many["post"] = this.#operation("post", gvk, type, WRITE_PARAMETERS, type);
    if (has("deletecollection")) {
      many["delete"] = this.#operation(
        "deletecollection",
        gvk,
        `${META}.Status`,
        LIST_PARAMETERS,
        `${META}.DeleteOptions`,
      );
    }
    this.#add(collection, many, scope);
    if (namespaced && has("list")) {
      this.#add(`${root}/${plural}`, { get: this.#operation("list", gvk, list, LIST_PARAMETERS) }, []);
    }
    this.#add(`${collection}/{name}`, this.#itemOperations(gvk, type, verbs), [...scope, "name"]);
    for (const [name, sub] of Object.entries(resource.subresources ?? {})) {
      const subType = this.#nameOf(sub.group, sub.version, sub.kind) ?? type;
      const subGvk = { group: sub.group, kind: sub.kind, version: sub.version };
      const operations = CONNECTS.has(name)
        ? this.#connectOperations(subGvk, sub.verbs)
        : this.#itemOperations(subGvk, subType, sub.verbs);
      if (sub.verbs.includes("create") && !CONNECTS.has(name)) {
        operations["post"] = this.#operation("post", subGvk, subType, WRITE_PARAMETERS, subType);
      }
      this.#add(`${collection}/{name}/${name}`, operations, [...scope, "name"]);
    }
  }

  #itemOperations(gvk: object, type: string | undefined, verbs: readonly string[]): Json {
    const operations: Json = {};
    if (verbs.includes("get")) operations["get"] = this.#operation("get", gvk, type, []);
    if (verbs.includes("update")) operations["put"] = this.#operation("put", gvk, type, WRITE_PARAMETERS, type);
    if (verbs.includes("patch")) {
      operations["patch"] = this.#operation(
        "patch",
        gvk,
        type,
        [...WRITE_PARAMETERS, ["force", "boolean"]],
        `${META}.Patch`,
      );
    }
    if (verbs.includes("delete")) {
      operations["delete"] = this.#operation(
        "delete",
        gvk,
        `${META}.Status`,
        DELETE_PARAMETERS,
        `${META}.DeleteOptions`,
      );
    }
    return operations;
  }

  #connectOperations(gvk: object, verbs: readonly string[]): Json {
    const operations: Json = {};
    for (const verb of verbs) {
      const method = METHODS[verb];
      if (method !== undefined) operations[method] = this.#operation("connect", gvk, undefined, []);
    }
    return operations;
  }

  #add(path: string, operations: Json, pathParameters: readonly string[]): void {
    if (Object.keys(operations).length === 0) return;
    const parameters = pathParameters.map((name) => ({
      ...this.#parameter(name, "string"),
      in: "path",
      required: true,
    }));
    this.paths[path] = { ...operations, parameters: [...parameters, this.#parameter("pretty", "string")] };
  }

  #operation(
    action: string,
    gvk: object,
    response: string | undefined,
    query: readonly (readonly [string, string])[],
    body?: string,
  ): Json {
    const parameters: unknown[] = query.map(([name, type]) => this.#parameter(name, type));
    const operation: Json = { "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk };
    const types = action === "patch" ? PATCH_TYPES : BODY_TYPES;
    const answer = response === undefined ? { type: "string" } : this.#reference(response);
    if (this.#form === "v3") {
      if (body !== undefined)
        operation["requestBody"] = { content: contentOf(types, this.#reference(body)), required: true };
      operation["responses"] = { "200": { description: "OK", content: contentOf(BODY_TYPES, answer) } };
    } else {
      operation["consumes"] = body === undefined ? ["*/*"] : types;
      operation["produces"] = BODY_TYPES;
      if (body !== undefined)
        parameters.unshift({ in: "body", name: "body", required: true, schema: this.#reference(body) });
      operation["responses"] = { "200": { description: "OK", schema: answer } };
    }
    if (parameters.length > 0) operation["parameters"] = parameters;
    return operation;
  }

  #parameter(name: string, type: string): Json {
    return this.#form === "v3"
      ? { in: "query", name, schema: { type, uniqueItems: true } }
      : { in: "query", name, type, uniqueItems: true };
  }

  #nameOf(group: string, version: string, kind: string): string | undefined {
    const name = this.#names.nameOf(group, version, kind);
    if (name !== undefined) this.#wanted.add(name);
    return name;
  }

  #reference(name: string): Json {
    return { $ref: this.#form === "v3" ? `#/components/schemas/${name}` : `#/definitions/${name}` };
  }

  /** Every type that is reachable from the paths. */
  collectTypes(schema: LineTable, resources: readonly OpenApiResource[]): Json {
    const custom = new Map<string, unknown>();
    for (const resource of resources) {
      const { group, version, kind, listKind, types } = resource;
      if (resource.schema === undefined && types === undefined) continue;
      const name = customTypeName(group, version, kind);
      const gvk = { group, kind, version };
      const type = types === undefined ? customType(resource.schema ?? {}, gvk) : withGvk(types[this.#form], gvk);
      custom.set(name, type);
      if (listKind) {
        const listGvk = { group, kind: listKind, version };
        const list = types === undefined ? customList(name, listGvk) : withGvk(types.list, listGvk);
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

  #convert(definition: Json, queue: string[], isBuiltIn: boolean): Json {
    const out: Json = {};
    for (const [key, value] of Object.entries(definition)) {
      switch (key) {
        case "enum":
          // Published documents leave the built-in types' enums out.
          if (isBuiltIn) continue;
          break;
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
              this.#convert(member as Json, queue, isBuiltIn),
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
    const reference = this.#reference(ref);
    // A reference has no siblings in OpenAPI 3.0.
    if (this.#form === "v3" && Object.keys(out).length > 0) return { allOf: [reference], ...out };
    return { ...out, ...reference };
  }
}

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

function contentOf(types: readonly string[], schema: Json): Json {
  return Object.fromEntries(types.map((type) => [type, { schema }]));
}

const withGvk = (type: object, gvk: object): Json => ({ ...type, "x-kubernetes-group-version-kind": [gvk] });

function customType(schema: object, gvk: object): Json {
  const { properties = {} } = schema as { readonly properties?: Json };
  return {
    ...schema,
    type: "object",
    properties: {
      ...properties,
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { $ref: `${META}.ObjectMeta` },
    },
    "x-kubernetes-group-version-kind": [gvk],
  };
}

function customList(item: string, gvk: object): Json {
  return {
    type: "object",
    required: ["items"],
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { $ref: `${META}.ListMeta` },
      items: { type: "array", items: { $ref: item } },
    },
    "x-kubernetes-group-version-kind": [gvk],
  };
}

const CONNECTS = new Set(["attach", "exec", "portforward", "proxy"]);
const METHODS: Readonly<Record<string, string>> = {
  get: "get",
  create: "post",
  update: "put",
  patch: "patch",
  delete: "delete",
};
type Parameters = readonly (readonly [name: string, type: string])[];
const WRITE_PARAMETERS: Parameters = [
  ["dryRun", "string"],
  ["fieldManager", "string"],
  ["fieldValidation", "string"],
];
const DELETE_PARAMETERS: Parameters = [
  ["dryRun", "string"],
  ["gracePeriodSeconds", "integer"],
  ["ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"],
  ["orphanDependents", "boolean"],
  ["propagationPolicy", "string"],
];
const LIST_PARAMETERS: Parameters = [
  ["allowWatchBookmarks", "boolean"],
  ["continue", "string"],
  ["fieldSelector", "string"],
  ["labelSelector", "string"],
  ["limit", "integer"],
  ["resourceVersion", "string"],
  ["resourceVersionMatch", "string"],
  ["sendInitialEvents", "boolean"],
  ["timeoutSeconds", "integer"],
  ["watch", "boolean"],
];
