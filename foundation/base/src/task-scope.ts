import { isAbort, linkSignal, type LinkedSignal } from "./abort.ts";

/**
 * Owner of background work. The first task that fails aborts the others and is reported by `join`; disposing aborts
 * all and waits until they are gone.
 */
export class TaskScope implements AsyncDisposable {
  readonly #tasks = new Set<Promise<void>>();
  readonly #link: LinkedSignal;
  #failure: { readonly error: unknown } | undefined;

  constructor(parent?: AbortSignal) {
    this.#link = linkSignal(parent);
  }

  /** Aborts when the scope is closed or a task failed. */
  get signal(): AbortSignal {
    return this.#link.signal;
  }

  /** Number of running tasks. */
  get size(): number {
    return this.#tasks.size;
  }

  /** Starts `work`; its rejection, other than by the scope's abort, fails the scope. */
  run(work: (signal: AbortSignal) => Promise<void>): void {
    const task = (async () => {
      try {
        await work(this.signal);
      } catch (error) {
        if (isAbort(error, this.signal)) return;
        this.#failure ??= { error };
        this.#link.abort(error);
      }
    })();
    this.#tasks.add(task);
    void task.finally(() => this.#tasks.delete(task));
  }

  /** Waits until every task has ended; throws the first failure. */
  async join(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#link.abort(new DOMException("scope closed", "AbortError"));
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks);
    this.#link[Symbol.dispose]();
  }
}
