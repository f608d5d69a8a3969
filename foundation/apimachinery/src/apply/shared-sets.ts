import { EMPTY_SET, isMember, type FieldSet } from "./field-set.ts";

/** A node of a set that is there once, and the number it is known by. */
export interface SharedNode {
  readonly node: FieldSet;
  readonly id: number;
  /** Its JSON, once someone asked for it. */
  text?: string;
}

/** A path without anything below. */
export const LEAF: SharedNode = { node: EMPTY_SET, id: 0 };

/** Most nodes that are kept; beyond it all are forgotten and learnt anew. */
const MAX_NODES = 16_384;
/** Longer ones are of objects that are like no others. */
const MAX_SIGNATURE = 4_096;
const END = "\0";
/** The number of nodes that are not shared. */
const OWN = -1;

// Objects of one maker differ in values, hardly in fields: thousands of them share the sets that say which.
const bySignature = new Map<string, SharedNode>();
let byNode = new WeakMap<FieldSet, SharedNode>();
let lastId = 0;

/**
 * The node with these elements, of which there is one at least; `isIn`: its own path is in the set too. No element may
 * contain NUL (`canShare`).
 */
export function sharedNode(isIn: boolean, elements: readonly string[], below: readonly SharedNode[]): SharedNode {
  let signature = isIn ? "" : END;
  for (let i = 0; i < elements.length; i++) {
    const { id } = below[i] as SharedNode;
    // What holds a node that no other object has is no other object's either: it would be kept for nothing.
    if (id < 0) return ownNode(isIn, elements, below);
    signature += id === 0 ? elements[i] + END : elements[i] + END + id + END;
  }
  if (signature.length > MAX_SIGNATURE) return ownNode(isIn, elements, below);
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

/** Whether nodes with such an element can be told apart from others. */
export const canShare = (element: string): boolean => !element.includes(END);

/** A node that no other object will have. */
export function ownNode(isIn: boolean, elements: readonly string[], below: readonly SharedNode[]): SharedNode {
  return { node: build(isIn, elements, below), id: OWN };
}

/** The set's JSON; of shared sets it is made once. */
export function textOfFieldSet(set: FieldSet): string {
  const known = byNode.get(set);
  if (known === undefined) return JSON.stringify(set);
  return (known.text ??= JSON.stringify(set));
}

/** In the order of their names, as upstream writes them: the same set is the same bytes in every encoding. */
function build(isIn: boolean, elements: readonly string[], below: readonly SharedNode[]): FieldSet {
  const node: { [element: string]: FieldSet } = isIn ? { ".": EMPTY_SET } : {};
  const order = elements.map((element, at) => ({ element, at })).sort((a, b) => (a.element < b.element ? -1 : 1));
  for (const { element, at } of order) node[element] = (below[at] as SharedNode).node;
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
  let make = sharedNode;
  for (const element in set) {
    if (element === ".") continue;
    if (!canShare(element)) make = ownNode;
    elements.push(element);
    below.push(shareNode(set[element] as FieldSet));
  }
  return elements.length === 0 ? LEAF : make(isMember(set), elements, below);
}
