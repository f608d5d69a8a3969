import type { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { cloneJson, equalJson, isObject, type Draft } from "@coracle/apimachinery";
import {
  checkListKeys,
  checkShape,
  compileSchema,
  hasDividableItems,
  pruneDefault,
  someSchema,
  STRICT_SCHEMA,
  unsupportedKeyword,
  type SchemaCheckOptions,
} from "@coracle/apimachinery/structural";
import type { Decoded } from "../validation/decoded.ts";

type Definition = Decoded<CustomResourceDefinition>;

/** What a definition is held to. */
export interface DefinitionRules {
  readonly schema: Omit<SchemaCheckOptions, "hasStatus" | "rules" | "ignoresRuleCost">;
  readonly requiresSchema: boolean;
  readonly requiresKnownReviewVersion: boolean;
  readonly allowsBadCaBundle: boolean;
  readonly hasImmutableNames: boolean;
  /** Versions whose schemas have not changed: their rules may cost what they cost. */
  readonly unchangedVersions: ReadonlySet<string>;
  /** Versions that may keep more selectable fields than are allowed; `""` for what all versions share. */
  readonly manySelectableFields: ReadonlySet<string>;
}

/** For new definitions. */
export const NEW_DEFINITION: DefinitionRules = {
  schema: STRICT_SCHEMA,
  requiresSchema: true,
  requiresKnownReviewVersion: true,
  allowsBadCaBundle: true,
  hasImmutableNames: false,
  unchangedVersions: new Set(),
  manySelectableFields: new Set(),
};

const SET_MOST = 8;

/** For updates: what the old definition already did wrong does not lock its owner out. */
export function rulesForUpdate(
  definition: Definition,
  old: Definition,
  isGoodCaBundle: (text: string) => boolean,
): DefinitionRules {
  const schemas = (old.spec?.versions ?? []).map((version) => version.schema?.openAPIV3Schema as unknown);
  const some = (predicate: (schema: Draft) => boolean): boolean =>
    schemas.some((schema) => someSchema(schema, predicate));
  const isEstablished = old.status?.conditions?.some((c) => c.type === "Established" && c.status === "True") === true;
  const oldVersions = new Map((old.spec?.versions ?? []).map((version) => [version.name ?? "", version]));
  const versions = definition.spec?.versions ?? [];
  const reviewVersions = old.spec?.conversion?.webhook?.conversionReviewVersions ?? [];
  const oldBundle = old.spec?.conversion?.webhook?.clientConfig?.caBundle ?? "";
  return {
    schema: {
      requiresValidTypes: !some((schema) => isBadType(schema["type"])),
      requiresStructural: !schemas.some((schema) => isObject(schema) && !isStructural(schema)),
      requiresPrunedDefaults: !schemas.some((schema) => isObject(schema) && hasUnprunedDefaults(schema)),
      requiresAtomicSets: !some(
        (schema) =>
          schema["x-kubernetes-list-type"] === "set" && isObject(schema["items"]) && hasDividableItems(schema["items"]),
      ),
      requiresSoundListKeys: !some((schema) => checkListKeys(schema, "").length > 0),
    },
    requiresSchema: schemas.every((schema) => schema !== undefined),
    requiresKnownReviewVersion:
      reviewVersions.length === 0 || reviewVersions.some((version) => version === "v1" || version === "v1beta1"),
    allowsBadCaBundle: !isEstablished || (oldBundle !== "" && !isGoodCaBundle(oldBundle)),
    hasImmutableNames: isEstablished,
    unchangedVersions: new Set(
      versions
        .filter((version) => equalJson(version.schema, oldVersions.get(version.name ?? "")?.schema))
        .map((version) => version.name ?? ""),
    ),
    manySelectableFields: new Set(
      versions
        .filter((version) => {
          const before = oldVersions.get(version.name ?? "")?.selectableFields ?? [];
          return before.length > SET_MOST && equalJson(before, version.selectableFields);
        })
        .flatMap((version) => [version.name ?? "", ""]),
    ),
  };
}

const TYPES: ReadonlySet<unknown> = new Set(["array", "boolean", "integer", "number", "object", "string"]);
const isBadType = (type: unknown): boolean => type !== undefined && type !== "" && !TYPES.has(type);
const isStructural = (schema: Draft): boolean =>
  unsupportedKeyword(schema) === undefined && checkShape("", schema).length === 0;

function hasUnprunedDefaults(schema: Draft): boolean {
  if (!someSchema(schema, (each) => each["default"] !== undefined) || !isStructural(schema)) return false;
  return someSchema(schema, (each) => {
    if (each["default"] === undefined) return false;
    const pruned = cloneJson(each["default"]);
    pruneDefault(compileSchema(each), pruned);
    return !equalJson(pruned, each["default"]);
  });
}
