/** Something that can let go of what it holds of an object, and make it again. */
export interface Parsed {
  /** Bytes of the object's JSON. */
  readonly weight: number;
  /** The collection that it is in; set by that. */
  heldBy: ParsedObjects | undefined;
  release(): void;
}

/** Places of what left early, before they are swept. */
const SLACK = 1_024;

/**
 * The objects that are held ready to be read: such an object takes many times the memory of what it can be made of again. Those that
 * were made first are let go of first.
 */
export class ParsedObjects {
  readonly #limit: number;
  /** In order; some have left. */
  #queue: Parsed[] = [];
  #start = 0;
  #count = 0;
  #weight = 0;

  /** `limit`: bytes of JSON whose objects are held. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(parsed: Parsed): void {
    if (parsed.heldBy === this) return;
    parsed.heldBy?.delete(parsed);
    parsed.heldBy = this;
    this.#queue.push(parsed);
    this.#count += 1;
    this.#weight += parsed.weight;
    if (this.#weight > this.#limit) this.#letGo(parsed);
    if (this.#queue.length > 2 * this.#count + SLACK) this.#sweep();
  }

  /** Its object is not held any more. */
  delete(parsed: Parsed): void {
    if (parsed.heldBy !== this) return;
    parsed.heldBy = undefined;
    this.#count -= 1;
    this.#weight -= parsed.weight;
  }

  #letGo(newest: Parsed): void {
    while (this.#weight > this.#limit) {
      const oldest = this.#queue[this.#start] as Parsed;
      if (oldest === newest) return;
      this.#start += 1;
      if (oldest.heldBy !== this) continue;
      this.delete(oldest);
      oldest.release();
    }
  }

  #sweep(): void {
    this.#queue = this.#queue.filter((parsed, at) => at >= this.#start && parsed.heldBy === this);
    this.#start = 0;
  }
}
