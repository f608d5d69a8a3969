/** Runs work one at a time for each key, in the order of the calls; different keys do not wait for each other. */
export class KeyedSerial {
  readonly #turns = new Map<string, Promise<unknown>>();

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(key) ?? Promise.resolve();
    const next = before.then(work, work);
    this.#turns.set(key, next);
    const forget = (): void => {
      if (this.#turns.get(key) === next) this.#turns.delete(key);
    };
    next.then(forget, forget);
    return next;
  }
}

/** Lets at most `limit` pieces of work run at once; the others wait in line. */
export class Limiter {
  readonly #limit: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#limit) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
