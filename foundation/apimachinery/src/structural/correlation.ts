import { equalJson, isObject } from "../json/json.ts";
import { ownMember } from "./own-member.ts";
import type { StructuralNode } from "./structural-node.ts";

/** A value beside what stood in its place before, as far as the schema tells which place that was. */
export class Correlation {
  readonly #value: unknown;
  readonly #old: unknown;
  readonly #node: StructuralNode;
  #isEqual: boolean | undefined;
  #oldItems: ReadonlyMap<string, unknown> | undefined;
  #children: Map<string | number, Correlation | undefined> | undefined;

  constructor(node: StructuralNode, value: unknown, old: unknown) {
    this.#node = node;
    this.#value = value;
    this.#old = old;
  }

  /** The value that was here before. */
  get old(): unknown {
    return this.#old;
  }

  /** Nothing has changed here. Values whose place is not known count as changed. */
  get isUnchanged(): boolean {
    return (this.#isEqual ??= this.#compare());
  }

  /** A member that was there before, too; undefined where the schema does not know it. */
  key(name: string): Correlation | undefined {
    return this.#child(name, () => {
      if (!isObject(this.#old) || !isObject(this.#value)) return undefined;
      if (!Object.hasOwn(this.#old, name) || !Object.hasOwn(this.#value, name)) return undefined;
      const below = this.#node.properties.get(name) ?? this.#node.additional;
      return below === undefined ? undefined : new Correlation(below, this.#value[name], this.#old[name]);
    });
  }

  /** The item of a list of type map whose keys are those of the item at the index. */
  index(at: number): Correlation | undefined {
    return this.#child(at, () => {
      const { items, listType } = this.#node;
      if (listType !== "map" || items === undefined) return undefined;
      if (!Array.isArray(this.#old) || !Array.isArray(this.#value)) return undefined;
      this.#oldItems ??= itemsByKey(this.#node, this.#old);
      const item: unknown = this.#value[at];
      const old = isObject(item) ? this.#oldItems.get(keyOf(this.#node, item)) : undefined;
      return old === undefined ? undefined : new Correlation(items, item, old);
    });
  }

  #child(at: string | number, make: () => Correlation | undefined): Correlation | undefined {
    this.#children ??= new Map();
    if (this.#children.has(at)) return this.#children.get(at);
    const child = make();
    this.#children.set(at, child);
    return child;
  }

  #compare(): boolean {
    const value = this.#value;
    const old = this.#old;
    if (Array.isArray(value) && Array.isArray(old)) {
      if (value.length !== old.length) return false;
      if (this.#node.listType !== "map") return equalJson(value, old);
      return value.every((_, i) => this.index(i)?.isUnchanged === true);
    }
    if (!isObject(value) || !isObject(old)) return equalJson(value, old);
    const names = Object.keys(value);
    return names.length === Object.keys(old).length && names.every((name) => this.key(name)?.isUnchanged === true);
  }
}

/** The first item of each key counts. */
function itemsByKey(node: StructuralNode, items: readonly unknown[]): ReadonlyMap<string, unknown> {
  const out = new Map<string, unknown>();
  for (const item of items) {
    if (!isObject(item)) continue;
    const key = keyOf(node, item);
    if (!out.has(key)) out.set(key, item);
  }
  return out;
}

const keyOf = (node: StructuralNode, item: Readonly<Record<string, unknown>>): string =>
  JSON.stringify(
    node.listMapKeys.map((key) => ownMember(item, key) ?? node.items?.properties.get(key)?.default ?? null),
  );
