/** Runs tasks, at most so many at once; the others wait their turn. Tasks must not reject. */
export class TaskSlots {
  readonly #slots: number;
  readonly #running = new Set<Promise<void>>();
  readonly #waiting: (() => Promise<void>)[] = [];
  #onFree: (() => void) | undefined;

  constructor(slots: number) {
    this.#slots = slots;
  }

  /** None is free. */
  get isFull(): boolean {
    return this.#running.size >= this.#slots;
  }

  /** Running and waiting. */
  get size(): number {
    return this.#running.size + this.#waiting.length;
  }

  run(task: () => Promise<void>): void {
    if (this.isFull) {
      this.#waiting.push(task);
      return;
    }
    const work = task();
    this.#running.add(work);
    void work.finally(() => {
      this.#running.delete(work);
      const next = this.#waiting.shift();
      if (next !== undefined) this.run(next);
      this.#onFree?.();
    });
  }

  /** Resolves when a task ended. */
  async freed(): Promise<void> {
    if (this.#running.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onFree = () => {
        this.#onFree = undefined;
        resolve();
      };
    });
  }

  /** Resolves when all have ended. */
  async ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }
}
