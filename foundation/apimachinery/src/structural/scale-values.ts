import { invalidValue, type FieldError } from "../errors/field-error.ts";
import { isObject, type Draft } from "../json/json.ts";

/** Where an object says what the scale subresource reads and writes. */
export interface ScalePaths {
  readonly specReplicasPath: string;
  readonly statusReplicasPath: string;
  readonly labelSelectorPath?: string | undefined;
}

const MOST = 2147483647;

/** What the wanted number of replicas may not be. */
export function checkScaleSpec(scale: ScalePaths | undefined, object: Draft): FieldError[] {
  return scale === undefined ? [] : checkReplicas(scale.specReplicasPath, object);
}

/** The same for the observed number, and for the selector, which is text. */
export function checkScaleStatus(scale: ScalePaths | undefined, object: Draft): FieldError[] {
  if (scale === undefined) return [];
  const errors = checkReplicas(scale.statusReplicasPath, object);
  const { labelSelectorPath } = scale;
  if (labelSelectorPath === undefined) return errors;
  const found = valueAt(object, labelSelectorPath);
  const problem =
    found.problem ??
    (isAbsentOr(found.value, "string") ? undefined : accessorProblem(labelSelectorPath, found.value, "string"));
  if (problem !== undefined) errors.push(invalidValue(labelSelectorPath, "", problem));
  return errors;
}

function checkReplicas(path: string, object: Draft): FieldError[] {
  const found = valueAt(object, path);
  const { value } = found;
  const isWhole = value === undefined || Number.isInteger(value);
  const problem = found.problem ?? (isWhole ? undefined : accessorProblem(path, value, "int64"));
  if (problem !== undefined) return [invalidValue(path, 0, problem)];
  if (typeof value !== "number") return [];
  if (value < 0) return [invalidValue(path, value, "should be a non-negative integer")];
  return value > MOST ? [invalidValue(path, value, `should be less than or equal to ${MOST}`)] : [];
}

const isAbsentOr = (value: unknown, type: string): boolean => value === undefined || typeof value === type;

function valueAt(object: Draft, path: string): { readonly value?: unknown; readonly problem?: string } {
  let value: unknown = object;
  const names = path.replace(/^\./, "").split(".");
  for (const [i, name] of names.entries()) {
    if (value === null) return {};
    if (!isObject(value))
      return { problem: accessorProblem(names.slice(0, i + 1).join("."), value, "map[string]interface {}") };
    if (!Object.hasOwn(value, name)) return {};
    value = value[name];
  }
  return { value };
}

function accessorProblem(path: string, value: unknown, expected: string): string {
  const at = path.startsWith(".") ? path : `.${path}`;
  return `${at} accessor error: ${goText(value)} is of the type ${goType(value)}, expected ${expected}`;
}

const goText = (value: unknown): string =>
  value === null
    ? "<nil>"
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value as string | number | boolean);

function goType(value: unknown): string {
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return "[]interface {}";
  switch (typeof value) {
    case "string":
      return "string";
    case "boolean":
      return "bool";
    case "number":
      return Number.isInteger(value) ? "int64" : "float64";
    default:
      return "map[string]interface {}";
  }
}
