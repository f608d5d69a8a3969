import {
  fieldInternalError,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  type FieldError,
} from "../errors/field-error.ts";
import { isObject, type Draft } from "../json/json.ts";
import type { SchemaCheckOptions } from "./check-schema.ts";
import { compileSchema } from "./compile-schema.ts";
import { ownMember } from "./own-member.ts";
import { isMetaField } from "./prune.ts";
import { childPath, followPath, keyPath } from "./schema-path.ts";
import { costText, RULE_COST_LIMIT, type CheckedRule, type RuleCosts } from "./schema-rules.ts";
import { unsupportedKeyword } from "./schema-shape.ts";
import type { StructuralNode } from "./structural-node.ts";

const TYPES = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
const EMBEDDED = "x-kubernetes-embedded-resource";
const LIST_TYPE = "x-kubernetes-list-type";
const MAP_TYPE = "x-kubernetes-map-type";
const LIST_KEYS = "x-kubernetes-list-map-keys";
const RULES = "x-kubernetes-validations";

/** Where the walk is. */
interface Place {
  readonly path: string;
  /** Undefined inside alternatives, and where the schema is not sound: rules are not looked into. */
  readonly node: StructuralNode | undefined;
  readonly isRoot: boolean;
  /** Why there may be no default here. */
  readonly forbidsDefaults: string | undefined;
  readonly isInMeta: boolean;
  /** The nearest list from the root whose items cannot be told from their old selves. */
  readonly uncorrelatable: string | undefined;
  /** How often values can occur here at most; undefined: without limit. */
  readonly cardinality: number | undefined;
}

/** The rules that every keyword of a schema has, in all places. */
export function checkKeywords(
  path: string,
  schema: Draft,
  root: StructuralNode | undefined,
  options: SchemaCheckOptions,
  costs: RuleCosts,
): { readonly keywordErrors: FieldError[]; readonly ruleErrors: FieldError[] } {
  const checker = new KeywordChecker(options, costs);
  checker.schema(schema, {
    path,
    node: root,
    isRoot: true,
    forbidsDefaults: undefined,
    isInMeta: false,
    uncorrelatable: undefined,
    cardinality: 1,
  });
  return { keywordErrors: checker.errors, ruleErrors: checker.ruleErrors };
}

class KeywordChecker {
  readonly errors: FieldError[] = [];
  readonly ruleErrors: FieldError[] = [];
  readonly #options: SchemaCheckOptions;
  readonly #costs: RuleCosts;

  constructor(options: SchemaCheckOptions, costs: RuleCosts) {
    this.#options = options;
    this.#costs = costs;
  }

  schema(schema: Draft, place: Place): void {
    const before = this.errors.length;
    this.#unsupported(schema, place);
    if (schema["uniqueItems"] === true)
      this.#push(
        forbiddenField(
          childPath(place.path, "uniqueItems"),
          "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
      );
    this.#below(schema, place);
    this.#maps(schema, place.path);
    this.#lists(schema, place.path);
    const rules: unknown = schema[RULES];
    if (!Array.isArray(rules) || rules.length === 0) return;
    rules.forEach((rule: unknown, i) => {
      this.#rule(isObject(rule) ? rule : {}, schema, keyPath(childPath(place.path, RULES), i));
    });
    // Whoever writes a rule is not helped by errors that go away with those of the schema.
    if (this.errors.length === before && place.node !== undefined)
      this.#compiledRules(rules as Draft[], place, place.node);
  }

