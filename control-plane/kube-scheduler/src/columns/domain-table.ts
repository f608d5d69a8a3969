import type { LabelColumn } from "./label-column.ts";

/** Sums of weights by the value of a label (a topology domain), or, without a label, by node. */
export class DomainTable {
  readonly column: LabelColumn | undefined;
  /** By value number; may be shorter than there are values: what is not there is 0. */
  sums = new Float64Array(16);
  /** Cells that are not 0. */
  nonZero = 0;
  readonly #takesPart: ((slot: number) => boolean) | undefined;

  /** `takesPart`: whether pods of a node count; absent: all do. */
  constructor(column: LabelColumn | undefined, takesPart?: (slot: number) => boolean) {
    this.column = column;
    this.#takesPart = takesPart;
  }

  clear(): void {
    this.sums.fill(0);
    this.nonZero = 0;
  }

  add(slot: number, weight: number): void {
    const domain = this.column === undefined ? slot : (this.column.values[slot] ?? -1);
    if (domain < 0 || this.#takesPart?.(slot) === false) return;
    if (domain >= this.sums.length) this.reserve(domain + 1);
    const before = this.sums[domain] ?? 0;
    const after = before + weight;
    this.sums[domain] = after;
    if (before === 0 && after !== 0) this.nonZero++;
    else if (before !== 0 && after === 0) this.nonZero--;
  }

  at(slot: number): number {
    const domain = this.column === undefined ? slot : (this.column.values[slot] ?? -1);
    return domain < 0 ? 0 : (this.sums[domain] ?? 0);
  }

  /**
   * Leaves at the front of the list the nodes whose domain has a sum from `least` to `most`, and says how many.
   * `isOutsideFine`: nodes in no domain stay too.
   */
  keep(slots: Int32Array, count: number, least: number, most: number, isOutsideFine: boolean): number {
    const values = this.column?.values;
    const { sums } = this;
    let left = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i] ?? 0;
      const domain = values === undefined ? slot : (values[slot] ?? -1);
      if (domain < 0) {
        if (isOutsideFine) slots[left++] = slot;
        continue;
      }
      const sum = sums[domain] ?? 0;
      if (sum >= least && sum <= most) slots[left++] = slot;
    }
    return left;
  }

  /** Makes sure that `sums` is at least that long. */
  reserve(length: number): void {
    if (length <= this.sums.length) return;
    const sums = new Float64Array(Math.max(length, this.sums.length * 2));
    sums.set(this.sums);
    this.sums = sums;
  }
}
