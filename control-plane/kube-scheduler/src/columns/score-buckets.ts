/** Nodes by their total score: the best, with a random choice among equals, without looking at the others. */
export class ScoreBuckets {
  readonly #buckets: number[][] = [];
  /** Score of a node plus one; 0: not there. */
  #scores = new Int32Array(0);
  /** Place in its bucket. */
  #places = new Int32Array(0);
  #top = -1;

  clear(capacity: number): void {
    this.#scores = new Int32Array(capacity);
    this.#places = new Int32Array(capacity);
    this.#buckets.length = 0;
    this.#top = -1;
  }

  /** `score`: a whole number from 0 on. */
  put(slot: number, score: number): void {
    const before = this.#scores[slot] ?? 0;
    if (before === score + 1) return;
    if (before > 0) this.take(slot);
    while (this.#buckets.length <= score) this.#buckets.push([]);
    const bucket = this.#buckets[score];
    if (bucket === undefined) return;
    this.#scores[slot] = score + 1;
    this.#places[slot] = bucket.push(slot) - 1;
    if (score > this.#top) this.#top = score;
  }

  take(slot: number): void {
    const score = (this.#scores[slot] ?? 0) - 1;
    const bucket = this.#buckets[score];
    const last = bucket?.pop();
    if (bucket === undefined || last === undefined) return;
    const place = this.#places[slot] ?? 0;
    if (last !== slot) {
      bucket[place] = last;
      this.#places[last] = place;
    }
    this.#scores[slot] = 0;
  }

  /** -1: there are none. */
  best(random: () => number): number {
    while (this.#top >= 0 && this.#buckets[this.#top]?.length === 0) this.#top--;
    const bucket = this.#buckets[this.#top];
    if (bucket === undefined) return -1;
    return bucket[Math.floor(random() * bucket.length)] ?? -1;
  }
}
