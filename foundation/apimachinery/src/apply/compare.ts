import { equalJson, isObject, type Draft } from "../json/json.ts";
import { addedNode } from "./added-node.ts";
import { EMPTY_SET, isEmptySet, nodeOf, type FieldSet } from "./field-set.ts";
import { indexItems } from "./list-items.ts";
import { deduce, memberTypeOf, type ListType, type MapType, type MergeType, type StructType } from "./merge-type.ts";

/** What differs between two objects of a type. */
export interface Comparison {
  /** Paths that are new or hold another value. */
  readonly changed: FieldSet;
  /** Paths that are gone. */
  readonly removed: FieldSet;
}

/** Compares two values of the type, neither of which is changed. Undefined members count as absent. */
export function compareObjects(type: MergeType, before: unknown, after: unknown): Comparison {
  const comparer = new Comparer();
  const changed = comparer.compare(type, before, after);
  return { changed: changed ?? EMPTY_SET, removed: comparer.removed ?? EMPTY_SET };
}

type Nodes = { [element: string]: FieldSet };

const isBlank = (value: unknown): boolean => value === undefined || value === null;
const isEmptyList = (value: unknown): boolean => isBlank(value) || (Array.isArray(value) && value.length === 0);
const isEmptyObject = (value: unknown): boolean => isBlank(value) || (isObject(value) && isEmptySet(value as FieldSet));

class Comparer {
  /** The second result of the last call. */
  removed: FieldSet | undefined;

  /** The node of what changed; `removed` is the node of what is gone. */
  compare(type: MergeType, before: unknown, after: unknown): FieldSet | undefined {
    this.removed = undefined;
    if (before === after) return undefined;
    if (before === undefined) return addedNode(type, after);
    switch (type.kind) {
      case "scalar":
        return this.#leaf(before, after);
      case "list":
        if (type.isAtomic || (isEmptyList(before) && isEmptyList(after))) return this.#leaf(before, after);
        return this.#list(type, before, after);
      case "deduced": {
        const [left, right] = [deduce(before ?? after), deduce(after ?? before)];
        // A value that turned from one form into another is as new.
        return left === right ? this.compare(left, before, after) : this.#leaf(before, after);
      }
      default:
        if (type.isAtomic || (isEmptyObject(before) && isEmptyObject(after))) return this.#leaf(before, after);
        return this.#members(type, before, after);
    }
  }