  #push(error: FieldError): void {
    this.errors.push(error);
  }

  #unsupported(schema: Draft, { path, forbidsDefaults, isInMeta }: Place): void {
    const type = textOf(schema["type"]);
    const forbid = (name: string, detail: string): void => this.#push(forbiddenField(childPath(path, name), detail));
    if (this.#options.requiresValidTypes && type !== "" && !TYPES.includes(type))
      this.#push(notSupported(childPath(path, "type"), type, TYPES));
    if (schema["default"] !== undefined && forbidsDefaults !== undefined)
      forbid("default", `must not be set${forbidsDefaults === "" ? "" : ` ${forbidsDefaults}`}`);
    if (textOf(schema["id"]) !== "") forbid("id", "id is not supported");
    if (schema["additionalItems"] !== undefined) forbid("additionalItems", "additionalItems is not supported");
    for (const name of ["patternProperties", "definitions"]) {
      const value = schema[name];
      if (isObject(value) && Object.keys(value).length > 0) forbid(name, `${name} is not supported`);
    }
    for (const name of ["dependencies", "$ref"])
      if (schema[name] !== undefined) forbid(name, `${name} is not supported`);
    if (type === "null") forbid("type", "type cannot be set to null, use nullable as an alternative");
    if (Array.isArray(schema["items"]) && schema["items"].length > 0)
      forbid("items", "items must be a schema object and not an array");
    if (isInMeta && schema[EMBEDDED] === true) forbid(EMBEDDED, "must not be used inside of resource meta");
  }

  #below(schema: Draft, place: Place): void {
    const { path, node } = place;
    const inner: Place = { ...place, isRoot: false, cardinality: below(schema, place.cardinality) };
    const properties = isObject(schema["properties"]) ? schema["properties"] : {};
    const additional = schema["additionalProperties"];
    if (additional !== undefined) {
      if (Object.keys(properties).length > 0 && additional !== true)
        this.#push(
          forbiddenField(
            childPath(path, "additionalProperties"),
            "additionalProperties and properties are mutual exclusive",
          ),
        );
      if (isObject(additional))
        this.schema(additional, {
          ...inner,
          path: childPath(path, "additionalProperties"),
          node: node?.additional,
          forbidsDefaults: place.isInMeta
            ? "inside additionalProperties applying to object metadata"
            : place.forbidsDefaults,
        });
    }
    for (const [name, property] of Object.entries(properties)) {
      const isMeta = (place.isRoot || schema[EMBEDDED] === true) && isMetaField(name);
      this.schema(isObject(property) ? property : {}, {
        ...inner,
        path: keyPath(childPath(path, "properties"), name),
        node: node?.properties.get(name),
        isInMeta: place.isInMeta || isMeta,
        forbidsDefaults: isMeta && place.isRoot ? `in top-level ${name}` : place.forbidsDefaults,
      });
    }
    this.#alternatives(schema, { ...inner, node: undefined });
    const { items } = schema;
    if (!isObject(items)) return;
    this.schema(items, {
      ...inner,
      path: childPath(path, "items"),
      node: node?.items,
      uncorrelatable: place.uncorrelatable ?? (schema[LIST_TYPE] === "map" ? undefined : path),
    });
  }

  #alternatives(schema: Draft, place: Place): void {
    if (isObject(schema["not"])) this.schema(schema["not"], { ...place, path: childPath(place.path, "not") });
    for (const keyword of ["allOf", "oneOf", "anyOf"]) {
      const list: unknown = schema[keyword];
      if (!Array.isArray(list)) continue;
      list.forEach((each: unknown, i) => {
        this.schema(isObject(each) ? each : {}, { ...place, path: keyPath(childPath(place.path, keyword), i) });
      });
    }
  }

  #maps(schema: Draft, path: string): void {
    const preserves = "x-kubernetes-preserve-unknown-fields";
    if (schema[preserves] === false)
      this.#push(invalidValue(childPath(path, preserves), false, "must be true or undefined"));
    const mapType = schema[MAP_TYPE];
    if (mapType === undefined) return;
    this.#typeFor("object", MAP_TYPE, schema, path);
    if (mapType !== "atomic" && mapType !== "granular")
      this.#push(notSupported(childPath(path, MAP_TYPE), mapType, ["atomic", "granular"]));
  }

  /** Returns whether the type is what the keyword needs. */
  #typeFor(type: string, keyword: string, schema: Draft, path: string): boolean {
    const given = textOf(schema["type"]);
    if (given === type) return true;
    const detail = `must be ${type} if ${keyword} is specified`;
    const at = childPath(path, "type");
    this.#push(given === "" ? required(at, detail) : invalidValue(at, given, detail));
    return false;
  }

  #lists(schema: Draft, path: string): void {
    const listType = schema[LIST_TYPE];
    const keys = textsOf(schema[LIST_KEYS]);
    const items = isObject(schema["items"]) ? schema["items"] : undefined;
    const at = childPath(path, LIST_TYPE);
    if (listType !== undefined) {
      const isList = this.#typeFor("array", LIST_TYPE, schema, path);
      if (isList && listType === "set" && items !== undefined && this.#options.requiresAtomicSets)
        this.#setItems(items, childPath(path, "items"));
      if (listType !== "atomic" && listType !== "set" && listType !== "map")
        this.#push(notSupported(at, listType, ["atomic", "set", "map"]));
    }
    if (keys.length > 0 && listType !== "map") {
      const detail = `must be map if ${LIST_KEYS} is non-empty`;
      this.#push(listType === undefined ? required(at, detail) : invalidValue(at, listType, detail));
    }
    if (listType === "map") this.#mapItems(schema, items, keys, path);
    if (this.#options.requiresSoundListKeys) this.errors.push(...checkListKeys(schema, path));
  }

  #setItems(items: Draft, path: string): void {
    if (!hasDividableItems(items)) return;
    const keyword = items["type"] === "array" ? LIST_TYPE : MAP_TYPE;
    this.#push(
      invalidValue(
        childPath(path, keyword),
        items[LIST_TYPE] ?? null,
        `must be atomic as item of a list with ${LIST_TYPE}=set`,
      ),
    );
  }

  #mapItems(schema: Draft, items: Draft | undefined, keys: readonly string[], path: string): void {
    const keysAt = childPath(path, LIST_KEYS);
    const itemsAt = childPath(path, "items");
    if (keys.length === 0) this.#push(required(keysAt, `must not be empty if ${LIST_TYPE} is map`));
    if (schema["items"] === undefined) this.#push(required(itemsAt, `must have a schema if ${LIST_TYPE} is map`));
    else if (items === undefined)
      this.#push(invalidValue(itemsAt, schema["items"], `must only have a single schema if ${LIST_TYPE} is map`));
    if (items === undefined) return;
    if (items["type"] !== "object") {
      this.#push(
        invalidValue(
          childPath(itemsAt, "type"),
          textOf(items["type"]),
          `must be object if parent array's ${LIST_TYPE} is map`,
        ),
      );
      return;
    }
    const properties = isObject(items["properties"]) ? items["properties"] : {};
    const seen = new Set<string>();
    for (const key of keys) {
      const property = ownMember(properties, key);
      if (!isObject(property)) this.#push(invalidValue(keysAt, keys, "entries must all be names of item properties"));
      else if (property["type"] === "array" || property["type"] === "object")
        this.#push(
          invalidValue(
            childPath(keyPath(childPath(itemsAt, "properties"), key), "type"),
            items["type"],
            `must be a scalar type if parent array's ${LIST_TYPE} is map`,
          ),
        );
      if (seen.has(key)) this.#push(invalidValue(keysAt, keys, "must not contain duplicate entries"));
      seen.add(key);
    }
  }

  /** What a rule is without looking into its expression. */
  #rule(rule: Draft, schema: Draft, path: string): void {
    const [expression, message, messageExpression, fieldPath] = [
      textOf(rule["rule"]),
      textOf(rule["message"]),
      textOf(rule["messageExpression"]),
      textOf(rule["fieldPath"]),
    ];
    const at = (name: string): string => childPath(path, name);
    if (expression.trim() === "") this.#push(required(at("rule"), "rule is not specified"));
    else if (message !== "" && message.trim() === "")
      this.#push(invalidValue(at("message"), message, "must be non-empty if specified"));
    else if (hasBreaks(message.trim()))
      this.#push(invalidValue(at("message"), message, "must not contain line breaks"));
    else if (hasBreaks(expression.trim()) && message.trim() === "")
      this.#push(required(at("message"), "message must be specified if rule contains line breaks"));
    if (messageExpression !== "" && messageExpression.trim() === "")
      this.#push(required(at("messageExpression"), "messageExpression must be non-empty if specified"));
    const { reason } = rule;
    if (reason !== undefined && !REASONS.includes(reason as string))
      this.#push(notSupported(at("reason"), reason, REASONS));
    if (fieldPath === "") return;
    if (fieldPath.trim() === "") this.#push(invalidValue(at("fieldPath"), fieldPath, "must be non-empty if specified"));
    if (hasBreaks(fieldPath)) this.#push(invalidValue(at("fieldPath"), fieldPath, "must not contain line breaks"));
    if (unsupportedKeyword(schema) === undefined && typeof followPath(compileSchema(schema), fieldPath) === "string")
      this.#push(invalidValue(at("fieldPath"), fieldPath, "must be a valid path"));
  }

  #compiledRules(rules: readonly Draft[], place: Place, node: StructuralNode): void {
    const { rules: language } = this.#options;
    if (language === undefined) return;
    const checked = language.check(node, place.isRoot || node.isEmbeddedResource);
    if (checked === undefined) {
      const why =
        "failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
      this.ruleErrors.push(fieldInternalError(childPath(place.path, RULES), `internal error: ${why}`));
      return;
    }
    checked.forEach((verdict, i) => {
      this.#compiledRule(rules[i] ?? {}, verdict, keyPath(childPath(place.path, RULES), i), place);
    });
  }

  #compiledRule(rule: Draft, verdict: CheckedRule, path: string, place: Place): void {
    const errors = this.ruleErrors;
    const at = (name: string): string => childPath(path, name);
    const limits = !this.#options.ignoresRuleCost;
    const cost = verdict.cost === 0 ? 0 : verdict.cost * (place.cardinality ?? verdict.maxCardinality);
    if (limits && cost > RULE_COST_LIMIT)
      errors.push(forbiddenField(at("rule"), costText("estimated rule cost", cost, RULE_COST_LIMIT)));
    this.#costs.add(at("rule"), cost);
    const { problem, messageProblem, messageCost } = verdict;
    if (problem !== undefined)
      errors.push(
        problem.isMissing ? required(at("rule"), problem.detail) : invalidValue(at("rule"), rule, problem.detail),
      );
    if (messageProblem !== undefined) errors.push(invalidValue(at("messageExpression"), rule, messageProblem));
    else if (messageCost !== undefined) {
      if (limits && messageCost > RULE_COST_LIMIT)
        errors.push(
          forbiddenField(
            at("messageExpression"),
            costText("estimated messageExpression cost", messageCost, RULE_COST_LIMIT),
          ),
        );
      this.#costs.add(at("messageExpression"), messageCost);
    }
    if (!verdict.usesOldSelf) {
      if (rule["optionalOldSelf"] !== undefined)
        errors.push(
          invalidValue(at("optionalOldSelf"), rule["optionalOldSelf"], "may not be set if oldSelf is not used in rule"),
        );
    } else if (place.uncorrelatable !== undefined)
      errors.push(
        invalidValue(
          at("rule"),
          rule["rule"],
          `oldSelf cannot be used on the uncorrelatable portion of the schema within ${place.uncorrelatable}`,
        ),
      );
  }
}

