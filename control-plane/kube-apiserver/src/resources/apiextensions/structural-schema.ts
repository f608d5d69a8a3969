import type { JSONSchemaProps } from "@coracle/api/apiextensions/v1";
import { invalidValue, isObject, notSupported, required, typeInvalid, type FieldError } from "@coracle/apimachinery";
import { celProblem } from "../validation/cel-check.ts";
import { text, type Decoded } from "../validation/decoded.ts";

type Schema = Decoded<JSONSchemaProps> & { readonly [key: string]: unknown };
const TYPES = ["array", "boolean", "integer", "number", "object", "string"];
const LIST_TYPES = ["atomic", "map", "set"];
const member = (schema: Schema, name: string): unknown => schema[name];

/** The type that a JSON value has in schemas. */
function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

/** Whether a default fits its schema: its type first, then its bounds. */
function validateDefault(errors: FieldError[], path: string, schema: Schema): void {
  const value = member(schema, "default");
  if (value === undefined) return;
  checkValue(errors, `${path}.default`, schema, value);
}

function checkValue(errors: FieldError[], path: string, schema: Schema, value: unknown): void {
  const type = text(schema.type);
  const actual = typeOf(value);
  if (
    type !== "" &&
    member(schema, "x-kubernetes-int-or-string") !== true &&
    actual !== type &&
    !(type === "number" && actual === "integer")
  ) {
    if (!(value === null && schema.nullable === true))
      errors.push(typeInvalid(path, value, `must be of type ${type}: "${actual}"`));
    return;
  }
  if (typeof value === "number") {
    // Integers are compared as integers: the fraction of a bound does not count.
    const bound = (limit: number): number => (type === "integer" ? Math.trunc(limit) : limit);
    if (schema.minimum !== undefined && value < bound(schema.minimum))
      errors.push(invalidValue(path, value, `should be greater than or equal to ${schema.minimum}`));
    if (schema.maximum !== undefined && value > bound(schema.maximum))
      errors.push(invalidValue(path, value, `should be less than or equal to ${schema.maximum}`));
  }
  if (typeof value === "string") {
    if (schema.maxLength !== undefined && value.length > schema.maxLength)
      errors.push({
        type: "FieldValueTooLong",
        field: path,
        message: `Too long: may not be more than ${schema.maxLength} bytes`,
      });
    if (schema.minLength !== undefined && value.length < schema.minLength)
      errors.push(invalidValue(path, value, `should be at least ${schema.minLength} chars long`));
  }
  if (
    Array.isArray(schema.enum) &&
    schema.enum.length > 0 &&
    !schema.enum.some((e) => JSON.stringify(e) === JSON.stringify(value))
  )
    errors.push(
      notSupported(
        path,
        value,
        schema.enum.map((e) => JSON.stringify(e)),
      ),
    );
  if (!isObject(value)) return;
  for (const name of schema.required ?? []) if (value[name] === undefined) errors.push(required(`${path}.${name}`));
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    if (value[name] !== undefined) checkValue(errors, `${path}.${name}`, child as Schema, value[name]);
}

function validateType(errors: FieldError[], path: string, schema: Schema, isRoot: boolean): void {
  const type = text(schema.type);
  const free =
    member(schema, "x-kubernetes-int-or-string") === true ||
    member(schema, "x-kubernetes-preserve-unknown-fields") === true;
  if (type === "") {
    if (isRoot || !free) errors.push(required(`${path}.type`, "must not be empty for specified object fields"));
    return;
  }
  if (isRoot && type !== "object") {
    errors.push(invalidValue(`${path}.type`, type, "must be object at the root"));
    errors.push(
      invalidValue(
        `${path}.type`,
        type,
        'only "object" type is allowed at the root of the schema if the status subresource is enabled',
      ),
    );
  }
  if (!TYPES.includes(type)) errors.push(notSupported(`${path}.type`, type, TYPES));
}

