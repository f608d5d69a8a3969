import { isObject } from "../json/json.ts";
import { keyElement } from "./field-set.ts";
import type { ListType } from "./merge-type.ts";

/** An item whose place in its list cannot be told. */
export class ItemError extends Error {
  override readonly name = "ItemError";
}

/** The path element of an item in a list that is not atomic. Throws ItemError. */
export function itemElement(type: ListType, item: unknown): string {
  if (type.keys.length === 0) {
    if (item === null) throw new ItemError("associative list without keys has an element that's an explicit null");
    if (Array.isArray(item)) throw new ItemError("not supported: associative list with lists as elements");
    if (typeof item === "object") throw new ItemError("associative list without keys has an element that's a map type");
    return `v:${JSON.stringify(item)}`;
  }
  if (item === null) throw new ItemError("associative list with keys may not have a null element");
  if (!isObject(item)) throw new ItemError("associative list with keys may not have non-map elements");
  const [first, second] = type.keys as [string, ...string[]];
  // Nearly all lists have one key.
  if (second === undefined) return singleKeyElement(first, item[first] ?? keyFallback(type, first));
  return keyElement(type.keys.map((key) => [key, item[key] ?? keyFallback(type, key)]));
}

/** Key → its values that were met → their elements. */
const keyElements = new Map<string, Map<string, string>>();
const MAX_VALUES = 2_048;
/** Longer values are few. */
const MAX_VALUE_CHARS = 64;

function singleKeyElement(key: string, value: unknown): string {
  if (typeof value !== "string" || value.length > MAX_VALUE_CHARS) return `k:{"${key}":${JSON.stringify(value)}}`;
  let elements = keyElements.get(key);
  if (elements === undefined) keyElements.set(key, (elements = new Map()));
  let element = elements.get(value);
  if (element === undefined) {
    if (elements.size >= MAX_VALUES) elements.clear();
    elements.set(value, (element = `k:{"${key}":${JSON.stringify(value)}}`));
  }
  return element;
}

function keyFallback({ items }: ListType, key: string): string | number | boolean {
  const fallback = items.kind === "struct" ? items.fields.get(key)?.fallback : undefined;
  if (fallback !== undefined) return fallback;
  throw new ItemError(
    `associative list with keys has an element that omits key field ${JSON.stringify(key)} (and doesn't have default value)`,
  );
}

/** The items by their path elements, in order; several under one element are duplicates. Items without one are left out. */
export function indexItems(type: ListType, items: readonly unknown[]): Map<string, unknown[]> {
  const out = new Map<string, unknown[]>();
  for (const item of items) {
    const element = elementOrNothing(type, item);
    if (element === undefined) continue;
    const known = out.get(element);
    if (known === undefined) out.set(element, [item]);
    else known.push(item);
  }
  return out;
}

/** The item's path element; undefined when it has none. */
export function elementOrNothing(type: ListType, item: unknown): string | undefined {
  try {
    return itemElement(type, item);
  } catch (error) {
    if (error instanceof ItemError) return undefined;
    throw error;
  }
}
