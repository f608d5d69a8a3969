/** Memory of what happened to streams that are closed, as much as answers to late frames need; bounded. */
const MOST = 256;

export class ClosedStreams {
  /** Those that we have reset: what the other side sent before it heard of it means nothing. */
  readonly #reset = new Set<number>();
  /** Streams that were passed over, which closed them (RFC 9113, section 5.1.1). */
  #skipped: (readonly [from: number, to: number])[] = [];

  addReset(streamId: number): void {
    this.#reset.add(streamId);
    if (this.#reset.size <= MOST) return;
    for (const oldest of this.#reset) {
      this.#reset.delete(oldest);
      return;
    }
  }

  wasReset(streamId: number): boolean {
    return this.#reset.has(streamId);
  }

  /** The stream after `last` is `next`. */
  skip(last: number, next: number): void {
    const first = last === 0 ? 1 : last + 2;
    if (next <= first) return;
    this.#skipped.push([first, next - 2]);
    if (this.#skipped.length > MOST) this.#skipped = this.#skipped.slice(MOST / 2);
  }

  wasSkipped(streamId: number): boolean {
    return this.#skipped.some(([from, to]) => streamId >= from && streamId <= to);
  }
}
