import type { LabelSelector, LabelSelectorRequirement } from "@coracle/api/meta/v1";
import { forbiddenField, invalidValue, required, type FieldError } from "@coracle/apimachinery";
import { text, type Decoded } from "./decoded.ts";
import { labelValue, qualifiedName } from "./names.ts";
import { validateLabels } from "./object-meta.ts";

/** Whether a selector selects everything because it says nothing. */
export function isEmptySelector(selector: Decoded<LabelSelector> | undefined): boolean {
  return Object.keys(selector?.matchLabels ?? {}).length + (selector?.matchExpressions?.length ?? 0) === 0;
}

/** `matchLabels` and `matchExpressions`. `invalidValuesAllowed`: stored objects may hold values that are no labels. */
export function validateLabelSelector(
  errors: FieldError[],
  path: string,
  selector: Decoded<LabelSelector> | undefined,
  options: { readonly invalidValuesAllowed?: boolean } = {},
): void {
  if (selector === undefined) return;
  validateLabels(errors, `${path}.matchLabels`, selector.matchLabels);
  selector.matchExpressions?.forEach((expression, i) => {
    validateRequirement(errors, `${path}.matchExpressions[${i}]`, expression, options.invalidValuesAllowed === true);
  });
}

function validateRequirement(
  errors: FieldError[],
  path: string,
  requirement: Decoded<LabelSelectorRequirement>,
  invalidValuesAllowed: boolean,
): void {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case "In":
    case "NotIn":
      if (values.length === 0)
        errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case "Exists":
    case "DoesNotExist":
      if (values.length > 0)
        errors.push(
          forbiddenField(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
        );
      break;
    default:
      errors.push(invalidValue(`${path}.operator`, text(requirement.operator), "not a valid selector operator"));
  }
  const key = text(requirement.key);
  for (const message of qualifiedName(key)) errors.push(invalidValue(`${path}.key`, key, message));
  if (invalidValuesAllowed) return;
  values.forEach((value, i) => {
    for (const message of labelValue(value)) errors.push(invalidValue(`${path}.values[${i}]`, value, message));
  });
}

/** Whether a selector can be matched with at all. */
export function isUsableSelector(selector: Decoded<LabelSelector> | undefined): boolean {
  const errors: FieldError[] = [];
  validateLabelSelector(errors, "", selector);
  return errors.length === 0;
}

/** True when the labels satisfy the selector; an absent selector matches nothing, an empty one everything. */
export function selectorMatches(
  selector: Decoded<LabelSelector> | undefined,
  labels: { readonly [key: string]: string | undefined } | undefined,
): boolean {
  if (selector === undefined) return false;
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (labels?.[key] !== value) return false;
  return (selector.matchExpressions ?? []).every((e) => {
    const value = labels?.[text(e.key)];
    switch (e.operator) {
      case "In":
        return value !== undefined && (e.values ?? []).includes(value);
      case "NotIn":
        return value === undefined || !(e.values ?? []).includes(value);
      case "Exists":
        return value !== undefined;
      case "DoesNotExist":
        return value === undefined;
      default:
        return false;
    }
  });
}
