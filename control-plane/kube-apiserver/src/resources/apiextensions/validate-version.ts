import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
  CustomResourceValidation,
} from "@coracle/api/apiextensions/v1";
import { duplicate, invalidValue, isObject, required, tooMany, type FieldError } from "@coracle/apimachinery";
import {
  checkSchema,
  compileSchema,
  followPath,
  unsupportedKeyword,
  type SchemaCheckOptions,
} from "@coracle/apimachinery/structural";
import { text, type Decoded } from "../validation/decoded.ts";

type Version = Decoded<CustomResourceDefinitionVersion>;

const COLUMN_TYPES = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const MOST_SELECTABLE_FIELDS = 8;

/** The schema of one version, or of all. */
export function validateSchema(
  errors: FieldError[],
  path: string,
  validation: Decoded<CustomResourceValidation> | undefined,
  options: SchemaCheckOptions,
): void {
  const schema: unknown = validation?.openAPIV3Schema;
  if (isObject(schema)) errors.push(...checkSchema(`${path}.openAPIV3Schema`, schema, options));
}

/** What is said to those who use a version that goes away. */
export function validateDeprecation(errors: FieldError[], path: string, version: Version): void {
  const { deprecationWarning: warning } = version;
  if (warning === undefined) return;
  const refuse = (why: string): void => {
    errors.push(invalidValue(`${path}.deprecationWarning`, warning, why));
  };
  if (version.deprecated !== true) {
    refuse("can only be set for deprecated versions");
    return;
  }
  if (Buffer.byteLength(warning) > 256) refuse("must be <= 256 characters long");
  if (warning === "") refuse("must not be an empty string");
  const bad = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.exec(warning);
  if (bad === null) return;
  const index = Buffer.byteLength(warning.slice(0, bad.index));
  refuse(`must only contain printable UTF-8 characters; non-printable character found at index ${index}`);
}

/** The scale subresource's paths. */
export function validateSubresources(
  errors: FieldError[],
  path: string,
  subresources: Decoded<CustomResourceSubresources> | undefined,
): void {
  const scale = subresources?.scale;
  if (scale === undefined) return;
  for (const [field, prefixes, where] of [
    ["specReplicasPath", [".spec."], "under .spec"],
    ["statusReplicasPath", [".status."], "under .status"],
    ["labelSelectorPath", [".spec.", ".status."], "under either .spec or .status"],
  ] as const) {
    const at = `${path}.scale.${field}`;
    const value = text(scale[field]);
    if (value === "") {
      if (field !== "labelSelectorPath") errors.push(required(at));
    } else if (!value.startsWith("."))
      errors.push(invalidValue(at, value, "must be a simple json path starting with ."));
    else if (!prefixes.some((prefix) => value.startsWith(prefix)))
      errors.push(invalidValue(at, value, `should be a json path ${where}`));
  }
}

/** What `kubectl get` shows beside names. */
export function validateColumns(
  errors: FieldError[],
  path: string,
  columns: readonly Decoded<CustomResourceColumnDefinition>[] | undefined,
): void {
  columns?.forEach((column, i) => validateColumn(errors, `${path}[${i}]`, column));
}

function validateColumn(errors: FieldError[], path: string, column: Decoded<CustomResourceColumnDefinition>): void {
  if (text(column.name) === "") errors.push(required(`${path}.name`));
  const type = text(column.type);
  const types = `must be one of ${COLUMN_TYPES.join(",")}`;
  if (type === "") errors.push(required(`${path}.type`, types));
  else if (!COLUMN_TYPES.includes(type)) errors.push(invalidValue(`${path}.type`, type, types));
  const format = text(column.format);
  if (format !== "" && !COLUMN_FORMATS.includes(format))
    errors.push(invalidValue(`${path}.format`, format, `must be one of ${COLUMN_FORMATS.join(",")}`));
  const expression = text(column.jsonPath);
  if (expression === "") errors.push(required(`${path}.JSONPath`));
  else if (!expression.startsWith("."))
    errors.push(invalidValue(`${path}.JSONPath`, expression, "must be a simple json path starting with ."));
}

/** The fields that field selectors may name. */
export function validateSelectableFields(
  errors: FieldError[],
  path: string,
  version: Version,
  allowsMany: boolean,
): void {
  const fields = version.selectableFields ?? [];
  if (fields.length === 0) return;
  const schema: unknown = version.schema?.openAPIV3Schema;
  if (!isObject(schema)) {
    errors.push(invalidValue(path, "", "may only be set when `version.schema.openAPIV3Schema` is not included"));
    return;
  }
  if (unsupportedKeyword(schema) !== undefined) return;
  const root = compileSchema(schema);
  const known = new Set<string>();
  fields.forEach((field, i) => {
    const at = `${path}[${i}].jsonPath`;
    const expression = text(field.jsonPath);
    if (expression === "") {
      errors.push(required(at));
      return;
    }
    const found = followPath(root, expression, false);
    if (typeof found === "string") {
      errors.push(invalidValue(at, expression, `is an invalid path: ${found}`));
      return;
    }
    if (/^metadata(?:[.[]|$)/.test(found.path))
      errors.push(invalidValue(at, expression, "must not point to fields in metadata"));
    if (!["string", "boolean", "integer"].includes(found.node.type))
      errors.push(
        invalidValue(
          at,
          expression,
          "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
        ),
      );
    if (known.has(found.path)) errors.push(duplicate(at, expression));
    known.add(found.path);
  });
  if (known.size > MOST_SELECTABLE_FIELDS && !allowsMany)
    errors.push(tooMany(path, known.size, MOST_SELECTABLE_FIELDS));
}
