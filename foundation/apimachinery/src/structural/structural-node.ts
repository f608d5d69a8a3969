/**
 * The JSON type a node declares; `""` for none (int-or-string, free form, value validations). Schemas that are about to
 * be refused may have others.
 */
export type NodeType = "" | "array" | "boolean" | "integer" | "number" | "object" | "string";

/** One of `x-kubernetes-validations`. */
export interface ValidationRule {
  readonly rule: string;
  readonly message: string;
  readonly messageExpression: string;
  /** `""` reads as FieldValueInvalid. */
  readonly reason: string;
  readonly fieldPath: string;
  readonly optionalOldSelf: boolean | undefined;
}

/** What the scalar keywords of a node ask of a value. Members that are undefined ask nothing. */
export interface Bounds {
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  readonly exclusiveMinimum: boolean;
  readonly exclusiveMaximum: boolean;
  readonly multipleOf: number | undefined;
  readonly minLength: number | undefined;
  readonly maxLength: number | undefined;
  readonly pattern: string | undefined;
  readonly format: string;
  readonly minItems: number | undefined;
  readonly maxItems: number | undefined;
  readonly uniqueItems: boolean;
  readonly minProperties: number | undefined;
  readonly maxProperties: number | undefined;
  readonly required: readonly string[];
  readonly enum: readonly unknown[] | undefined;
}

/** One place of a compiled schema. Made once for a version, shared by all its objects, never changed. */
export interface StructuralNode {
  readonly type: NodeType;
  readonly nullable: boolean;
  readonly isIntOrString: boolean;
  readonly isEmbeddedResource: boolean;
  readonly preservesUnknownFields: boolean;
  readonly properties: ReadonlyMap<string, StructuralNode>;
  /** `additionalProperties` as a schema. */
  readonly additional: StructuralNode | undefined;
  /** `additionalProperties: true` or a schema. */
  readonly allowsAdditional: boolean;
  /** `additionalProperties: false`. */
  readonly forbidsAdditional: boolean;
  readonly items: StructuralNode | undefined;
  readonly hasDefault: boolean;
  readonly default: unknown;
  /** This node or one below it has a default. */
  readonly hasDefaultsBelow: boolean;
  /** The properties that have a default. */
  readonly defaulted: readonly (readonly [name: string, property: StructuralNode])[];
  /** The properties with defaults in or below them. */
  readonly propertiesWithDefaults: readonly (readonly [name: string, property: StructuralNode])[];
  readonly hasEmbeddedBelow: boolean;
  readonly hasRulesBelow: boolean;
  /** A set or map list is here or below. */
  readonly hasKeyedListsBelow: boolean;
  readonly listType: "atomic" | "map" | "set" | undefined;
  readonly listMapKeys: readonly string[];
  readonly mapType: "atomic" | "granular" | undefined;
  readonly rules: readonly ValidationRule[];
  /** Undefined where no keyword is present. */
  readonly bounds: Bounds | undefined;
  readonly allOf: readonly StructuralNode[];
  readonly anyOf: readonly StructuralNode[];
  readonly oneOf: readonly StructuralNode[];
  readonly not: StructuralNode | undefined;
}

/** Schemas that are deeper than this are refused: no one writes them, and every walk is recursive. */
export const DEEPEST_SCHEMA = 500;
