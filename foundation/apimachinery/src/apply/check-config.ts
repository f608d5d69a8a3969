import { isObject, type Draft } from "../json/json.ts";
import { textOfElement } from "./field-set.ts";
import { itemElement, ItemError } from "./list-items.ts";
import {
  deduce,
  memberTypeOf,
  type ListType,
  type MapType,
  type MergeType,
  type ScalarType,
  type StructType,
} from "./merge-type.ts";

/** What keeps a configuration from being of the type: `.spec.foo: field not declared in schema`. */
export function checkConfig(type: MergeType, value: unknown): string[] {
  const errors: string[] = [];
  check(type, value, "", errors);
  return errors;
}

function check(type: MergeType, value: unknown, path: string, errors: string[]): void {
  if (value === null || value === undefined) return;
  switch (type.kind) {
    case "scalar":
      if (!fits(type, value))
        errors.push(`${path}: expected ${SCALAR_NAMES[type.expects]}, got ${mismatch(type.expects, value)}`);
      return;
    case "deduced":
      return check(deduce(value), value, path, errors);
    case "list":
      if (Array.isArray(value)) return checkItems(type, value, path, errors);
      errors.push(`${path}: expected list, got ${described(value)}`);
      return;
    default:
      if (isObject(value)) return checkMembers(type, value, path, errors);
      errors.push(`${path}: expected map, got ${described(value)}`);
  }
}

const SCALAR_NAMES: Readonly<Record<ScalarType["expects"], string>> = {
  string: "string",
  number: "numeric (int or float)",
  boolean: "boolean",
  scalar: "scalar",
  anything: "anything",
};

function fits({ expects }: ScalarType, value: unknown): boolean {
  if (expects === "anything") return true;
  return expects === "scalar" ? typeof value !== "object" : typeof value === expects;
}

function mismatch(expects: ScalarType["expects"], value: unknown): string {
  if (expects === "number") return typeNameOfValue(value);
  return expects === "string" ? `&value.valueUnstructured{Value:${JSON.stringify(value)}}` : described(value);
}

function typeNameOfValue(value: unknown): string {
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "string";
  return Array.isArray(value) ? "[]interface {}" : "map[string]interface {}";
}

const described = (value: unknown): string => `&{${textOfValue(value)}}`;

/** A value as messages show it. */
function textOfValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => textOfValue(item)).join(" ")}]`;
  if (!isObject(value)) return value === null ? "<nil>" : String(value as string | number | boolean);
  const members = Object.keys(value).sort();
  return `map[${members.map((key) => `${key}:${textOfValue(value[key])}`).join(" ")}]`;
}

function checkMembers(type: StructType | MapType, value: Draft, path: string, errors: string[]): void {
  for (const key of Object.keys(value).sort()) {
    const below = `${path}.${key}`;
    const memberType = memberTypeOf(type, key);
    if (memberType === undefined) {
      // One is enough to tell that the object is not what it should be.
      errors.push(`${below}: field not declared in schema`);
      return;
    }
    check(memberType, value[key], below, errors);
  }
}

function checkItems(type: ListType, items: readonly unknown[], path: string, errors: string[]): void {
  const seen = new Map<string, unknown>();
  items.forEach((item, i) => {
    if (type.isAtomic) return check(type.items, item, `${path}[${i}]`, errors);
    try {
      const element = itemElement(type, item);
      const text = textOfElement(element);
      if (seen.has(element)) {
        errors.push(`${path}: duplicate entries for key ${text}`);
        return;
      }
      seen.set(element, item);
      check(type.items, item, path + text, errors);
    } catch (error) {
      if (!(error instanceof ItemError)) throw error;
      errors.push(`${path}: element ${i}: ${error.message}`);
    }
  });
}
