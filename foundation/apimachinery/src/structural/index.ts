/** Custom resources' schemas: compiled once, then pruning, defaulting, validation and merge types over objects. */
export {
  createCustomSchema,
  type CompiledRules,
  type CustomSchema,
  type CustomSchemaOptions,
  type RulePort,
} from "./custom-schema.ts";
export { compileSchema } from "./compile-schema.ts";
export {
  DEEPEST_SCHEMA,
  type Bounds,
  type NodeType,
  type StructuralNode,
  type ValidationRule,
} from "./structural-node.ts";
