import { isDeepStrictEqual } from "node:util";

/** A part of a specification. */
export type SpecValue = null | boolean | number | string | readonly SpecValue[] | SpecObject;
export interface SpecObject {
  readonly [member: string]: SpecValue;
}

/** An OpenAPI v2 document as far as merging looks at it. */
export interface Specification extends SpecObject {
  readonly paths: SpecObject;
  readonly definitions: SpecObject;
}

const DEFINITIONS = "#/definitions/";
const KINDS = "x-kubernetes-group-version-kind";

const isObject = (value: SpecValue | undefined): value is SpecObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Calls `visit` for each reference to a definition. */
function walkReferences(value: SpecValue, visit: (name: string) => void): void {
  if (Array.isArray(value)) for (const one of value as readonly SpecValue[]) walkReferences(one, visit);
  else if (isObject(value)) {
    for (const [member, part] of Object.entries(value)) {
      if (member === "$ref" && typeof part === "string" && part.startsWith(DEFINITIONS))
        visit(part.slice(DEFINITIONS.length));
      else walkReferences(part, visit);
    }
  }
}

function withReferences(value: SpecValue, renames: ReadonlyMap<string, string>): SpecValue {
  if (Array.isArray(value)) return (value as readonly SpecValue[]).map((one) => withReferences(one, renames));
  if (!isObject(value)) return value;
  const out: Record<string, SpecValue> = {};
  for (const [member, part] of Object.entries(value)) {
    const renamed =
      member === "$ref" && typeof part === "string" && part.startsWith(DEFINITIONS)
        ? renames.get(part.slice(DEFINITIONS.length))
        : undefined;
    out[member] = renamed === undefined ? withReferences(part, renames) : DEFINITIONS + renamed;
  }
  return out;
}

/** What a server's document says of the paths under a prefix, with the definitions that they lead to. */
export function underPrefix(document: SpecValue, prefix: string): Specification | undefined {
  if (!isObject(document) || !isObject(document["paths"])) return undefined;
  const all = isObject(document["definitions"]) ? document["definitions"] : {};
  const paths = Object.fromEntries(Object.entries(document["paths"]).filter(([path]) => path.startsWith(prefix)));
  const used = new Set<string>();
  const follow = (name: string): void => {
    if (used.has(name)) return;
    used.add(name);
    const definition = all[name];
    if (definition !== undefined) walkReferences(definition, follow);
  };
  walkReferences(paths, follow);
  const definitions = Object.fromEntries(Object.entries(all).filter(([name]) => used.has(name)));
  return { ...(isObject(document["info"]) ? { info: document["info"] } : {}), paths, definitions };
}

const withoutKinds = (definition: SpecValue): SpecValue => {
  if (!isObject(definition)) return definition;
  const { [KINDS]: _, ...rest } = definition;
  return rest;
};

const isSame = (a: SpecValue, b: SpecValue): boolean => isDeepStrictEqual(withoutKinds(a), withoutKinds(b));

/** Two definitions that differ only in the kinds they stand for, as one that stands for all of them. */
function withKindsOf(a: SpecValue, b: SpecValue): SpecValue {
  if (!isObject(a) || !isObject(b) || b[KINDS] === undefined) return a;
  const have = (a[KINDS] ?? []) as readonly SpecValue[];
  const more = (b[KINDS] as readonly SpecValue[]).filter((kind) => !have.some((one) => isDeepStrictEqual(one, kind)));
  return more.length === 0 ? a : { ...a, [KINDS]: [...have, ...more] };
}

/**
 * Adds what `source` describes to `target`. A path that is there already stays what it is; a definition of the same
 * name and another content comes under a name of its own (`NAME_v2` …).
 */
