import { forbiddenField, invalidValue, required, type FieldError } from "../errors/field-error.ts";
import { isObject, type Draft } from "../json/json.ts";
import { patternProblem } from "./patterns.ts";
import { childPath, keyPath } from "./schema-path.ts";

type Level = "root" | "item" | "field";
type Schema = Draft;

/** Keywords that no part of a schema may have. Undefined: there are none. */
export function unsupportedKeyword(schema: Schema): string | undefined {
  for (const [keyword, name] of UNSUPPORTED) {
    const value = schema[keyword];
    if (
      value === undefined ||
      value === "" ||
      (isObject(value) && Object.keys(value).length === 0 && keyword !== "additionalItems")
    )
      continue;
    return `OpenAPIV3Schema '${name}' is not supported`;
  }
  if (Array.isArray(schema["items"]) && schema["items"].length > 0)
    return "OpenAPIV3Schema 'items' must be a schema, but is an array";
  for (const below of schemasIn(schema)) {
    const problem = unsupportedKeyword(below);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const UNSUPPORTED = [
  ["id", "id"],
  ["$schema", "schema"],
  ["$ref", "$ref"],
  ["patternProperties", "patternProperties"],
  ["dependencies", "dependencies"],
  ["additionalItems", "additionalItems"],
  ["definitions", "definitions"],
] as const;

const schemaAt = (schema: Schema, keyword: string): Schema | undefined => {
  const value = schema[keyword];
  return isObject(value) ? value : undefined;
};
const schemasAt = (schema: Schema, keyword: string): readonly Schema[] => {
  const value = schema[keyword];
  return Array.isArray(value) ? value.map((each: unknown) => (isObject(each) ? each : {})) : [];
};
const propertiesOf = (schema: Schema): readonly (readonly [string, Schema])[] =>
  Object.entries(schemaAt(schema, "properties") ?? {}).map(([name, value]) => [name, isObject(value) ? value : {}]);

/** The schemas directly inside a schema. */
export function schemasIn(schema: Schema): readonly Schema[] {
  const single = ["items", "additionalProperties", "not"].map((keyword) => schemaAt(schema, keyword));
  return [
    ...single.filter((each) => each !== undefined),
    ...["allOf", "anyOf", "oneOf"].flatMap((keyword) => schemasAt(schema, keyword)),
    ...propertiesOf(schema).map(([, property]) => property),
  ];
}

const typeOf = (schema: Schema): string => (typeof schema["type"] === "string" ? schema["type"] : "");
const flag = (schema: Schema, keyword: string): boolean => schema[keyword] === true;
const EMBEDDED = "x-kubernetes-embedded-resource";
const PRESERVE = "x-kubernetes-preserve-unknown-fields";
const INT_OR_STRING = "x-kubernetes-int-or-string";

/**
 * What keeps a schema from being structural: each place has a type, and what is said in alternatives is only about
 * values whose shape the main part declares. In the order of their texts.
 */
export function checkShape(path: string, schema: Schema): FieldError[] {
  const errors: FieldError[] = [];
  checkNode(schema, "root", path, errors);
  checkCompleteness(schema, schema, path, path, errors);
  const textOf = (error: FieldError): string => `${error.field}: ${error.message}`;
  return errors.sort((a, b) => (textOf(a) < textOf(b) ? -1 : textOf(a) > textOf(b) ? 1 : 0));
}

function checkNode(schema: Schema, level: Level, path: string, errors: FieldError[]): void {
  const type = typeOf(schema);
  const items = schemaAt(schema, "items");
  if (type === "array" && items === undefined) errors.push(required(childPath(path, "items"), "must be specified"));
  if (items !== undefined) checkNode(items, "item", childPath(path, "items"), errors);
  for (const [name, property] of propertiesOf(schema))
    checkNode(property, "field", keyPath(childPath(path, "properties"), name), errors);
  const hasAdditional = schema["additionalProperties"] !== undefined;
  if (hasAdditional) {
    const at = childPath(path, "additionalProperties");
    if (level === "root") errors.push(forbiddenField(at, "must not be used at the root"));
    const additional = schemaAt(schema, "additionalProperties");
    if (additional !== undefined) checkNode(additional, "field", at, errors);
  }
  checkExtensions(schema, path, errors);
  checkValueRules(schema, path, errors, isIntOrStringChoice(schema["anyOf"]), startsWithIntOrString(schema));
  checkType(schema, type, level, path, errors);
  if (flag(schema, EMBEDDED) && hasAdditional)
    errors.push(forbiddenField(childPath(path, "additionalProperties"), `must not be used if ${EMBEDDED} is set`));
  if (level === "root" && type !== "" && type !== "object")
    errors.push(invalidValue(childPath(path, "type"), type, "must be object at the root"));
  checkMetaProperties(schema, level, path, errors);
  if (flag(schema, EMBEDDED) && !flag(schema, PRESERVE) && propertiesOf(schema).length === 0)
    errors.push(
      required(childPath(path, "properties"), `must not be empty if ${EMBEDDED} is true without ${PRESERVE}`),
    );
}

function checkExtensions(schema: Schema, path: string, errors: FieldError[]): void {
  if (!flag(schema, INT_OR_STRING)) return;
  for (const keyword of [PRESERVE, EMBEDDED])
    if (flag(schema, keyword))
      errors.push(invalidValue(childPath(path, keyword), true, `must be false if ${INT_OR_STRING} is true`));
}

const PLACES: Readonly<Record<Level, string>> = {
  root: "must not be empty at the root",
  item: "must not be empty for specified array items",
  field: "must not be empty for specified object fields",
};

function checkType(schema: Schema, type: string, level: Level, path: string, errors: FieldError[]): void {
  const at = childPath(path, "type");
  if (flag(schema, EMBEDDED) && type !== "object") {
    const detail = `must be object if ${EMBEDDED} is true`;
    errors.push(type === "" ? required(at, detail) : invalidValue(at, type, detail));
  } else if (type === "" && !flag(schema, INT_OR_STRING) && !flag(schema, PRESERVE))
    errors.push(required(at, PLACES[level]));
}

/** Type and metadata of a resource have rules of their own; a schema may narrow names alone. */
function checkMetaProperties(schema: Schema, level: Level, path: string, errors: FieldError[]): void {
  const properties = new Map(propertiesOf(schema));
  const isResource = level === "root" || flag(schema, EMBEDDED);
  const at = (name: string): string => keyPath(childPath(path, "properties"), name);
  for (const name of ["kind", "apiVersion"]) {
    const property = properties.get(name);
    if (isResource && property !== undefined && typeOf(property) !== "string")
      errors.push(invalidValue(childPath(at(name), "type"), typeOf(property), "must be string"));
  }
  const metadata = properties.get("metadata");
  if (metadata === undefined) return;
  if (isResource && typeOf(metadata) !== "object")
    errors.push(invalidValue(childPath(at("metadata"), "type"), typeOf(metadata), "must be object"));
  if (level !== "root") return;
  const names = propertiesOf(metadata).map(([name]) => name);
  const namesOnly = names.every((name) => name === "name" || name === "generateName");
  const rest = Object.keys(metadata).filter((keyword) => isSaid(metadata[keyword]) && !MAY_BE_SAID.has(keyword));
  if (!namesOnly || rest.length > 0)
    errors.push(
      forbiddenField(
        at("metadata"),
        "must not specify anything other than name and generateName, but metadata is implicitly specified",
      ),
    );
}

const MAY_BE_SAID: ReadonlySet<string> = new Set(["type", "default", "properties"]);
const isSaid = (value: unknown): boolean =>
  value !== undefined && value !== "" && value !== false && !(Array.isArray(value) && value.length === 0);

/** `[{type: integer}, {type: string}]`, which is how int-or-string was written before it had a keyword. */
function isIntOrStringChoice(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false;
  return ["integer", "string"].every((type, i) => {
    const choice: unknown = value[i];
    return (
      isObject(choice) &&
      choice["type"] === type &&
      Object.keys(choice).filter((key) => isSaid(choice[key])).length === 1
    );
  });
}

const startsWithIntOrString = (schema: Schema): boolean =>
  isIntOrStringChoice(schemasAt(schema, "allOf")[0]?.["anyOf"]);

function checkValueRules(
  schema: Schema,
  path: string,
  errors: FieldError[],
  skipsAnyOf: boolean,
  skipsFirstAllOf: boolean,
): void {
  const each = (keyword: string, skips: (i: number) => boolean = () => false): void =>
    schemasAt(schema, keyword).forEach((alternative, i) => {
      checkAlternative(alternative, keyPath(childPath(path, keyword), i), errors, skips(i));
    });
  if (!skipsAnyOf) each("anyOf");
  each("allOf", (i) => skipsFirstAllOf && i === 0);
  each("oneOf");
  const not = schemaAt(schema, "not");
  if (not !== undefined) checkAlternative(not, childPath(path, "not"), errors, false);
  const pattern = schema["pattern"];
  if (typeof pattern !== "string" || pattern === "") return;
  const problem = patternProblem(pattern);
  if (problem !== undefined)
    errors.push(
      invalidValue(childPath(path, "pattern"), pattern, `must be a valid regular expression, but isn't: ${problem}`),
    );
}

/** Alternatives judge values; the shape is the main part's. */
function checkAlternative(schema: Schema, path: string, errors: FieldError[], skipsAnyOf: boolean): void {
  checkValueRules(schema, path, errors, skipsAnyOf, false);
  const items = schemaAt(schema, "items");
  if (items !== undefined) checkAlternative(items, childPath(path, "items"), errors, false);
  for (const [name, property] of propertiesOf(schema))
    checkAlternative(property, keyPath(childPath(path, "properties"), name), errors, false);
  for (const [keyword, detail] of FORBIDDEN_IN_ALTERNATIVES) {
    const value = schema[keyword];
    if (value === undefined || value === null || value === "" || value === false) continue;
    if (Array.isArray(value) && value.length === 0) continue;
    errors.push(forbiddenField(childPath(path, keyword), detail));
  }
  if (schemaAt(schema, "properties")?.["metadata"] !== undefined)
    errors.push(
      forbiddenField(keyPath(childPath(path, "properties"), "metadata"), "must not be specified in a nested context"),
    );
}

const EMPTY = "must be empty to be structural";
const UNDEFINED = "must be undefined to be structural";
const FALSE = "must be false to be structural";
const FORBIDDEN_IN_ALTERNATIVES = [
  ["type", EMPTY],
  ["additionalProperties", UNDEFINED],
  ["default", UNDEFINED],
  ["title", EMPTY],
  ["description", EMPTY],
  ["nullable", FALSE],
  [PRESERVE, FALSE],
  [EMBEDDED, FALSE],
  [INT_OR_STRING, FALSE],
  ["x-kubernetes-list-map-keys", EMPTY],
  ["x-kubernetes-list-type", UNDEFINED],
  ["x-kubernetes-map-type", UNDEFINED],
  ["x-kubernetes-validations", EMPTY],
] as const;

/** Whatever an alternative speaks of exists in the main part. `shape` is that part's schema; undefined: it has none. */
function checkCompleteness(
  rules: Schema,
  shape: Schema | undefined,
  shapePath: string,
  rulesPath: string,
  errors: FieldError[],
): void {
  const not = schemaAt(rules, "not");
  if (not !== undefined) checkNested(not, shape, shapePath, childPath(rulesPath, "not"), errors);
  for (const keyword of ["allOf", "anyOf", "oneOf"])
    schemasAt(rules, keyword).forEach((alternative, i) => {
      checkNested(alternative, shape, shapePath, keyPath(childPath(rulesPath, keyword), i), errors);
    });
}

function checkNested(
  rules: Schema,
  shape: Schema | undefined,
  shapePath: string,
  rulesPath: string,
  errors: FieldError[],
): void {
  if (shape === undefined) {
    errors.push(required(shapePath, `because it is defined in ${rulesPath}`));
    return;
  }
  checkCompleteness(rules, shape, shapePath, rulesPath, errors);
  const items = schemaAt(rules, "items");
  if (items !== undefined)
    checkNested(items, schemaAt(shape, "items"), childPath(shapePath, "items"), childPath(rulesPath, "items"), errors);
  const properties = new Map(propertiesOf(shape));
  for (const [name, property] of propertiesOf(rules)) {
    const at = keyPath(childPath(shapePath, "properties"), name);
    const rulesAt = keyPath(childPath(rulesPath, "properties"), name);
    const declared = properties.get(name);
    if (declared === undefined) errors.push(required(at, `because it is defined in ${rulesAt}`));
    else checkNested(property, declared, at, rulesAt, errors);
  }
}
