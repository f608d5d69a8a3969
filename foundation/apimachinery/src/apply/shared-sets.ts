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

/** Most beginnings of nodes that are kept; beyond it all are forgotten and learnt anew. */
const MAX_PREFIXES = 65_536;
/** Longer nodes, in chars of their elements, are of objects that are like no others. */
const MAX_CHARS = 4_096;
/** The number of nodes that are not shared. */
const OWN = -1;

// Objects of one maker differ in values, hardly in fields: thousands of them share the sets that say which.
let byNode = new WeakMap<FieldSet, SharedNode>();
let lastId = 0;
let prefixes = 0;

/** The first elements of a node, in the order in which they were met: nodes that begin alike share them. */
class Prefix {
  readonly #before: Prefix | undefined;
  readonly #element: string;
  readonly #below: SharedNode;
  readonly #chars: number;
  /** No other node begins like this. */
  readonly #isOwn: boolean;
  #inSet: SharedNode | undefined;
  #notInSet: SharedNode | undefined;
  /** What followed the last time: it mostly does again. */
  #latest: Prefix | undefined;
  /** All that followed, by element and number of the node below, where that is more than one. */
  #next: Map<string, Map<number, Prefix>> | undefined;

  constructor(before: Prefix | undefined, element: string, below: SharedNode, isOwn: boolean) {
    this.#before = before;
    this.#element = element;
    this.#below = below;
    this.#chars = before === undefined ? 0 : before.#chars + element.length;
    this.#isOwn = isOwn;
  }

  /** With one element more. */
  with(element: string, below: SharedNode): Prefix {
    const latest = this.#latest;
    if (latest !== undefined && latest.#element === element && latest.#below.id === below.id) return latest;
    // What holds a node that no other object has is no other object's either: it would be kept for nothing.
    if (this.#isOwn || below.id < 0 || this.#chars > MAX_CHARS) return new Prefix(this, element, below, true);
    const found = this.#next?.get(element)?.get(below.id) ?? this.#learn(new Prefix(this, element, below, false));
    return (this.#latest = found);
  }

  #learn(next: Prefix): Prefix {
    if (this.#latest !== undefined) {
      if (this.#next === undefined) this.#remember((this.#next = new Map()), this.#latest);
      this.#remember(this.#next, next);
    }
    if (++prefixes > MAX_PREFIXES) forget();
    return next;
  }

  #remember(all: Map<string, Map<number, Prefix>>, next: Prefix): void {
    const byId = all.get(next.#element);
    if (byId === undefined) all.set(next.#element, new Map([[next.#below.id, next]]));
    else byId.set(next.#below.id, next);
  }

  /** The node with these elements; `isIn`: its own path is in the set too. */
  node(isIn: boolean): SharedNode {
    if (this.#before === undefined) return LEAF;
    const known = isIn ? this.#inSet : this.#notInSet;
    if (known !== undefined) return known;
    const made = { node: this.#build(isIn), id: this.#isOwn ? OWN : ++lastId };
    if (this.#isOwn) return made;
    if (isIn) this.#inSet = made;
    else this.#notInSet = made;
    byNode.set(made.node, made);
    return made;
  }

  /** In the order of their names, as upstream writes them: the same set is the same bytes in every encoding. */
  #build(isIn: boolean): FieldSet {
    const node: { [element: string]: FieldSet } = isIn ? { ".": EMPTY_SET } : {};
    const parts = Prefix.#parts(this).sort((a, b) => (a.#element < b.#element ? -1 : 1));
    for (const part of parts) node[part.#element] = part.#below.node;
    return Object.freeze(node);
  }

  static #parts(last: Prefix): Prefix[] {
    const out: Prefix[] = [];
    for (let at = last; at.#before !== undefined; at = at.#before) out.push(at);
    return out;
  }
}

let none = new Prefix(undefined, "", LEAF, false);

/** Where a node begins. */
export const noElements = (): Prefix => none;

function forget(): void {
  none = new Prefix(undefined, "", LEAF, false);
  byNode = new WeakMap();
  prefixes = 0;
}

/** The set's JSON; of shared sets it is made once. */
export function textOfFieldSet(set: FieldSet): string {
  const known = byNode.get(set);
  if (known === undefined) return JSON.stringify(set);
  return (known.text ??= JSON.stringify(set));
}

/** The same set, of nodes that all objects share. Frozen. */
export function sharedSet(set: FieldSet): FieldSet {
  return shareNode(set).node;
}

function shareNode(set: FieldSet): SharedNode {
  if (set === EMPTY_SET) return LEAF;
  const known = byNode.get(set);
  if (known !== undefined) return known;
  let prefix = none;
  for (const element in set) {
    if (element !== ".") prefix = prefix.with(element, shareNode(set[element] as FieldSet));
  }
  return prefix.node(isMember(set));
}
