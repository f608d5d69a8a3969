/** Something that can let go of its parsed object, and make it again. */
interface Parsed {
  /** Bytes of the object's JSON. */
  readonly weight: number;
  release(): void;
}

/**
 * The objects that are held parsed: a parsed object takes several times the memory of its bytes. Those that were parsed
 * first are let go of first; whoever reads them again parses them again.
 */
export class ParsedObjects {
  readonly #limit: number;
  readonly #held = new Set<Parsed>();
  #weight = 0;

  /** `limit`: bytes of JSON whose objects are held. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(parsed: Parsed): void {
    this.#held.add(parsed);
    this.#weight += parsed.weight;
    if (this.#weight > this.#limit) this.#letGo(parsed);
  }

  /** Its object is not held any more. */
  delete(parsed: Parsed): void {
    if (this.#held.delete(parsed)) this.#weight -= parsed.weight;
  }

  #letGo(newest: Parsed): void {
    for (const oldest of this.#held) {
      if (this.#weight <= this.#limit || oldest === newest) return;
      this.delete(oldest);
      oldest.release();
    }
  }
}