function validateList(errors: FieldError[], path: string, schema: Schema): void {
  const items = member(schema, "items");
  const isArray = schema.type === "array";
  if (isArray && !isObject(items)) errors.push(required(`${path}.items`, "must be specified"));
  const listType = member(schema, "x-kubernetes-list-type");
  const keys = (member(schema, "x-kubernetes-list-map-keys") as readonly string[] | undefined) ?? [];
  const at = `${path}.x-kubernetes-list-map-keys`;
  if (listType === undefined) {
    if (keys.length > 0)
      errors.push(required(`${path}.x-kubernetes-list-type`, "must be map if x-kubernetes-list-map-keys is non-empty"));
    return;
  }
  if (schema.type === undefined || schema.type === "")
    errors.push(required(`${path}.type`, "must be array if x-kubernetes-list-type is specified"));
  else if (!isArray)
    errors.push(invalidValue(`${path}.type`, schema.type, "must be array if x-kubernetes-list-type is specified"));
  if (typeof listType !== "string" || !LIST_TYPES.includes(listType)) {
    errors.push(notSupported(`${path}.x-kubernetes-list-type`, listType, LIST_TYPES));
    if (keys.length > 0)
      errors.push(
        invalidValue(
          `${path}.x-kubernetes-list-type`,
          listType,
          "must be map if x-kubernetes-list-map-keys is non-empty",
        ),
      );
    return;
  }
  if (listType !== "map") {
    if (keys.length > 0)
      errors.push(
        invalidValue(
          `${path}.x-kubernetes-list-type`,
          listType,
          "must be map if x-kubernetes-list-map-keys is non-empty",
        ),
      );
    return;
  }
  if (keys.length === 0) errors.push(required(at, "must not be empty if x-kubernetes-list-type is map"));
  if (!isObject(items)) {
    if (items === undefined)
      errors.push(required(`${path}.items`, "must have a schema if x-kubernetes-list-type is map"));
    else
      errors.push(
        invalidValue(`${path}.items`, items, "must only have a single schema if x-kubernetes-list-type is map"),
      );
    return;
  }
  const item = items as Schema;
  if (item.type !== "object") {
    errors.push(
      invalidValue(
        `${path}.items.type`,
        text(item.type),
        "must be object if parent array's x-kubernetes-list-type is map",
      ),
    );
    return;
  }
  const properties = item.properties ?? {};
  const seen = new Set<string>();
  keys.forEach((key) => {
    if (seen.has(key)) errors.push(invalidValue(at, keys, "must not contain duplicate entries"));
    seen.add(key);
    const property = properties[key];
    if (property === undefined) errors.push(invalidValue(at, keys, "entries have to be property names of the items"));
    else if (
      item.required?.includes(key) !== true &&
      member(property as Schema, "default") === undefined &&
      property.type !== undefined &&
      property.type !== ""
    )
      errors.push(
        required(
          `${path}.items.properties[${key}].default`,
          "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ),
      );
  });
}

/** The name by which expressions know a property that is no identifier. */
function escapedName(name: string): string {
  return name
    .replaceAll("__", "__underscores__")
    .replaceAll(".", "__dot__")
    .replaceAll("-", "__dash__")
    .replaceAll("/", "__slash__");
}

function validateRules(errors: FieldError[], path: string, schema: Schema, isRoot: boolean): void {
  const rules = member(schema, "x-kubernetes-validations");
  if (!Array.isArray(rules)) return;
  const fields = new Set(Object.keys(schema.properties ?? {}).flatMap((name) => [escapedName(name), `__${name}__`]));
  if (isRoot || member(schema, "x-kubernetes-embedded-resource") === true)
    for (const name of ["apiVersion", "kind", "metadata"]) fields.add(name);
  const self =
    schema.type === "object" &&
    schema.additionalProperties === undefined &&
    member(schema, "x-kubernetes-preserve-unknown-fields") !== true
      ? fields
      : true;
  rules.forEach((rule: unknown, i) => {
    const at = `${path}.x-kubernetes-validations[${i}]`;
    const expression = isObject(rule) && typeof rule["rule"] === "string" ? rule["rule"] : "";
    if (expression.trim() === "") {
      errors.push(required(`${at}.rule`, "rule is not specified"));
      return;
    }
    const problem = celProblem(expression, { self, oldSelf: self });
    if (problem !== undefined) errors.push(invalidValue(`${at}.rule`, expression, problem));
  });
}

/** The rules that make a schema structural: every node has a type, lists and maps say how they merge, defaults fit. */
export function validateStructuralSchema(errors: FieldError[], path: string, schema: Schema, isRoot = true): void {
  const before = errors.length;
  validateType(errors, path, schema, isRoot);
  if (member(schema, "x-kubernetes-preserve-unknown-fields") === false)
    errors.push(invalidValue(`${path}.x-kubernetes-preserve-unknown-fields`, false, "must be true or undefined"));
  validateList(errors, path, schema);
  if (errors.length === before || (schema.type !== undefined && schema.type !== ""))
    validateDefault(errors, path, schema);
  const items = member(schema, "items");
  if (isObject(items)) validateStructuralSchema(errors, `${path}.items`, items as Schema, false);
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    validateStructuralSchema(errors, `${path}.properties[${name}]`, child as Schema, false);
  if (isObject(schema.additionalProperties))
    validateStructuralSchema(
      errors,
      `${path}.additionalProperties`,
      schema.additionalProperties as unknown as Schema,
      false,
    );
  // Rules are compiled against a sound schema only.
  if (errors.length === before) validateRules(errors, path, schema, isRoot);
}
