import type { Form, Json } from "./operation.ts";

const META = "io.k8s.apimachinery.pkg.apis.meta.v1";
const PRESERVE = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED = "x-kubernetes-embedded-resource";
const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The type of a custom resource, as a document of the form can express it. References are names of definitions. */
export function customType(form: Form, schema: object, gvk: object): Json {
  const kinds = { "x-kubernetes-group-version-kind": [gvk] };
  const root = schema as Json;
  // Clients of the old form take what is not declared for unknown: nothing is, where anything goes.
  if (form === "v2" && root[PRESERVE] === true) return { type: "object", ...kinds };
  const type = convert(form, root);
  const properties = isObject(type["properties"]) ? type["properties"] : {};
  return { ...type, properties: { ...properties, ...META_PROPERTIES }, ...kinds };
}

const META_PROPERTIES = {
  apiVersion: { type: "string" },
  kind: { type: "string" },
  metadata: { $ref: `${META}.ObjectMeta` },
};

/** The list of a custom resource. */
export function customList(item: string, gvk: object): Json {
  return {
    type: "object",
    required: ["items"],
    properties: {
      apiVersion: { type: "string" },
      items: { type: "array", items: { $ref: item } },
      kind: { type: "string" },
      metadata: { $ref: `${META}.ListMeta` },
    },
    "x-kubernetes-group-version-kind": [gvk],
  };
}

function convert(form: Form, schema: Json): Json {
  const out: Json = { ...schema };
  if (form === "v2") cut(out);
  if (out["x-kubernetes-int-or-string"] === true && form === "v3" && out["anyOf"] === undefined) delete out["type"];
  for (const keyword of ["items", "additionalProperties"]) {
    const below = out[keyword];
    if (isObject(below)) out[keyword] = convert(form, below);
  }
  const { properties } = out;
  if (isObject(properties))
    out["properties"] = Object.fromEntries(
      Object.entries(properties).map(([name, property]) => [name, isObject(property) ? convert(form, property) : {}]),
    );
  if (out[EMBEDDED] === true && !(form === "v2" && out[PRESERVE] === true)) {
    const own = isObject(out["properties"]) ? out["properties"] : {};
    const required = Array.isArray(out["required"]) ? (out["required"] as string[]) : [];
    out["properties"] = { ...own, ...META_PROPERTIES };
    out["required"] = [...required, ...["kind", "apiVersion"].filter((name) => !required.includes(name))];
  }
  return out;
}

/** Takes out what the old form cannot say, and all that its clients would judge wrongly then. */
function cut(schema: Json): void {
  for (const keyword of ["allOf", "anyOf", "oneOf", "not"]) delete schema[keyword];
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  const nullable = new Set(
    Object.entries(properties)
      .filter(([, property]) => isObject(property) && property["nullable"] === true)
      .map(([name]) => name),
  );
  if (schema["nullable"] === true) {
    for (const keyword of ["type", "nullable", "items", "properties"]) delete schema[keyword];
  }
  if (schema[PRESERVE] === true) {
    delete schema["items"];
    delete schema["properties"];
    if (schema["type"] === "object") delete schema["type"];
  }
  if (schema["items"] === undefined && schema["type"] === "array") delete schema["type"];
  const additional = schema["additionalProperties"];
  if (isObject(additional) && additional["nullable"] === true) delete schema["required"];
  const { required } = schema;
  if (!Array.isArray(required) || nullable.size === 0) return;
  const rest = (required as string[]).filter((name) => !nullable.has(name));
  if (rest.length > 0) schema["required"] = rest;
  else delete schema["required"];
}
