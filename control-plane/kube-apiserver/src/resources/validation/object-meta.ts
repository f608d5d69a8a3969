import {
  equalJson,
  invalidValue,
  validateAnnotations as annotationErrors,
  validateLabels as labelErrors,
  type FieldError,
} from "@coracle/apimachinery";

type StringMap = { readonly [key: string]: string | undefined } | undefined;
type Labels = Readonly<Record<string, string>> | undefined;

/** Keys are qualified names, values label values. */
export function validateLabels(errors: FieldError[], path: string, labels: StringMap): void {
  if (labels !== undefined) errors.push(...labelErrors(labels as Labels, path));
}

/** Keys are qualified names in lower case; all together at most 256 KiB. */
export function validateAnnotations(errors: FieldError[], path: string, annotations: StringMap): void {
  if (annotations !== undefined) errors.push(...annotationErrors(annotations as Labels, path));
}

/** One field may not change. */
export function validateImmutable(
  errors: FieldError[],
  path: string,
  value: unknown,
  old: unknown,
  absent: "" | null = "",
): boolean {
  if (equalJson(value, old)) return true;
  // Text that is gone is empty text, but for the members that tell the two apart.
  errors.push(
    invalidValue(path, value === undefined && typeof old === "string" ? absent : value, "field is immutable"),
  );
  return false;
}
