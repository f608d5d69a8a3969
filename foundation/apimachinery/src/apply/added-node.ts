import { isObject } from "../json/json.ts";
import { memberElement, type FieldSet } from "./field-set.ts";
import { elementOrNothing, indexItems } from "./list-items.ts";
import { deduce, type ListType, type MapType, type MergeType, type StructType } from "./merge-type.ts";
import { LEAF, noElements, type SharedNode } from "./shared-sets.ts";

/** The node of a value where there was none: it and everything in it is in the set. */
export function addedNode(type: MergeType, value: unknown): FieldSet {
  return shapeOf(type, value).node;
}

function shapeOf(type: MergeType, value: unknown): SharedNode {
  switch (type.kind) {
    case "scalar":
      return LEAF;
    case "deduced":
      return shapeOf(deduce(value), value);
    case "list":
      return type.isAtomic || !Array.isArray(value) ? LEAF : shapeOfItems(type, value);
    default:
      return type.isAtomic || !isObject(value) ? LEAF : shapeOfMembers(type, value);
  }
}

function shapeOfMembers(type: StructType | MapType, value: { readonly [key: string]: unknown }): SharedNode {
  let prefix = noElements();
  for (const key in value) {
    const member = value[key];
    if (member === undefined) continue;
    const field = type.kind === "struct" ? type.fields.get(key) : undefined;
    if (field !== undefined) {
      prefix = prefix.with(field.element, shapeOf(field.type, member));
      continue;
    }
    const free = type.kind === "map" ? type.values : type.rest;
    if (free !== undefined) prefix = prefix.with(memberElement(key), shapeOf(free, member));
  }
  return prefix.node(true);
}

/** Sets that are empty, for lists within lists. */
const spare: Set<string>[] = [];

function shapeOfItems(type: ListType, items: readonly unknown[]): SharedNode {
  const seen = spare.pop() ?? new Set();
  let prefix = noElements();
  let hasDuplicates = false;
  for (const item of items) {
    const element = elementOrNothing(type, item);
    if (element === undefined) continue;
    if (items.length > 1) {
      hasDuplicates ||= seen.has(element);
      seen.add(element);
    }
    prefix = prefix.with(element, shapeOf(type.items, item));
  }
  seen.clear();
  spare.push(seen);
  return hasDuplicates ? shapeOfDuplicates(type, items) : prefix.node(true);
}

/** Duplicates are owned together, as one thing. */
function shapeOfDuplicates(type: ListType, items: readonly unknown[]): SharedNode {
  let prefix = noElements();
  for (const [element, same] of indexItems(type, items)) {
    prefix = prefix.with(element, same.length > 1 ? LEAF : shapeOf(type.items, same[0]));
  }
  return prefix.node(true);
}