export function mergeSpecification(target: Specification, source: Specification): Specification {
  const fresh = Object.entries(source.paths).filter(([path]) => !Object.hasOwn(target.paths, path));
  if (fresh.length === 0) return target;
  const renames = new Map<string, string>();
  const taken = new Set([...Object.keys(target.definitions), ...Object.keys(source.definitions)]);
  for (const [name, definition] of Object.entries(source.definitions)) {
    const existing = target.definitions[name];
    if (existing === undefined || isSame(existing, definition)) continue;
    for (let i = 2; ; i++) {
      const other = `${name}_v${i}`;
      const found = target.definitions[other];
      const isFree = found === undefined ? !taken.has(other) : isSame(found, definition);
      if (!isFree) continue;
      renames.set(name, other);
      taken.add(other);
      break;
    }
  }
  const definitions: Record<string, SpecValue> = { ...target.definitions };
  for (const [name, definition] of Object.entries(source.definitions)) {
    const renamed = renames.get(name) ?? name;
    const value = withReferences(definition, renames);
    const existing = definitions[renamed];
    definitions[renamed] = existing === undefined ? value : withKindsOf(existing, value);
  }
  const paths = Object.fromEntries(fresh.map(([path, item]) => [path, withReferences(item, renames)]));
  return { ...target, paths: { ...target.paths, ...paths }, definitions };
}

/** A v2 document in the form of v3, for servers that do not publish any. */
export function asVersion3({ paths, definitions, info }: Specification): SpecObject {
  const convert = (value: SpecValue): SpecValue => {
    if (Array.isArray(value)) return (value as readonly SpecValue[]).map(convert);
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([member, part]) => [
        member,
        member === "$ref" && typeof part === "string"
          ? part.replace(DEFINITIONS, "#/components/schemas/")
          : convert(part),
      ]),
    );
  };
  const typesOf = (operation: SpecObject, list: string): readonly string[] =>
    (operation[list] as readonly string[] | undefined) ?? ["application/json"];
  const contentOf = (types: readonly string[], schema: SpecValue): SpecObject =>
    Object.fromEntries(types.map((type) => [type, { schema: convert(schema) }]));
  const parameterOf = ({ name, in: place, required, description, uniqueItems, ...schema }: SpecObject): SpecObject => ({
    name: name ?? null,
    in: place ?? null,
    ...(required === undefined ? {} : { required }),
    ...(description === undefined ? {} : { description }),
    schema: convert({ ...schema, ...(uniqueItems === undefined ? {} : { uniqueItems }) }),
  });
  const parametersOf = (holder: SpecObject): SpecObject => {
    const all = (holder["parameters"] as readonly SpecObject[] | undefined) ?? [];
    const plain = all.filter((one) => one["in"] !== "body" && one["$ref"] === undefined);
    return plain.length === 0 ? {} : { parameters: plain.map(parameterOf) };
  };
  const operationOf = (operation: SpecObject): SpecObject => {
    const { parameters, responses, consumes: _c, produces: _p, schemes: _s, ...rest } = operation;
    const body = ((parameters as readonly SpecObject[] | undefined) ?? []).find((one) => one["in"] === "body");
    const answers = Object.entries((responses as SpecObject | undefined) ?? {}).map(([code, answer]) => {
      const { schema, ...more } = answer as SpecObject;
      const content = schema === undefined ? {} : { content: contentOf(typesOf(operation, "produces"), schema) };
      return [code, { ...more, ...content }] as const;
    });
    return {
      ...(convert(rest) as SpecObject),
      ...parametersOf(operation),
      ...(body?.["schema"] === undefined
        ? {}
        : { requestBody: { content: contentOf(typesOf(operation, "consumes"), body["schema"]), required: true } }),
      responses: Object.fromEntries(answers),
    };
  };
  const METHODS = new Set(["get", "put", "post", "delete", "options", "head", "patch"]);
  const pathOf = (item: SpecValue): SpecValue =>
    isObject(item)
      ? {
          ...Object.fromEntries(
            Object.entries(item)
              .filter(([member]) => METHODS.has(member))
              .map(([member, operation]) => [member, operationOf(operation as SpecObject)]),
          ),
          ...parametersOf(item),
        }
      : item;
  return {
    openapi: "3.0.0",
    info: info ?? { title: "", version: "" },
    paths: Object.fromEntries(Object.entries(paths).map(([path, item]) => [path, pathOf(item)])),
    components: { schemas: convert(definitions) },
  };
}
