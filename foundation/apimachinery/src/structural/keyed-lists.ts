import { duplicate, invalidValue, type FieldError } from "../errors/field-error.ts";
import { isObject } from "../json/json.ts";
import { ownMember } from "./own-member.ts";
import { sortedJson } from "./sorted-json.ts";
import type { StructuralNode } from "./structural-node.ts";

/** Items of lists of type set, and keys of lists of type map, that occur twice. */
export function checkKeyedLists(node: StructuralNode, value: unknown, at = ""): FieldError[] {
  const errors: FieldError[] = [];
  walk(node, value, at, errors);
  return errors;
}

function walk(node: StructuralNode, value: unknown, at: string, errors: FieldError[]): void {
  if (!node.hasKeyedListsBelow) return;
  if (Array.isArray(value)) {
    if (node.listType === "set") checkSet(value, at, errors);
    else if (node.listType === "map") checkMap(node, value, at, errors);
    if (node.items?.hasKeyedListsBelow !== true) return;
    for (let i = 0; i < value.length; i++) walk(node.items, value[i], `${at}[${i}]`, errors);
    return;
  }
  if (!isObject(value)) return;
  for (const key in value) {
    const property = node.properties.get(key);
    if (property !== undefined) {
      if (property.hasKeyedListsBelow) walk(property, value[key], at === "" ? key : `${at}.${key}`, errors);
    } else if (node.additional !== undefined) walk(node.additional, value[key], `${at}[${key}]`, errors);
  }
}

/** Indexes at which a value is met for the second time. */
function repeated(values: readonly string[]): number[] {
  const seen = new Map<string, number>();
  const out: number[] = [];
  values.forEach((value, i) => {
    const times = seen.get(value) ?? 0;
    if (times === 1) out.push(i);
    seen.set(value, times + 1);
  });
  return out;
}

const identityOf = (value: unknown): string => JSON.stringify(sortedJson(value)) ?? "";

function checkSet(items: readonly unknown[], at: string, errors: FieldError[]): void {
  if (items.length <= 1) return;
  for (const i of repeated(items.map(identityOf))) errors.push(duplicate(`${at}[${i}]`, sortedJson(items[i])));
}

function checkMap(node: StructuralNode, items: readonly unknown[], at: string, errors: FieldError[]): void {
  const bad = items.findIndex((item) => item !== null && !isObject(item));
  if (bad !== -1) {
    errors.push(invalidValue(`${at}[${bad}]`, items[bad], "must be an object for an array of list-type map"));
    return;
  }
  if (items.length <= 1) return;
  const keys = items.map((item) => {
    if (!isObject(item)) return {};
    const known = node.listMapKeys.filter((name) => ownMember(item, name) !== undefined);
    return Object.fromEntries(known.map((name) => [name, ownMember(item, name)]));
  });
  for (const i of repeated(keys.map(identityOf))) errors.push(duplicate(`${at}[${i}]`, sortedJson(keys[i])));
}
