import type { Pod } from "@coracle/api/core/v1";
import { uidOf } from "../state/node-state.ts";

/** Entries by pod, the first by `isBefore` at hand. Adding, replacing and removing any of n costs log n. */
export class PodHeap<E extends { readonly pod: Pod }> {
  readonly #isBefore: (a: E, b: E) => boolean;
  readonly #entries: E[] = [];
  /** Pod uid → place in `#entries`. */
  readonly #places = new Map<string, number>();

  constructor(isBefore: (a: E, b: E) => boolean) {
    this.#isBefore = isBefore;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** In no order. */
  values(): readonly E[] {
    return this.#entries;
  }

  get(uid: string): E | undefined {
    const place = this.#places.get(uid);
    return place === undefined ? undefined : this.#entries[place];
  }

  first(): E | undefined {
    return this.#entries[0];
  }

  /** Takes the place of an entry of the same pod. */
  set(entry: E): void {
    const uid = uidOf(entry.pod);
    const place = this.#places.get(uid) ?? this.#entries.length;
    this.#put(entry, place);
    this.#settle(place);
  }

  delete(uid: string): E | undefined {
    const place = this.#places.get(uid);
    if (place === undefined) return undefined;
    const entry = this.#entries[place];
    const last = this.#entries.pop();
    this.#places.delete(uid);
    if (last !== undefined && place < this.#entries.length) {
      this.#put(last, place);
      this.#settle(place);
    }
    return entry;
  }

  #put(entry: E, place: number): void {
    this.#entries[place] = entry;
    this.#places.set(uidOf(entry.pod), place);
  }

  /** Moves the entry at `place` up or down until order is restored. */
  #settle(start: number): void {
    const entry = this.#entries[start];
    if (entry === undefined) return;
    let place = start;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = this.#entries[above];
      if (other === undefined || !this.#isBefore(entry, other)) break;
      this.#put(other, place);
      place = above;
    }
    while (true) {
      let below = 2 * place + 1;
      let other = this.#entries[below];
      const right = this.#entries[below + 1];
      if (other !== undefined && right !== undefined && this.#isBefore(right, other)) {
        below += 1;
        other = right;
      }
      if (other === undefined || !this.#isBefore(other, entry)) break;
      this.#put(other, place);
      place = below;
    }
    this.#put(entry, place);
  }
}