/** How often what is inside the schema can occur. */
function below(schema: Draft, cardinality: number | undefined): number | undefined {
  if (cardinality === undefined) return undefined;
  const most = (value: unknown): number | undefined =>
    typeof value === "number" ? cardinality * Math.max(0, value) : undefined;
  if (schema["type"] === "array") return most(schema["maxItems"]);
  if (schema["type"] === "object" && schema["additionalProperties"] !== undefined) return most(schema["maxProperties"]);
  return cardinality;
}

/** Items of a set that could be changed in parts. */
export function hasDividableItems(items: Draft): boolean {
  if (items["type"] === "array") return items[LIST_TYPE] !== undefined && items[LIST_TYPE] !== "atomic";
  return items["type"] === "object" && items[MAP_TYPE] !== "atomic";
}

/** Keys of list items that could be missing, and items that could be null. */
export function checkListKeys(schema: Draft, path: string): FieldError[] {
  const listType = schema[LIST_TYPE];
  const { items } = schema;
  if (!isObject(items) || (listType !== "set" && listType !== "map")) return [];
  const errors: FieldError[] = [];
  const itemsAt = childPath(path, "items");
  if (items["nullable"] === true)
    errors.push(forbiddenField(childPath(itemsAt, "nullable"), `cannot be nullable when ${LIST_TYPE} is ${listType}`));
  if (listType === "set") return errors;
  const mandatory = new Set(textsOf(items["required"]));
  const properties = isObject(items["properties"]) ? items["properties"] : {};
  for (const key of textsOf(schema[LIST_KEYS])) {
    const property = ownMember(properties, key);
    if (!isObject(property)) continue;
    const at = keyPath(childPath(itemsAt, "properties"), key);
    const why = `this property is in ${LIST_KEYS}, so it`;
    if (!mandatory.has(key) && property["default"] === undefined)
      errors.push(required(childPath(at, "default"), `${why} must have a default or be a required property`));
    if (property["nullable"] === true)
      errors.push(forbiddenField(childPath(at, "nullable"), `${why} cannot be nullable`));
  }
  return errors;
}

const hasBreaks = (value: string): boolean => /[\n\r]/.test(value);
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const textsOf = (value: unknown): readonly string[] => (Array.isArray(value) ? (value as string[]) : []);
