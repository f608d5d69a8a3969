import { isObject } from "../json/json.ts";
import type { FieldSet } from "./field-set.ts";
import { elementOrNothing } from "./list-items.ts";
import { deduce, type ListType, type MapType, type MergeType, type StructType } from "./merge-type.ts";
import { canShare, LEAF, ownNode, sharedNode, type SharedNode } from "./shared-sets.ts";

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
  const elements: string[] = [];
  const below: SharedNode[] = [];
  let make = sharedNode;
  for (const key in value) {
    const member = value[key];
    if (member === undefined) continue;
    const field = type.kind === "struct" ? type.fields.get(key) : undefined;
    if (field !== undefined) {
      elements.push(field.element);
      below.push(shapeOf(field.type, member));
      continue;
    }
    const free = type.kind === "map" ? type.values : type.rest;
    if (free === undefined) continue;
    if (!canShare(key)) make = ownNode;
    elements.push(`f:${key}`);
    below.push(shapeOf(free, member));
  }
  return elements.length === 0 ? LEAF : make(true, elements, below);
}

function shapeOfItems(type: ListType, items: readonly unknown[]): SharedNode {
  const elements: string[] = [];
  const below: SharedNode[] = [];
  const places = new Map<string, number>();
  let make = sharedNode;
  for (const item of items) {
    const element = elementOrNothing(type, item);
    if (element === undefined) continue;
    if (!canShare(element)) make = ownNode;
    const at = places.get(element);
    // Duplicates are owned together, as one thing.
    if (at !== undefined) below[at] = LEAF;
    else {
      places.set(element, elements.length);
      elements.push(element);
      below.push(shapeOf(type.items, item));
    }
  }
  return elements.length === 0 ? LEAF : make(true, elements, below);
}
