import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from "@coracle/api/apiextensions/v1";
import { equalJson, isQualifiedName, type Draft } from "@coracle/apimachinery";
import type { CustomSchema } from "@coracle/apimachinery/structural";
import type { ApiDraft, ApiObject, ResourceDefinition } from "../registry/resource-definition.ts";
import { acceptedNames } from "./definition.ts";
import { compileJsonPath } from "./json-path.ts";
import { textOfValue } from "./printer-columns.ts";

/** Finalizers of the API itself, which have no domain. */
const STANDARD_FINALIZERS: ReadonlySet<string> = new Set(["orphan", "foregroundDeletion", "kubernetes"]);

function finalizerWarnings(object: ApiObject, old: ApiObject | undefined): string[] {
  const before = new Set((old?.metadata["finalizers"] as string[] | undefined) ?? []);
  const added = ((object.metadata["finalizers"] as string[] | undefined) ?? []).filter((name) => !before.has(name));
  return [...new Set(added)].sort().flatMap((name) => {
    const about = `metadata.finalizers: ${JSON.stringify(name)}`;
    const warnings = isQualifiedName(name).map((message) => `${about}: ${message}`);
    if (name.includes("/") || STANDARD_FINALIZERS.has(name)) return warnings;
    const path = name.includes(".") ? " including a path (/)" : "";
    return [
      ...warnings,
      `${about}: prefer a domain-qualified finalizer name${path} to avoid accidental conflicts with other finalizer writers`,
    ];
  });
}

/** `.spec.color` as a field selector names it. */
const selectorName = (path: string): string => path.replace(/^\./, "");

function selectableFields(
  version: CustomResourceDefinitionVersion,
): NonNullable<ResourceDefinition["selectableFields"]> {
  const out: Record<string, (object: ApiObject) => string> = {};
  for (const { jsonPath } of version.selectableFields ?? []) {
    const find = compileJsonPath(jsonPath);
    out[selectorName(jsonPath)] = (object) => {
      const [value] = find(object);
      return value === undefined || value === null ? "" : textOfValue(value);
    };
  }
  return out;
}

const keepStatus = (draft: ApiDraft, old: ApiObject): void => {
  if (old["status"] === undefined) delete draft["status"];
  else draft["status"] = old["status"];
};

/** Of a status update nothing counts but the status, and who owns it. */
function onlyStatus(draft: ApiDraft, old: ApiObject): void {
  const { status } = draft;
  const { managedFields, resourceVersion } = draft.metadata;
  for (const member of Object.keys(draft)) delete draft[member];
  Object.assign(draft, old);
  draft.metadata = { ...old.metadata, resourceVersion };
  if (managedFields === undefined) delete draft.metadata.managedFields;
  else draft.metadata.managedFields = managedFields;
  if (status === undefined) delete draft["status"];
  else draft["status"] = status;
}

/** The rules of one version of a custom resource, as the registry applies them. */
export function defineVersion(
  crd: CustomResourceDefinition,
  version: CustomResourceDefinitionVersion,
  schema: CustomSchema,
): ResourceDefinition {
  const hasStatus = version.subresources?.status !== undefined;
  const { plural, kind } = acceptedNames(crd);
  return {
    group: crd.spec.group,
    version: version.name,
    plural,
    kind,
    allowUnconditionalUpdate: false,
    hasFreeFinalizers: true,
    hasGeneration: true,
    selectableFields: selectableFields(version),
    defaults: (draft) => schema.applyDefaults(draft),
    validateNew: (object, earlier) => schema.validate(object as Draft, earlier),
    createWarnings: (object) => finalizerWarnings(object, undefined),
    ...(hasStatus
      ? { prepareForCreate: (draft: ApiDraft) => void delete draft["status"] }
      : // Without a subresource of its own the status is part of the wish.
        { countsMetadata: (draft: ApiDraft, old: ApiObject) => !equalJson(draft["status"], old["status"]) }),
    update: {
      ...(hasStatus ? { prepare: keepStatus } : {}),
      validate: (object, old, { warnings }) =>
        schema.validateUpdate(object as Draft, old as Draft, undefined, warnings),
      warnings: finalizerWarnings,
    },
    subresources: hasStatus
      ? {
          status: {
            prepare: onlyStatus,
            validate: (object, old, { warnings }) =>
              schema.validateStatusUpdate(object as Draft, old as Draft, undefined, warnings),
          },
        }
      : {},
  };
}
