/**
 * Custom resources' schemas: compiled once, then pruning, defaulting, validation and merging of objects. Nothing here
 * reads or writes anything but what it is given.
 */
export {
  createCustomSchema,
  type CompiledRules,
  type CustomSchema,
  type CustomSchemaOptions,
  type RulePort,
} from "./custom-schema.ts";
export { compileSchema } from "./compile-schema.ts";
export { Correlation } from "./correlation.ts";
export { isKnownFormat } from "./formats.ts";
export { ownMember } from "./own-member.ts";
export { patternProblem } from "./patterns.ts";
export type { ScalePaths } from "./scale-values.ts";
export {
  DEEPEST_SCHEMA,
  type Bounds,
  type NodeType,
  type StructuralNode,
  type ValidationRule,
} from "./structural-node.ts";
export { checkSchema, someSchema, STRICT_SCHEMA, type SchemaCheckOptions } from "./check-schema.ts";
export { checkListKeys, hasDividableItems } from "./schema-keywords.ts";
export { pruneDefault } from "./schema-defaults.ts";
export { followPath, type FoundNode } from "./schema-path.ts";
export { type CheckedRule, type RuleCheckPort } from "./schema-rules.ts";
export { checkShape, unsupportedKeyword } from "./schema-shape.ts";
