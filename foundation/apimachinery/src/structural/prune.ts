import { cloneJson, isObject, type Draft } from "../json/json.ts";
import { ownMember, setOwn } from "./own-member.ts";
import type { StructuralNode } from "./structural-node.ts";

/** Members of every resource, its schema's or not. */
export const isMetaField = (name: string): boolean => name === "metadata" || name === "kind" || name === "apiVersion";

/**
 * Drops what the schema does not declare, and nulls where null is not allowed and no default takes their place. Type
 * and metadata of the resource itself are left alone. Returns the dropped paths, sorted, when `reports`.
 */
export function pruneObject(root: StructuralNode, object: Draft, reports: boolean): readonly string[] {
  const pruner = new Pruner(reports);
  pruner.resource(root, object);
  return pruner.dropped.sort();
}

/** The same for a value inside an object, such as a default: no member is exempt unless the schema says so. */
export function pruneValue(node: StructuralNode, value: unknown): void {
  const pruner = new Pruner(false);
  pruner.value(node, value);
}

class Pruner {
  readonly dropped: string[] = [];
  readonly #reports: boolean;
  readonly #path: (string | number)[] = [];

  constructor(reports: boolean) {
    this.#reports = reports;
  }

  resource(node: StructuralNode, object: Draft): void {
    this.#object(node, object, true);
  }

  value(node: StructuralNode | undefined, value: unknown): void {
    if (typeof value !== "object" || value === null) return;
    if (Array.isArray(value)) this.#items(node, value);
    else this.#object(node, value as Draft, node?.isEmbeddedResource === true);
  }

  #items(node: StructuralNode | undefined, items: unknown[]): void {
    const below = node?.items;
    // Items of free form keep what they hold.
    const isFree = node?.preservesUnknownFields === true;
    if (isFree && below === undefined) return;
    for (let i = 0; i < items.length; i++) {
      const item = items[i];
      if (typeof item !== "object" || item === null) continue;
      this.#path.push(i);
      this.value(below, item);
      this.#path.pop();
    }
  }

  #object(node: StructuralNode | undefined, object: Draft, isResource: boolean): void {
    const isFree = node?.preservesUnknownFields === true;
    for (const key in object) {
      const value = object[key];
      const below = node?.properties.get(key) ?? node?.additional;
      if (value === null && below !== undefined && !below.nullable && !below.hasDefault) {
        delete object[key];
        continue;
      }
      if (isResource && isMetaField(key)) continue;
      if (below === undefined && !isFree && node?.allowsAdditional !== true) {
        if (this.#path.length > 0 || !isMetaField(key)) this.#drop(key);
        delete object[key];
        continue;
      }
      if (typeof value !== "object" || value === null || (isFree && below === undefined)) continue;
      this.#path.push(key);
      this.value(below, value);
      this.#path.pop();
    }
  }

  #drop(key: string): void {
    if (this.#reports) this.dropped.push(pathText([...this.#path, key]));
  }
}

function pathText(parts: readonly (string | number)[]): string {
  let text = "";
  for (const part of parts) text += typeof part === "number" ? `[${part}]` : text === "" ? part : `.${part}`;
  return text;
}

/** Sets the defaults of everything that is there, in place. */
export function applyDefaults(node: StructuralNode, value: unknown): void {
  if (!node.hasDefaultsBelow) return;
  if (Array.isArray(value)) {
    defaultItems(node, value);
    return;
  }
  if (!isObject(value)) return;
  for (const [name, property] of node.defaulted) {
    const present = ownMember(value, name);
    if (present === undefined || (present === null && !property.nullable))
      setOwn(value, name, cloneJson(property.default));
  }
  const { additional } = node;
  if (additional === undefined) {
    for (const [name, property] of node.propertiesWithDefaults) {
      const present = ownMember(value, name);
      if (typeof present === "object" && present !== null) applyDefaults(property, present);
    }
    return;
  }
  for (const key in value) {
    const property = node.properties.get(key);
    if (property === undefined && value[key] === null && !additional.nullable)
      setOwn(value, key, cloneJson(additional.default ?? null));
    applyDefaults(property ?? additional, value[key]);
  }
}

function defaultItems(node: StructuralNode, items: unknown[]): void {
  const { items: below } = node;
  if (below === undefined) return;
  for (let i = 0; i < items.length; i++) {
    if (items[i] === null && !below.nullable && below.hasDefault) items[i] = cloneJson(below.default);
    if (below.hasDefaultsBelow) applyDefaults(below, items[i]);
  }
}
