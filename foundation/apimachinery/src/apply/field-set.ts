import { isObject } from "../json/json.ts";

/**
 * A set of paths in an object, in the form that `managedFields` stores (FieldsV1): members are path elements
 * (`f:NAME`, `k:{"name":"x"}`, `v:VALUE`, `i:INDEX`), each with what is in the set below it. An element without
 * members is itself in the set; one with members is only if `.` is among them. Never changed in place: results share
 * parts with their inputs.
 */
export interface FieldSet {
  readonly [element: string]: FieldSet;
}

interface MutableFieldSet {
  [element: string]: FieldSet;
}

/** The set without paths; as a member: a path without anything below. */
export const EMPTY_SET: FieldSet = Object.freeze({});
const SELF = ".";

/** Whether the path that leads to this node is in the set. */
export function isMember(node: FieldSet): boolean {
  return node[SELF] !== undefined || isEmptySet(node);
}

/** No paths; of a node: nothing below it. */
export function isEmptySet(set: FieldSet): boolean {
  for (const _ in set) return false;
  return true;
}

const hasChildren = (node: FieldSet): boolean => {
  for (const element in node) if (element !== SELF) return true;
  return false;
};

/** The node of a path whose children are known; undefined when it holds nothing. */
export function nodeOf(isIn: boolean, children: FieldSet | undefined): FieldSet | undefined {
  if (children === undefined) return isIn ? EMPTY_SET : undefined;
  return isIn ? { [SELF]: EMPTY_SET, ...children } : children;
}

type Combine = (a: boolean, b: boolean) => boolean;

function combineNodes(a: FieldSet | undefined, b: FieldSet | undefined, keep: Combine): FieldSet | undefined {
  if (a === b) return keep(true, true) ? a : undefined;
  // What only one of them has is kept or left out as it is: shared parts stay shared.
  if (b === undefined) return keep(true, false) ? a : undefined;
  if (a === undefined) return keep(false, true) ? b : undefined;
  const isIn = keep(isMember(a), isMember(b));
  return nodeOf(isIn, combineChildren(a, b, keep));
}

function combineChildren(a: FieldSet, b: FieldSet, keep: Combine): FieldSet | undefined {
  let out: MutableFieldSet | undefined;
  const add = (element: string, node: FieldSet | undefined): void => {
    if (node !== undefined) (out ??= {})[element] = node;
  };
  for (const element in a) {
    if (element !== SELF) add(element, combineNodes(a[element], b[element], keep));
  }
  for (const element in b) {
    if (element !== SELF && a[element] === undefined) add(element, combineNodes(undefined, b[element], keep));
  }
  return out;
}

/** Paths in either. */
export function uniteSets(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmptySet(b)) return a;
  if (isEmptySet(a)) return b;
  return combineChildren(a, b, (inA, inB) => inA || inB) ?? EMPTY_SET;
}

/** Paths in both. */
export function intersectSets(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmptySet(a) || isEmptySet(b)) return EMPTY_SET;
  return combineChildren(a, b, (inA, inB) => inA && inB) ?? EMPTY_SET;
}

/** Paths of `a` that are not in `b`; what is below a path of `b` stays. */
export function subtractSet(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmptySet(b)) return a;
  return combineChildren(a, b, (inA, inB) => inA && !inB) ?? EMPTY_SET;
}

/** Whether both hold the same paths. */
export function equalSets(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  for (const element in a) {
    const other = b[element];
    if (element === SELF) continue;
    const node = a[element] as FieldSet;
    if (other === undefined || isMember(node) !== isMember(other) || !equalSets(node, other)) return false;
  }
  for (const element in b) if (element !== SELF && a[element] === undefined) return false;
  return true;
}

/** Whether all paths of `a` are in `b`. */
export function isSubset(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  for (const element in a) {
    if (element === SELF) continue;
    const node = a[element] as FieldSet;
    const other = b[element];
    if (other === undefined || (isMember(node) && !isMember(other)) || !isSubset(node, other)) return false;
  }
  return true;
}

/** Every path, outer ones before what is below them, as messages write it: `.spec.containers[name="c"].image`. */
export function pathsOf(set: FieldSet, prefix = ""): string[] {
  const elements = Object.keys(set)
    .filter((element) => element !== SELF)
    .sort();
  const named = elements.map((element) => [prefix + textOfElement(element), set[element] as FieldSet] as const);
  return [
    ...named.filter(([, node]) => isMember(node)).map(([path]) => path),
    ...named.flatMap(([path, node]) => (hasChildren(node) ? pathsOf(node, path) : [])),
  ];
}

/** One element as messages write it. */
export function textOfElement(element: string): string {
  const rest = element.slice(2);
  switch (element[0]) {
    case "f":
      return `.${rest}`;
    case "k":
      return `[${Object.entries(JSON.parse(rest) as object)
        .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
        .join(",")}]`;
    case "v":
      return `[=${rest}]`;
    default:
      return `[${rest}]`;
  }
}

/** Names of members that were met → their elements. */
const memberElements = new Map<string, string>();
const MAX_MEMBER_ELEMENTS = 4_096;

/** The element of a member of an object. */
export function memberElement(key: string): string {
  let element = memberElements.get(key);
  if (element === undefined) {
    if (memberElements.size >= MAX_MEMBER_ELEMENTS) memberElements.clear();
    memberElements.set(key, (element = `f:${key}`));
  }
  return element;
}

/** The element of an item in a list with keys. */
export function keyElement(entries: readonly (readonly [string, unknown])[]): string {
  const members = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `k:{${members.join(",")}}`;
}

/**
 * Reads a set that a client sent, its elements in the one form that this module writes. Throws an Error for what is
 * no set.
 */
export function parseFieldSet(value: unknown): FieldSet {
  if (!isObject(value)) throw new Error("a set of fields must be an object");
  const out: MutableFieldSet = {};
  for (const [element, below] of Object.entries(value)) {
    const node = parseFieldSet(below ?? {});
    out[element === SELF ? SELF : parseElement(element)] = isEmptySet(node) ? EMPTY_SET : node;
  }
  return out;
}

function parseElement(element: string): string {
  const rest = element.slice(2);
  if (element[1] === ":") {
    switch (element[0]) {
      case "f":
        return element;
      case "v":
        return `v:${JSON.stringify(JSON.parse(rest))}`;
      case "i":
        if (/^-?\d+$/.test(rest)) return element;
        break;
      case "k": {
        const key: unknown = JSON.parse(rest);
        if (isObject(key)) return keyElement(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1)));
      }
    }
  }
  throw new Error(`unknown path element ${JSON.stringify(element)}`);
}
