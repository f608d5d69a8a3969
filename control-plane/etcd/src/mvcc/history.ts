import type { Revision } from "../store/store.ts";
import type { Version } from "./key-index.ts";

/** The committed changes since the last compaction, in order. */
export class History {
  #changes: Version[] = [];

  get length(): number {
    return this.#changes.length;
  }

  at(position: number): Version | undefined {
    return this.#changes[position];
  }

  append(change: Version): void {
    this.#changes.push(change);
  }

  /** Position of the first change at or after `revision`. */
  positionOf(revision: Revision): number {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#changes[middle] as Version).modRevision < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Forgets, and returns, the changes before `revision`. */
  dropBefore(revision: Revision): readonly Version[] {
    return this.#changes.splice(0, this.positionOf(revision));
  }
}
