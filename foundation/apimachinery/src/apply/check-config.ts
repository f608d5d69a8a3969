import { isObject, type Draft } from "../json/json.ts";
import { textOfElement } from "./field-set.ts";
import { itemElement, ItemError } from "./list-items.ts";
import { deduce, type ListType, type MapType, type MergeType, type ScalarType, type StructType } from "./merge-type.ts";

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
      if (!fits(type, value)) errors.push(`${path}: expected ${SCALAR_NAMES[type.expects]}, got ${described(value)}`);
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

function described(value: unknown): string {
  return `&value.valueUnstructured{Value:${JSON.stringify(value)}}`;
}

function checkMembers(type: StructType | MapType, value: Draft, path: string, errors: string[]): void {
  for (const [key, member] of Object.entries(value)) {
    const below = `${path}.${key}`;
    const memberType = type.kind === "map" ? type.values : type.fields.get(key)?.type;
    if (memberType === undefined) errors.push(`${below}: field not declared in schema`);
    else check(memberType, member, below, errors);
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
