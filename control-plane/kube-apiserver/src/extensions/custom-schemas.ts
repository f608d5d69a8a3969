import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from "@coracle/api/apiextensions/v1";
import { createCustomSchema, type CustomSchema, type RulePort } from "@coracle/apimachinery/structural";

/** Compiles a version's schema. `rules`: needed for schemas that have validation rules. */
export function compileVersion(
  crd: CustomResourceDefinition,
  version: CustomResourceDefinitionVersion,
  rules: RulePort | undefined,
): CustomSchema {
  return createCustomSchema(version.schema?.openAPIV3Schema, {
    group: crd.spec.group,
    version: version.name,
    kind: crd.status?.acceptedNames?.kind ?? crd.spec.names.kind,
    preserveUnknownFields: crd.spec.preserveUnknownFields,
    scale: version.subresources?.scale,
    rules,
  });
}

/** Whether a version has validation rules anywhere. */
export const hasRules = (version: CustomResourceDefinitionVersion): boolean =>
  JSON.stringify(version.schema ?? {}).includes('"x-kubernetes-validations"');
