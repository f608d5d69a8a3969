import { forbiddenField, invalidValue, type FieldError } from "../errors/field-error.ts";
import { isObject, type Draft } from "../json/json.ts";
import { compileSchema } from "./compile-schema.ts";
import { checkDefaults } from "./schema-defaults.ts";
import { childPath } from "./schema-path.ts";
import { costText, RuleCosts, TOTAL_COST_LIMIT, type RuleCheckPort } from "./schema-rules.ts";
import { checkShape, schemasIn, unsupportedKeyword } from "./schema-shape.ts";
import { checkKeywords } from "./schema-keywords.ts";
import { DEEPEST_SCHEMA, type StructuralNode } from "./structural-node.ts";

/** What a schema is held to; what its last version already did wrong may be let pass. */
export interface SchemaCheckOptions {
  /** The status subresource is enabled: the root may say nothing that `properties.status` alone would lose. */
  readonly hasStatus: boolean;
  readonly requiresValidTypes: boolean;
  readonly requiresStructural: boolean;
  readonly requiresPrunedDefaults: boolean;
  readonly requiresAtomicSets: boolean;
  readonly requiresSoundListKeys: boolean;
  /** The schema has not changed: single rules may cost what they want. */
  readonly ignoresRuleCost: boolean;
  /** Absent: rules are not looked into. */
  readonly rules: RuleCheckPort | undefined;
}

/** For new schemas. */
export const STRICT_SCHEMA: Omit<SchemaCheckOptions, "hasStatus" | "rules"> = {
  requiresValidTypes: true,
  requiresStructural: true,
  requiresPrunedDefaults: true,
  requiresAtomicSets: true,
  requiresSoundListKeys: true,
  ignoresRuleCost: false,
};

const AT_ROOT = [
  ["Description", "description"],
  ["Type", "type"],
  ["Format", "format"],
  ["Title", "title"],
  ["Maximum", "maximum"],
  ["ExclusiveMaximum", "exclusiveMaximum"],
  ["Minimum", "minimum"],
  ["ExclusiveMinimum", "exclusiveMinimum"],
  ["MaxLength", "maxLength"],
  ["MinLength", "minLength"],
  ["Pattern", "pattern"],
  ["MaxItems", "maxItems"],
  ["MinItems", "minItems"],
  ["UniqueItems", "uniqueItems"],
  ["MultipleOf", "multipleOf"],
  ["Required", "required"],
  ["Items", "items"],
  ["Properties", "properties"],
  ["ExternalDocs", "externalDocs"],
  ["Example", "example"],
  ["XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields"],
  ["XValidations", "x-kubernetes-validations"],
] as const;
const ALLOWED_AT_ROOT: ReadonlySet<string> = new Set(AT_ROOT.map(([, keyword]) => keyword));

/** What is wrong with an `openAPIV3Schema`, which is at the path. */
export function checkSchema(path: string, schema: Draft, options: SchemaCheckOptions): FieldError[] {
  if (depthOf(schema) > DEEPEST_SCHEMA)
    return [invalidValue(path, "", `must not be deeper than ${DEEPEST_SCHEMA} levels`)];
  const errors: FieldError[] = [];
  if (options.hasStatus) checkRootKeywords(path, schema, errors);
  if (schema["nullable"] === true)
    errors.push(forbiddenField(childPath(path, "nullable"), "nullable cannot be true at the root"));

  // Rules are looked into only where everything they stand on is sound.
  let root: StructuralNode | undefined;
  let unsupported: FieldError | undefined;
  if (options.requiresStructural) {
    const problem = unsupportedKeyword(schema);
    if (problem !== undefined) unsupported = invalidValue(path, "", problem);
    else {
      const compiled = compileSchema(schema);
      const shape = checkShape(path, schema);
      const found = shape.length > 0 ? shape : checkDefaultsOf(path, compiled, options);
      errors.push(...found);
      if (found.length === 0) root = compiled;
    }
  }
  const costs = new RuleCosts();
  const { keywordErrors, ruleErrors } = checkKeywords(path, schema, root, options, costs);
  errors.push(...keywordErrors, ...ruleErrors);
  if (errors.length === 0 && unsupported !== undefined) errors.push(unsupported);
  if (costs.total > TOTAL_COST_LIMIT) {
    for (const expensive of costs.mostExpensive)
      errors.push(
        forbiddenField(
          expensive.path,
          "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
        ),
      );
    errors.push(
      forbiddenField(
        path,
        costText(
          "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema",
          costs.total,
          TOTAL_COST_LIMIT,
        ),
      ),
    );
  }
  return errors;
}

function checkDefaultsOf(path: string, root: StructuralNode, options: SchemaCheckOptions): FieldError[] {
  if (!root.hasDefaultsBelow) return [];
  return checkDefaults(path, root, options.requiresPrunedDefaults, (node, value, at, isResource) =>
    node.hasRulesBelow ? (options.rules?.checkDefault(node, value, at, isResource) ?? []) : [],
  );
}

function checkRootKeywords(path: string, schema: Draft, errors: FieldError[]): void {
  for (const keyword of Object.keys(schema)) {
    const value = schema[keyword];
    if (value === undefined || value === "" || value === false || value === null) continue;
    if (keyword === "type") {
      if (value === "object") continue;
      errors.push(
        invalidValue(
          childPath(path, "type"),
          value,
          'only "object" is allowed as the type at the root of the schema if the status subresource is enabled',
        ),
      );
      return;
    }
    if (ALLOWED_AT_ROOT.has(keyword)) continue;
    const names = AT_ROOT.map(([name]) => name).join(" ");
    errors.push(
      invalidValue(
        path,
        schema,
        `only [${names}] fields are allowed at the root of the schema if the status subresource is enabled`,
      ),
    );
    return;
  }
}

/** Levels of schemas, counted without recursion so that no depth is too deep to be told. */
function depthOf(schema: Draft): number {
  let depth = 0;
  let level: readonly Draft[] = [schema];
  while (level.length > 0 && depth <= DEEPEST_SCHEMA) {
    depth++;
    level = level.flatMap((each) => schemasIn(each));
  }
  return depth;
}

/** Whether a predicate holds for a schema or one inside it. */
export function someSchema(schema: unknown, predicate: (schema: Draft) => boolean): boolean {
  if (!isObject(schema) || depthOf(schema) > DEEPEST_SCHEMA) return false;
  const visit = (each: Draft): boolean => predicate(each) || schemasIn(each).some(visit);
  return visit(schema);
}