  #leaf(before: unknown, after: unknown): FieldSet | undefined {
    if (after === undefined) {
      this.removed = EMPTY_SET;
      return undefined;
    }
    return before === undefined || !equalJson(before, after) ? EMPTY_SET : undefined;
  }

  #members(type: StructType | MapType, before: unknown, after: unknown): FieldSet | undefined {
    const left = isObject(before) ? before : undefined;
    const right = isObject(after) ? after : undefined;
    let changed: Nodes | undefined;
    let removed: Nodes | undefined;
    const member = (key: string): void => {
      const field = type.kind === "struct" ? type.fields.get(key) : undefined;
      const memberType = field?.type ?? memberTypeOf(type, key);
      // Members that the type does not have are no one's.
      if (memberType === undefined) return;
      const absent = field?.isNullWhenAbsent === true ? null : undefined;
      const old = left === undefined ? undefined : (left[key] ?? absent);
      const now = right === undefined ? undefined : (right[key] ?? absent);
      if (old === now) return;
      const node = this.compare(memberType, old, now);
      if (node === undefined && this.removed === undefined) return;
      const element = field?.element ?? `f:${key}`;
      if (node !== undefined) (changed ??= {})[element] = node;
      if (this.removed !== undefined) (removed ??= {})[element] = this.removed;
    };
    for (const key in right) member(key);
    for (const key in left) if (right?.[key] === undefined) member(key);
    this.removed = nodeOf(after === undefined, removed);
    return nodeOf(before === undefined, changed);
  }

  #list(type: ListType, before: unknown, after: unknown): FieldSet | undefined {
    const left = Array.isArray(before) ? (before as unknown[]) : [];
    const right = Array.isArray(after) ? (after as unknown[]) : [];
    this.removed = undefined;
    if (before !== undefined && after !== undefined && equalJson(left, right)) return undefined;
    const old = indexItems(type, left);
    const now = indexItems(type, right);
    let changed: Nodes | undefined;
    let removed: Nodes | undefined;
    const item = (element: string, olds: readonly unknown[], nows: readonly unknown[]): void => {
      const node = this.#item(type, olds, nows);
      if (node !== undefined) (changed ??= {})[element] = node;
      if (this.removed !== undefined) (removed ??= {})[element] = this.removed;
    };
    for (const [element, nows] of now) item(element, old.get(element) ?? [], nows);
    for (const [element, olds] of old) if (!now.has(element)) item(element, olds, []);
    this.removed = nodeOf(after === undefined, removed);
    return nodeOf(before === undefined, changed);
  }

  /** Items under one element. Duplicates are owned together, as one thing. */
  #item(type: ListType, olds: readonly unknown[], nows: readonly unknown[]): FieldSet | undefined {
    if (olds.length <= 1 && nows.length <= 1) return this.compare(type.items, olds[0], nows[0]);
    this.removed = undefined;
    if (olds.length > 1 && nows.length > 1) return equalJson(olds, nows) ? undefined : EMPTY_SET;
    if (olds.length > 1) {
      const node = nows.length === 0 ? undefined : this.compare(type.items, undefined, nows[0]);
      this.removed = EMPTY_SET;
      return node;
    }
    if (olds.length === 1) this.compare(type.items, olds[0], undefined);
    return EMPTY_SET;
  }
}

/** The paths that a value of the type sets. */
export function fieldSetOf(type: MergeType, value: unknown): FieldSet {
  return ownNodes(type, value).children ?? EMPTY_SET;
}

interface OwnNodes {
  readonly isIn: boolean;
  readonly children: FieldSet | undefined;
}

const LEAF: OwnNodes = { isIn: true, children: undefined };
const NONE: OwnNodes = { isIn: false, children: undefined };

function ownNodes(type: MergeType, value: unknown): OwnNodes {
  switch (type.kind) {
    case "scalar":
      return LEAF;
    case "deduced":
      return ownNodes(deduce(value), value);
    case "list":
      if (type.isAtomic) return LEAF;
      return Array.isArray(value) ? ownItems(type, value) : NONE;
    default:
      if (type.isAtomic) return LEAF;
      return isObject(value) ? ownMembers(type, value) : NONE;
  }
}

function ownItems(type: ListType, items: readonly unknown[]): OwnNodes {
  const children: Nodes = {};
  for (const [element, same] of indexItems(type, items)) {
    children[element] =
      same.length > 1 ? EMPTY_SET : (nodeOf(true, ownNodes(type.items, same[0]).children) as FieldSet);
  }
  return { isIn: false, children: isEmptySet(children) ? undefined : children };
}

function ownMembers(type: StructType | MapType, value: Draft): OwnNodes {
  const children: Nodes = {};
  for (const [key, member] of Object.entries(value)) {
    const field = type.kind === "struct" ? type.fields.get(key) : undefined;
    const memberType = field?.type ?? memberTypeOf(type, key);
    if (member === undefined || memberType === undefined) continue;
    const own = ownNodes(memberType, member);
    const isIn = own.isIn || field === undefined || member === null || isEmptyObjectValue(member);
    const node = nodeOf(isIn, own.children);
    if (node !== undefined) children[`f:${key}`] = node;
  }
  return { isIn: false, children: isEmptySet(children) ? undefined : children };
}

const isEmptyObjectValue = (value: unknown): boolean => isObject(value) && isEmptySet(value as FieldSet);
