import type { NodeState } from "../state/node-state.ts";

/** The values of one label over all nodes, as numbers: equal values have equal numbers, -1 is no value. */
export class LabelColumn {
  readonly key: string;
  #values: Int32Array<ArrayBuffer>;
  readonly #ids = new Map<string, number>();

  constructor(key: string, capacity: number) {
    this.key = key;
    this.#values = new Int32Array(capacity).fill(-1);
  }

  /** By node number. Replaced when the table grows: not to be kept. */
  get values(): Int32Array {
    return this.#values;
  }

  /** How many different values were ever seen: numbers are below that. */
  get valueCount(): number {
    return this.#ids.size;
  }

  grow(capacity: number): void {
    const values = new Int32Array(capacity).fill(-1);
    values.set(this.#values);
    this.#values = values;
  }

  read(slot: number, state: NodeState | undefined): void {
    const value = state?.node?.metadata.labels?.[this.key];
    let id = -1;
    if (value !== undefined) {
      id = this.#ids.get(value) ?? -1;
      if (id < 0) this.#ids.set(value, (id = this.#ids.size));
    }
    this.#values[slot] = id;
  }
}
