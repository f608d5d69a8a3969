import type { FieldSchema, ObjectSchema, SchemaNode } from "../schema/schema-node.ts";

/** How a value is owned and merged. Types that contain themselves are built as they are walked. */
export type MergeType = ScalarType | StructType | MapType | ListType | DeducedType;

/** Owned as one thing. `expects`: what JSON it takes; `"anything"` for free form. */
export interface ScalarType {
  readonly kind: "scalar";
  readonly expects: "string" | "number" | "boolean" | "scalar" | "anything";
}

/** An object with declared members. */
export interface StructType {
  readonly kind: "struct";
  readonly isAtomic: boolean;
  readonly fields: ReadonlyMap<string, MergeField>;
  /** Of members that are not declared. Absent: there are none. */
  readonly rest?: MergeType | undefined;
}

export interface MergeField {
  readonly name: string;
  /** `f:NAME`. */
  readonly element: string;
  readonly type: MergeType;
  /** Reads as null, not as absent, when nobody set it: a required list or map. */
  readonly isNullWhenAbsent: boolean;
  /** What a list key that is left out reads as. */
  readonly fallback: string | number | boolean | undefined;
}

/** An object with free keys. */
export interface MapType {
  readonly kind: "map";
  readonly isAtomic: boolean;
  readonly values: MergeType;
}

/** Without keys and not atomic: a set of scalars. */
export interface ListType {
  readonly kind: "list";
  readonly isAtomic: boolean;
  readonly keys: readonly string[];
  readonly items: MergeType;
}

/** Nothing is declared: objects are maps of the same, lists are owned as one thing. */
export interface DeducedType {
  readonly kind: "deduced";
}

/** For kinds without a schema. */
export const DEDUCED: DeducedType = { kind: "deduced" };

/** The type of a member; undefined for members that the type does not have. */
export function memberTypeOf(type: StructType | MapType, key: string): MergeType | undefined {
  return type.kind === "map" ? type.values : (type.fields.get(key)?.type ?? type.rest);
}

const scalar = (expects: ScalarType["expects"]): ScalarType => ({ kind: "scalar", expects });
const STRING = scalar("string");
const NUMBER = scalar("number");
const BOOLEAN = scalar("boolean");
const SCALAR = scalar("scalar");
const ANYTHING = scalar("anything");

const granular = new WeakMap<ObjectSchema, StructType>();
const atomic = new WeakMap<ObjectSchema, StructType>();

/** The type of a kind, from the schema engine's. */
export function mergeTypeOf(schema: ObjectSchema): StructType {
  return structOf(schema, schema.isAtomic);
}

function structOf(schema: ObjectSchema, isAtomic: boolean): StructType {
  const known = (isAtomic ? atomic : granular).get(schema);
  if (known !== undefined) return known;
  let fields: ReadonlyMap<string, MergeField> | undefined;
  const struct: StructType = {
    kind: "struct",
    isAtomic,
    get fields() {
      return (fields ??= new Map([...schema.fields.values()].map((field) => [field.name, fieldOf(field)])));
    },
  };
  (isAtomic ? atomic : granular).set(schema, struct);
  return struct;
}

function fieldOf(field: FieldSchema): MergeField {
  const isCollection = field.type.kind === "array" || field.type.kind === "map";
  return {
    name: field.name,
    element: `f:${field.name}`,
    type: typeOf(field.type, field),
    isNullWhenAbsent: isCollection && !field.omitsZero && (field.isRequired || field.isNullWhenAbsent),
    fallback: field.declaredDefault,
  };
}

function typeOf(node: SchemaNode, field?: FieldSchema): MergeType {
  switch (node.kind) {
    case "string":
    case "bytes":
    case "duration":
      return STRING;
    case "boolean":
      return BOOLEAN;
    case "number":
    case "integer":
      return NUMBER;
    case "time":
    case "microTime":
    case "intOrString":
    case "quantity":
      return SCALAR;
    case "any":
    case "schemaOr":
      return ANYTHING;
    case "object":
      return structOf(node, field?.mapType === undefined ? node.isAtomic : field.mapType === "atomic");
    case "map":
      return { kind: "map", isAtomic: field?.mapType === "atomic", values: typeOf(node.values) };
    case "array":
      return {
        kind: "list",
        isAtomic: field?.listType === undefined || field.listType === "atomic",
        keys: field?.listType === "map" ? [...field.listMapKeys].sort() : [],
        items: typeOf(node.items),
      };
  }
}

/** The type of a value whose type is not declared. */
export function deduce(value: unknown): MapType | ScalarType {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? DEDUCED_MAP : ANYTHING;
}
const DEDUCED_MAP: MapType = { kind: "map", isAtomic: false, values: DEDUCED };
