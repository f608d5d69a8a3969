import type { Unfit } from "../framework/plugin.ts";
import type { NodeState } from "../state/node-state.ts";

/** Why each node is out, by name: put together when somebody asks. */
export class LazyUnfit implements ReadonlyMap<string, Unfit> {
  readonly #nodes: readonly NodeState[];
  readonly #unfitOf: (node: NodeState) => Unfit | undefined;
  #map: ReadonlyMap<string, Unfit> | undefined;

  constructor(nodes: readonly NodeState[], unfitOf: (node: NodeState) => Unfit | undefined) {
    this.#nodes = nodes;
    this.#unfitOf = unfitOf;
  }

  /** Without putting all together. */
  ofNode(node: NodeState): Unfit | undefined {
    return this.#unfitOf(node);
  }

  get size(): number {
    return this.#all().size;
  }

  get(name: string): Unfit | undefined {
    return this.#all().get(name);
  }

  has(name: string): boolean {
    return this.#all().has(name);
  }

  keys(): MapIterator<string> {
    return this.#all().keys();
  }

  values(): MapIterator<Unfit> {
    return this.#all().values();
  }

  entries(): MapIterator<[string, Unfit]> {
    return this.#all().entries();
  }

  forEach(callback: (value: Unfit, key: string, map: ReadonlyMap<string, Unfit>) => void): void {
    for (const [key, value] of this.#all()) callback(value, key, this);
  }

  [Symbol.iterator](): MapIterator<[string, Unfit]> {
    return this.#all()[Symbol.iterator]();
  }

  #all(): ReadonlyMap<string, Unfit> {
    if (this.#map === undefined) {
      const map = new Map<string, Unfit>();
      for (const node of this.#nodes) {
        const unfit = this.#unfitOf(node);
        if (unfit !== undefined) map.set(node.name, unfit);
      }
      this.#map = map;
    }
    return this.#map;
  }
}
