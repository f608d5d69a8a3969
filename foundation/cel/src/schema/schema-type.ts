import type { ObjectDeclaration } from "../check/environment.ts";
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listType,
  mapType,
  objectType,
  STRING,
  TIMESTAMP,
  type CelType,
} from "../types/cel-type.ts";
import { escapeField } from "./field-names.ts";

/** The part of an OpenAPI v3 schema that types are made of. */
export interface OpenApiSchema {
  readonly $ref?: string;
  readonly allOf?: readonly OpenApiSchema[];
  readonly type?: string;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, OpenApiSchema>>;
  readonly additionalProperties?: OpenApiSchema | boolean;
  readonly items?: OpenApiSchema;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-embedded-resource"?: boolean;
}

/** Finds what `$ref` points at. */
export type SchemaResolver = (ref: string) => OpenApiSchema | undefined;

const TEXT: OpenApiSchema = { type: "string" };
const ROOT: Readonly<Record<string, OpenApiSchema>> = {
  apiVersion: TEXT,
  kind: TEXT,
  metadata: { type: "object", properties: { name: TEXT, generateName: TEXT } },
};
const SCALARS: Readonly<Record<string, CelType>> = { boolean: BOOL, number: DOUBLE, integer: INT };
const FORMATS: Readonly<Record<string, CelType>> = {
  byte: BYTES,
  duration: DURATION,
  date: TIMESTAMP,
  "date-time": TIMESTAMP,
};

/**
 * The type of a schema, undefined where the schema says nothing that a type could be made of. Object types are
 * declared as they are asked for, so schemas that contain themselves are no trouble.
 */
export function schemaType(
  schema: OpenApiSchema,
  name: string,
  resolve: SchemaResolver,
  objects: Map<string, ObjectDeclaration>,
  isRoot = false,
): CelType | undefined {
  const plain = deref(schema, resolve);
  if (plain["x-kubernetes-int-or-string"] === true || plain.format === "int-or-string") return DYN;
  switch (plain.type) {
    case "array": {
      const items = plain.items;
      if (items === undefined) return undefined;
      const item = schemaType(
        items,
        `${name}.@idx`,
        resolve,
        objects,
        items["x-kubernetes-embedded-resource"] === true,
      );
      return item === undefined ? undefined : listType(item);
    }
    case "object":
      return objectTypeOf(plain, name, resolve, objects, isRoot);
    case "string":
      return FORMATS[plain.format ?? ""] ?? STRING;
    default:
      return SCALARS[plain.type ?? ""];
  }
}

function objectTypeOf(
  schema: OpenApiSchema,
  name: string,
  resolve: SchemaResolver,
  objects: Map<string, ObjectDeclaration>,
  isRoot: boolean,
): CelType | undefined {
  const { additionalProperties } = schema;
  if (typeof additionalProperties === "object") {
    const value = schemaType(additionalProperties, `${name}.@elem`, resolve, objects);
    return value === undefined ? undefined : mapType(STRING, value);
  }
  const properties = isRoot ? { ...ROOT, ...schema.properties } : (schema.properties ?? {});
  const byField = new Map<string, OpenApiSchema>();
  for (const [property, member] of Object.entries(properties)) {
    const field = escapeField(property);
    if (field !== undefined) byField.set(field, member);
  }
  const types = new Map<string, CelType | undefined>();
  objects.set(name, {
    name,
    field(field) {
      if (types.has(field)) return types.get(field);
      const member = byField.get(field);
      const type = member === undefined ? undefined : schemaType(member, `${name}.${field}`, resolve, objects);
      types.set(field, type);
      return type;
    },
  });
  return objectType(name);
}

function deref(schema: OpenApiSchema, resolve: SchemaResolver): OpenApiSchema {
  let plain = schema;
  for (let hops = 0; hops < 8; hops++) {
    const ref = plain.$ref ?? (plain.allOf?.length === 1 ? plain.allOf[0]!.$ref : undefined);
    if (ref === undefined) return plain;
    const found = resolve(ref);
    if (found === undefined) return {};
    plain = found;
  }
  return plain;
}
