import { sleep, systemClock, type Random } from "@coracle/base";
import { StoreError, type Op, type Store, type StoreErrorCode, type StoreEvent } from "../../src/index.ts";
import { faultsOf, type Delivery, type Operation } from "./history-checker.ts";

const KEYS = 6;
const PREFIX = "history/";
const RANGE = { key: PREFIX, end: "history0" } as const;

/** What one watcher was given. */
interface Watcher {
  readonly deliveries: Delivery[];
  fault: StoreError | undefined;
}

/**
 * Several clients that write, change on condition, change two keys at once, delete and read a few keys, and a watcher for each store. The
 * stores are ways to the same data: the members of a cluster, say.
 */
export class Workload {
  readonly #operations: Operation[] = [];
  readonly #stores: readonly Store[];
  readonly #random: Random;
  readonly #mayFail: readonly StoreErrorCode[];
  readonly #watchers: Watcher[] = [];
  #isOver = false;
  #clients: Promise<unknown> = Promise.resolve();
  #next = 0;
  #txns = 0;

  constructor(stores: readonly Store[], random: Random, mayFail: readonly StoreErrorCode[] = ["unavailable"]) {
    this.#stores = stores;
    this.#random = random;
    this.#mayFail = mayFail;
  }

  async begin(clients: number): Promise<void> {
    for (const store of this.#stores) {
      const watcher: Watcher = { deliveries: [], fault: undefined };
      this.#watchers.push(watcher);
      const sink = {
        events: (events: readonly StoreEvent[], revision: number) => void watcher.deliveries.push({ revision, events }),
        closed: (reason: StoreError) => {
          watcher.fault = reason;
        },
      };
      // oxlint-disable-next-line no-await-in-loop
      await store.watch({ key: "\0", end: "\0", startRevision: 2 }, sink);
    }
    const run = (_: unknown, at: number): Promise<void> =>
      this.#client(this.#stores[at % this.#stores.length] as Store);
    this.#clients = Promise.all(Array.from({ length: clients }, run));
    // A fault that no server explains: `end` tells it.
    this.#clients.catch(() => {});
  }

  /** One more write; resolves to why it was refused, if it was. */
  async put(key: string, value: string): Promise<unknown> {
    const startedAt = performance.now();
    const operation = { kind: "write", key, startedAt, value } as const;
    try {
      const put = { type: "put", key, value: Buffer.from(value) } as const;
      const { revision } = await (this.#stores[0] as Store).txn({ compare: [], success: [put] });
      this.#operations.push({ ...operation, ended: { at: performance.now(), revision } });
      return undefined;
    } catch (error) {
      this.#operations.push(operation);
      return error;
    }
  }

  get acknowledged(): number {
    return this.#operations.filter(({ ended }) => ended !== undefined).length;
  }

  /** Up to where each watcher is. */
  get watched(): number {
    return Math.min(...this.#watchers.map(({ deliveries }) => deliveries.at(-1)?.revision ?? 2));
  }

  /** What is wrong with all of it. */
  faults(): string[] {
    return this.#watchers.flatMap(({ deliveries, fault }) => [
      ...(fault === undefined ? [] : [`a watch ended: ${fault.message}`]),
      ...faultsOf(this.#operations, deliveries),
    ]);
  }

  /** Ends the clients and waits until the watchers have seen all there is. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#clients;
    const key = `${PREFIX}last`;
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop
      const revision = await this.#write(this.#stores[0] as Store, { type: "put", key, value: this.#value() });
      if (revision === undefined) continue;
      // oxlint-disable-next-line no-await-in-loop
      while (this.watched < revision && this.#watchers.every(({ fault }) => fault === undefined))
        await sleep(systemClock, 10);
      return;
    }
  }

  async #client(store: Store): Promise<void> {
    while (!this.#isOver) {
      const [key, other] = this.#twoKeys();
      const choice = this.#random.next();
      if (choice < 0.3) await this.#read(store, key);
      else if (choice < 0.36) await this.#readAll(store);
      else if (choice < 0.46) await this.#write(store, { type: "delete", key });
      else if (choice < 0.58) await this.#writeTwo(store, key, other);
      else await this.#write(store, { type: "put", key, value: this.#value() }, choice < 0.75);
    }
  }

  #twoKeys(): [string, string] {
    const first = Math.floor(this.#random.next() * KEYS);
    const second = (first + 1 + Math.floor(this.#random.next() * (KEYS - 1))) % KEYS;
    return [`${PREFIX}${first}`, `${PREFIX}${second}`];
  }

  #value(): Buffer {
    return Buffer.from(`v${this.#next++}:${"x".repeat((this.#next * 37) % 2_000)}`);
  }

  async #read(store: Store, key: string): Promise<void> {
    const startedAt = performance.now();
    try {
      const { kvs, revision } = await store.range({ key });
      const ended = { at: performance.now(), revision };
      this.#operations.push({ kind: "read", key, startedAt, ended, value: kvs[0]?.value.toString() });
    } catch (error) {
      await this.#pause(error);
    }
  }

  /** All keys at one revision: together they must be a state that there was. */
  async #readAll(store: Store): Promise<void> {
    const startedAt = performance.now();
    try {
      const { kvs, revision } = await store.range(RANGE);
      const ended = { at: performance.now(), revision };
      for (let n = 0; n < KEYS; n++) {
        const key = `${PREFIX}${n}`;
        const value = kvs.find((kv) => kv.key === key)?.value.toString();
        this.#operations.push({ kind: "read", key, startedAt, ended, value });
      }
    } catch (error) {
      await this.#pause(error);
    }
  }

  /** A conditional write holds the key to the version that was there a moment ago. */
  async #write(
    store: Store,
    op: Op & { readonly type: "put" | "delete" },
    isConditional = false,
  ): Promise<number | undefined> {
    const { key } = op;
    const value = op.type === "put" ? op.value.toString() : undefined;
    let startedAt = performance.now();
    try {
      const known = isConditional ? ((await store.range({ key })).kvs[0]?.modRevision ?? 0) : 0;
      startedAt = performance.now();
      const compare = isConditional ? [{ key, target: "mod", op: "=", value: known } as const] : [];
      const { revision, succeeded, results } = await store.txn({ compare, success: [op] });
      const isVain = results[0]?.type === "delete" && results[0].deleted.length === 0;
      const ended = { at: performance.now(), revision };
      this.#operations.push({ kind: "write", key, startedAt, ended, value, isRefused: !succeeded || isVain });
      return revision;
    } catch (error) {
      this.#operations.push({ kind: "write", key, startedAt, value });
      await this.#pause(error);
      return undefined;
    }
  }

  /** Two keys in one transaction: both change, or neither. */
  async #writeTwo(store: Store, ...keys: readonly [string, string]): Promise<void> {
    const txn = ++this.#txns;
    const ops = keys.map((key) => ({ type: "put", key, value: this.#value() }) as const);
    const startedAt = performance.now();
    const note = (ended?: Operation["ended"]): void => {
      for (const { key, value } of ops)
        this.#operations.push({ kind: "write", key, startedAt, ended, value: value.toString(), txn });
    };
    try {
      const { revision } = await store.txn({ compare: [], success: ops });
      note({ at: performance.now(), revision });
    } catch (error) {
      note();
      await this.#pause(error);
    }
  }

  /** Only what the fault of the day explains may fail. */
  async #pause(error: unknown): Promise<void> {
    if (!(error instanceof StoreError) || !this.#mayFail.includes(error.code)) throw error;
    await sleep(systemClock, 20);
  }
}
