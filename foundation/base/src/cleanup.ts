/**
 * Things to undo, undone last-in first-out. Every entry runs even when an earlier one fails; the failures come
 * together at the end.
 */
export class Cleanup implements AsyncDisposable {
  readonly #entries: (() => void | Promise<void>)[] = [];

  /** Registers an undo step. */
  add(undo: () => void | Promise<void>): void {
    this.#entries.push(undo);
  }

  /** Owns `resource` from now on, and returns it. */
  use<T extends Disposable | AsyncDisposable>(resource: T): T {
    this.add(async () => {
      if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
      else (resource as Disposable)[Symbol.dispose]();
    });
    return resource;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (let undo = this.#entries.pop(); undo !== undefined; undo = this.#entries.pop()) {
      try {
        await undo();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, "cleanup failed");
  }
}
