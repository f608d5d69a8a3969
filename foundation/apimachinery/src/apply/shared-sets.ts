import { EMPTY_SET, isMember, type FieldSet } from "./field-set.ts";

/** A node of a set that is there once, and the number it is known by. */
export interface SharedNode {
  readonly node: FieldSet;
  readonly id: number;
}

/** A path without anything below. */
export const LEAF: SharedNode = { node: EMPTY_SET, id: 0 };

/** Most nodes that are kept; beyond it all are forgotten and learnt anew. */
const MAX_NODES = 16_384;
const END = "\0";

// Objects of one maker differ in values, hardly in fields: thousands of them share the sets that say which.
const bySignature = new Map<string, SharedNode>();
let byNode = new WeakMap<FieldSet, SharedNode>();
let lastId = 0;

/** The node with these elements; `isIn`: its own path is in the set too. There is one element at least. */
export function sharedNode(isIn: boolean, elements: readonly string[], below: readonly SharedNode[]): SharedNode {
  let signature = isIn ? "" : END;
  for (let i = 0; i < elements.length; i++) {
    const element = elements[i] as string;
    // It could not be told apart from another.
    if (element.includes(END)) return { node: build(isIn, elements, below), id: ++lastId };
    signature += element + END + (below[i] as SharedNode).id + END;
  }
  const known = bySignature.get(signature);
  if (known !== undefined) return known;
  if (bySignature.size >= MAX_NODES) {
    bySignature.clear();
    byNode = new WeakMap();
  }
  const made = { node: build(isIn, elements, below), id: ++lastId };
  bySignature.set(signature, made);
  byNode.set(made.node, made);
  return made;
}

function build(isIn: boolean, elements: readonly string[], below: readonly SharedNode[]): FieldSet {
  const node: { [element: string]: FieldSet } = isIn ? { ".": EMPTY_SET } : {};
  for (let i = 0; i < elements.length; i++) node[elements[i] as string] = (below[i] as SharedNode).node;
  return Object.freeze(node);
}

/** The same set, of nodes that all objects share. Frozen. */
export function sharedSet(set: FieldSet): FieldSet {
  return shareNode(set).node;
}

function shareNode(set: FieldSet): SharedNode {
  if (set === EMPTY_SET) return LEAF;
  const known = byNode.get(set);
  if (known !== undefined) return known;
  const elements: string[] = [];
  const below: SharedNode[] = [];
  for (const element in set) {
    if (element === ".") continue;
    elements.push(element);
    below.push(shareNode(set[element] as FieldSet));
  }
  return elements.length === 0 ? LEAF : sharedNode(isMember(set), elements, below);
}
