/** How a member's JSON is read. Named objects are found through the engine on first use: types contain themselves. */
export type SchemaNode =
  | {
      readonly kind:
        | "string"
        | "boolean"
        | "number"
        | "bytes"
        | "any"
        | "time"
        | "microTime"
        | "duration"
        | "intOrString";
    }
  | { readonly kind: "integer"; readonly bits: 8 | 32 | 64 }
  | { readonly kind: "quantity"; readonly isRoundedToMilli: boolean }
  | { readonly kind: "schemaOr"; readonly other: "array" | "boolean" | "strings"; readonly schema: ObjectSchema }
  | { readonly kind: "array"; readonly items: SchemaNode }
  | { readonly kind: "map"; readonly values: SchemaNode }
  | ObjectSchema;

/** A type with named members. */
export interface ObjectSchema {
  readonly kind: "object";
  /** Definition name: `io.k8s.api.core.v1.PodSpec`. */
  readonly name: string;
  readonly fields: ReadonlyMap<string, FieldSchema>;
  /** Members that appear in JSON even when nobody set them, with what they hold then. */
  readonly filled: readonly FieldSchema[];
  readonly isAtomic: boolean;
}

/** One member of a type. */
export interface FieldSchema {
  readonly name: string;
  readonly type: SchemaNode;
  readonly isRequired: boolean;
  /** Left out of JSON when zero (`""`, 0, false, empty list or map). */
  readonly omitsZero: boolean;
  /** A list that shows as null when there is none. */
  readonly isNullWhenAbsent: boolean;
  /** Of such a list, an empty one reads as none. */
  readonly isNullWhenEmpty: boolean;
  /** What an absent member reads as; undefined for none, `"object"` for a filled object of the member's type. */
  readonly fill: { readonly value: string | number | boolean | null } | "object" | undefined;
  /** The table's default, if it is a scalar. */
  readonly declaredDefault: string | number | boolean | undefined;
  /** Strategic merge patch: how a patch combines with what is there. */
  readonly patchMerges: boolean;
  readonly patchRetainsKeys: boolean;
  readonly patchReplaces: boolean;
  readonly patchMergeKey: string | undefined;
  /** Server-side apply: how a list or map is owned. */
  readonly listType: "atomic" | "set" | "map" | undefined;
  readonly listMapKeys: readonly string[];
  readonly mapType: "atomic" | "granular" | undefined;
}

/** `v1.PodSpec`, `[]v1.Container`, `map[string]string`: the type's name in messages. */
export function typeNameOf(node: SchemaNode): string {
  switch (node.kind) {
    case "string":
      return "string";
    case "boolean":
      return "bool";
    case "number":
      return "float64";
    case "integer":
      return node.bits === 8 ? "uint8" : `int${node.bits}`;
    case "bytes":
      return "[]uint8";
    case "any":
      return "interface {}";
    case "array":
      return `[]${typeNameOf(node.items)}`;
    case "map":
      return `map[string]${typeNameOf(node.values)}`;
    case "object":
      return node.name.split(".").slice(-2).join(".");
    case "time":
      return "v1.Time";
    case "microTime":
      return "v1.MicroTime";
    case "duration":
      return "v1.Duration";
    case "intOrString":
      return "intstr.IntOrString";
    case "quantity":
      return "resource.Quantity";
    case "schemaOr":
      return "v1.JSONSchemaProps";
  }
}
