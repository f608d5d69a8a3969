// Writes src/types/GROUP/VERSION.ts from tables/schema.json and tables/resources.json.
// Every type is readonly all the way down: objects are replaced, never changed in place.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const table = (name) => JSON.parse(readFileSync(join(here, "../tables", `${name}.json`), "utf8"));
const { definitions } = table("schema");
const { resources } = table("resources");
const outDir = join(here, "../src/types");

const SCALAR = {
  "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "number | string",
  "io.k8s.apimachinery.pkg.api.resource.Quantity": "string",
  "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "string",
  "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "string",
  "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": "string",
  "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "{ readonly [path: string]: unknown }",
  "io.k8s.apimachinery.pkg.runtime.RawExtension": "unknown",
  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "unknown",
  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "unknown",
  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "unknown",
  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "unknown",
};

/** Definition name → { module: "core/v1", name: "Pod" }; undefined for scalars. */
function place(definition) {
  if (definition in SCALAR) return undefined;
  const parts = definition.split(".");
  const name = parts.pop();
  const version = parts.pop();
  let group = parts.pop();
  if (definition.startsWith("io.k8s.apimachinery.pkg.version")) return { module: "version", name };
  if (definition.startsWith("io.k8s.apimachinery.pkg.runtime")) return { module: "runtime", name };
  return { module: `${group}/${version}`, name };
}

const GROUP_OF_MODULE = new Map();
for (const resource of Object.values(resources)) {
  const definition = Object.keys(definitions).find((d) =>
    (definitions[d]["x-kubernetes-group-version-kind"] ?? []).some(
      (g) => g.group === resource.group && g.version === resource.version && g.kind === resource.kind,
    ),
  );
  if (definition !== undefined)
    GROUP_OF_MODULE.set(`${resource.group}/${resource.version}/${resource.kind}`, definition);
}

const modules = new Map(); // module → { lines, imports: Map(module → Set(names)) }
const moduleOf = (m) => {
  if (!modules.has(m)) modules.set(m, { lines: [], imports: new Map(), names: new Set() });
  return modules.get(m);
};
for (const d of Object.keys(definitions)) {
  const p = place(d);
  if (p) moduleOf(p.module).names.add(p.name);
}

function alias(module, name, from) {
  // A name that the importing module has itself is imported under its group's name.
  if (!moduleOf(from).names.has(name)) return name;
  const [group, version] = module.split("/");
  return `${group[0].toUpperCase()}${group.slice(1)}${(version ?? "").toUpperCase()}${name}`;
}

function typeOf(schema, from) {
  if (schema.$ref !== undefined) {
    if (schema.$ref in SCALAR) return SCALAR[schema.$ref];
    const p = place(schema.$ref);
    if (p.module === from) return p.name;
    const local = alias(p.module, p.name, from);
    const imports = moduleOf(from).imports;
    if (!imports.has(p.module)) imports.set(p.module, new Set());
    imports.get(p.module).add(local === p.name ? p.name : `${p.name} as ${local}`);
    return local;
  }
  if (schema.enum !== undefined && schema.type === "string") {
    // Enums are open: servers of other versions may know more values.
    return `${schema.enum.map((v) => JSON.stringify(v)).join(" | ")} | (string & {})`;
  }
  switch (schema.type) {
    case "string":
      return "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "array":
      return `readonly ${wrap(typeOf(schema.items ?? {}, from))}[]`;
    case "object":
      if (schema.additionalProperties)
        return `{ readonly [key: string]: ${typeOf(schema.additionalProperties, from)} }`;
      return "{ readonly [key: string]: unknown }";
    default:
      return "unknown";
  }
}
const wrap = (t) => (/[ |&]/.test(t) && !t.startsWith("{") ? `(${t})` : t);
const key = (k) => (/^[A-Za-z_$][\w$]*$/.test(k) ? k : JSON.stringify(k));

for (const [definition, schema] of Object.entries(definitions)) {
  const p = place(definition);
  if (p === undefined) continue;
  const { lines } = moduleOf(p.module);
  const gvks = schema["x-kubernetes-group-version-kind"] ?? [];
  const isObject = schema.properties?.metadata?.$ref?.endsWith("ObjectMeta") && schema.properties.kind;
  lines.push(`/** ${p.name}${gvks.length === 1 ? ` of ${gvks[0].group || "core"}/${gvks[0].version}` : ""}. */`);
  if (schema.properties === undefined) {
    lines.push(`export type ${p.name} = ${typeOf(schema, p.module)};`, "");
    continue;
  }
  lines.push(`export interface ${p.name} {`);
  for (const [name, property] of Object.entries(schema.properties)) {
    const isList = name === "items" && schema.required?.includes("items");
    const required =
      schema.required?.includes(name) ||
      isList ||
      (isObject && (name === "metadata" || (name === "spec" && property.default !== undefined)));
    const type = typeOf(property, p.module);
    lines.push(`  readonly ${key(name)}${required ? "" : "?"}: ${type}${required ? "" : " | undefined"};`);
  }
  lines.push("}", "");
  for (const resource of Object.values(resources)) {
    if (GROUP_OF_MODULE.get(`${resource.group}/${resource.version}/${resource.kind}`) !== definition) continue;
    const { group, version, kind, plural, namespaced } = resource;
    lines.push(
      `/** The resource ${plural}. */`,
      `export const ${p.name}: ResourceType<${p.name}> = ${JSON.stringify({ group, version, kind }).slice(0, -1)},"listKind":${resource.listKind ? JSON.stringify(resource.listKind) : "undefined"},"plural":${JSON.stringify(plural)},"namespaced":${namespaced}};`,
      "",
    );
  }
}

// Only what this generator wrote: the folder also holds the gRPC types.
for (const name of readdirSync(outDir, { recursive: true })) {
  const file = join(outDir, name);
  if (name.endsWith(".ts") && readFileSync(file, "utf8").startsWith("// Generated by generate/types.mjs "))
    rmSync(file);
}
for (const [module, { lines, imports }] of [...modules].sort()) {
  const depth = module.split("/").length;
  const up = "../".repeat(depth);
  const head = ["// Generated by generate/types.mjs from tables/. Do not edit.", ""];
  if (lines.some((l) => l.startsWith("export const")))
    head.push(`import type { ResourceType } from "${up}resource-type.ts";`);
  for (const [target, names] of [...imports].sort()) {
    const prefix = depth === 1 ? "./" : "../";
    head.push(`import type { ${[...names].sort().join(", ")} } from "${prefix}${target}.ts";`);
  }
  const file = join(outDir, `${module}.ts`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, [...head, "", ...lines].join("\n"));
}
