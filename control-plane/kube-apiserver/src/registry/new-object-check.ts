import type { ObjectMeta } from "@coracle/api/meta/v1";
import { nameIsDns1123Subdomain, nameIsPathSegment, validateObjectMeta, type FieldError } from "@coracle/apimachinery";
import type { ApiObject, ResourceDefinition, StrategyContext } from "./resource-definition.ts";

/**
 * What is wrong with a new object, in the order in which the kind finds it. Metadata comes first, but for kinds whose own rules
 * do not look at it: theirs is looked at in an object without other faults.
 */
export function checkNewObject(
  definition: ResourceDefinition,
  object: ApiObject,
  isNamespaced: boolean,
  strategy: StrategyContext,
): FieldError[] {
  const { metadataOrder = "first" } = definition;
  const checkMetadata = (rule: (name: string, isPrefix: boolean) => string[]): FieldError[] =>
    validateObjectMeta(
      object.metadata as ObjectMeta,
      isNamespaced,
      (name, isPrefix) => rule(name, isPrefix),
      "metadata",
      definition.hasFreeFinalizers,
    );
  const ofMetadata = (): FieldError[] =>
    checkMetadata(
      (name, isPrefix) => definition.validateName?.(name, isPrefix, object) ?? nameIsDns1123Subdomain(name, isPrefix),
    );
  const errors = metadataOrder === "first" ? ofMetadata() : [];
  errors.push(...(definition.validate?.(object, strategy) ?? []));
  if (metadataOrder === "afterRules") errors.push(...ofMetadata());
  errors.push(...(definition.validateNew?.(object, errors) ?? []));
  // Every name must be a part of a path, whatever the kind itself makes of it.
  const isLookedAtAgain = metadataOrder === "alone" || definition.validateName !== undefined;
  return errors.length === 0 && isLookedAtAgain ? checkMetadata(nameIsPathSegment) : errors;
}
