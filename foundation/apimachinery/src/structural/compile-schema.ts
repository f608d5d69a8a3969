import { isObject, type Draft } from "../json/json.ts";
import {
  DEEPEST_SCHEMA,
  type Bounds,
  type NodeType,
  type StructuralNode,
  type ValidationRule,
} from "./structural-node.ts";

/** Compiles a schema (`openAPIV3Schema`, as JSON) that has passed `checkStructural`. Throws for schemas too deep. */
export function compileSchema(schema: unknown): StructuralNode {
  return compileNode(isObject(schema) ? schema : {}, 0);
}

function compileNode(schema: Draft, depth: number): StructuralNode {
  if (depth > DEEPEST_SCHEMA) throw new Error(`schema is deeper than ${DEEPEST_SCHEMA} levels`);
  const child = (value: unknown): StructuralNode | undefined =>
    isObject(value) ? compileNode(value, depth + 1) : undefined;
  const children = (value: unknown): readonly StructuralNode[] =>
    Array.isArray(value) && value.length > 0
      ? value.map((each) => compileNode(isObject(each) ? each : {}, depth + 1))
      : NONE;

  const properties = compileProperties(schema["properties"], depth);
  const additional = child(schema["additionalProperties"]);
  const items = child(schema["items"]);
  const rules = compileRules(schema["x-kubernetes-validations"]);
  const listType = schema["x-kubernetes-list-type"] as StructuralNode["listType"];
  const isEmbeddedResource = schema["x-kubernetes-embedded-resource"] === true;
  const hasDefault = schema["default"] !== undefined;
  const below = [
    ...properties.values(),
    ...(additional === undefined ? [] : [additional]),
    ...(items === undefined ? [] : [items]),
  ];
  return {
    type: text(schema["type"]) as NodeType,
    nullable: schema["nullable"] === true,
    isIntOrString: schema["x-kubernetes-int-or-string"] === true,
    isEmbeddedResource,
    preservesUnknownFields: schema["x-kubernetes-preserve-unknown-fields"] === true,
    properties,
    additional,
    allowsAdditional: additional !== undefined || schema["additionalProperties"] === true,
    forbidsAdditional: schema["additionalProperties"] === false,
    items,
    hasDefault,
    default: schema["default"],
    defaulted: [...properties].filter(([, property]) => property.hasDefault),
    propertiesWithDefaults: [...properties].filter(([, property]) => property.hasDefaultsBelow),
    hasDefaultsBelow: hasDefault || below.some((node) => node.hasDefaultsBelow),
    hasEmbeddedBelow: isEmbeddedResource || below.some((node) => node.hasEmbeddedBelow),
    hasRulesBelow: rules.length > 0 || below.some((node) => node.hasRulesBelow),
    hasKeyedListsBelow: listType === "map" || listType === "set" || below.some((node) => node.hasKeyedListsBelow),
    listType,
    listMapKeys: texts(schema["x-kubernetes-list-map-keys"]),
    mapType: schema["x-kubernetes-map-type"] as StructuralNode["mapType"],
    rules,
    bounds: compileBounds(schema),
    allOf: children(schema["allOf"]),
    anyOf: children(schema["anyOf"]),
    oneOf: children(schema["oneOf"]),
    not: child(schema["not"]),
  };
}

const NONE: readonly StructuralNode[] = [];
const NO_PROPERTIES: ReadonlyMap<string, StructuralNode> = new Map();
const NO_RULES: readonly ValidationRule[] = [];
const NO_TEXTS: readonly string[] = [];

function compileProperties(value: unknown, depth: number): ReadonlyMap<string, StructuralNode> {
  if (!isObject(value)) return NO_PROPERTIES;
  const out = new Map<string, StructuralNode>();
  for (const name of Object.keys(value)) {
    const member = value[name];
    out.set(name, compileNode(isObject(member) ? member : {}, depth + 1));
  }
  return out.size === 0 ? NO_PROPERTIES : out;
}

function compileRules(value: unknown): readonly ValidationRule[] {
  if (!Array.isArray(value) || value.length === 0) return NO_RULES;
  return value.filter(isObject).map((rule) => ({
    rule: text(rule["rule"]),
    message: text(rule["message"]),
    messageExpression: text(rule["messageExpression"]),
    reason: text(rule["reason"]),
    fieldPath: text(rule["fieldPath"]),
    optionalOldSelf: typeof rule["optionalOldSelf"] === "boolean" ? rule["optionalOldSelf"] : undefined,
  }));
}

const BOUND_KEYWORDS = [
  "minimum",
  "maximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "pattern",
  "format",
  "minItems",
  "maxItems",
  "uniqueItems",
  "minProperties",
  "maxProperties",
  "required",
  "enum",
] as const;

function compileBounds(schema: Draft): Bounds | undefined {
  if (!BOUND_KEYWORDS.some((keyword) => schema[keyword] !== undefined)) return undefined;
  const pattern = text(schema["pattern"]);
  return {
    minimum: number(schema["minimum"]),
    maximum: number(schema["maximum"]),
    exclusiveMinimum: schema["exclusiveMinimum"] === true,
    exclusiveMaximum: schema["exclusiveMaximum"] === true,
    multipleOf: number(schema["multipleOf"]),
    minLength: number(schema["minLength"]),
    maxLength: number(schema["maxLength"]),
    pattern: pattern === "" ? undefined : pattern,
    format: text(schema["format"]),
    minItems: number(schema["minItems"]),
    maxItems: number(schema["maxItems"]),
    uniqueItems: schema["uniqueItems"] === true,
    minProperties: number(schema["minProperties"]),
    maxProperties: number(schema["maxProperties"]),
    required: texts(schema["required"]),
    enum: Array.isArray(schema["enum"]) && schema["enum"].length > 0 ? (schema["enum"] as unknown[]) : undefined,
  };
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) && value.length > 0
    ? value.filter((each): each is string => typeof each === "string")
    : NO_TEXTS;
