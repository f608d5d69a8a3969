import { sleep, systemClock, type Random } from "@coracle/base";
import { StoreError, type Op, type Store, type StoreEvent } from "../src/index.ts";
import type { Delivery, Operation } from "./history-checker.ts";

const KEYS = 6;
const PREFIX = "history/";

/** Several clients that write, change on condition, delete and read a few keys, and one that watches them all. */
export class Workload {
  readonly operations: Operation[] = [];
  readonly deliveries: Delivery[] = [];
  watchFault: StoreError | undefined;
  readonly #store: Store;
  readonly #random: Random;
  #isOver = false;
  #clients: Promise<unknown> = Promise.resolve();
  #next = 0;

  constructor(store: Store, random: Random) {
    this.#store = store;
    this.#random = random;
  }

  async begin(clients: number): Promise<void> {
    const sink = {
      events: (events: readonly StoreEvent[], revision: number) => void this.deliveries.push({ revision, events }),
      closed: (reason: StoreError) => {
        this.watchFault = reason;
      },
    };
    await this.#store.watch({ key: "\0", end: "\0", startRevision: 2 }, sink);
    this.#clients = Promise.all(Array.from({ length: clients }, () => this.#client()));
  }

  get acknowledged(): number {
    return this.operations.filter(({ ended }) => ended !== undefined).length;
  }

  /** Ends the clients and waits until the watcher has seen all there is. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#clients;
    const key = `${PREFIX}last`;
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop
      const revision = await this.#write({ type: "put", key, value: Buffer.from(this.#value()) });
      if (revision === undefined) continue;
      // oxlint-disable-next-line no-await-in-loop
      while ((this.deliveries.at(-1)?.revision ?? 0) < revision && this.watchFault === undefined)
        await sleep(systemClock, 10);
      return;
    }
  }

  async #client(): Promise<void> {
    while (!this.#isOver) {
      const key = `${PREFIX}${Math.floor(this.#random.next() * KEYS)}`;
      const choice = this.#random.next();
      if (choice < 0.35) await this.#read(key);
      else if (choice < 0.45) await this.#write({ type: "delete", key });
      else await this.#write({ type: "put", key, value: Buffer.from(this.#value()) }, choice < 0.65);
    }
  }

  #value(): string {
    return `v${this.#next++}:${"x".repeat((this.#next * 37) % 2_000)}`;
  }

  async #read(key: string): Promise<void> {
    const startedAt = performance.now();
    try {
      const { kvs, revision } = await this.#store.range({ key });
      const ended = { at: performance.now(), revision };
      this.operations.push({ kind: "read", key, startedAt, ended, value: kvs[0]?.value.toString() });
    } catch (error) {
      await this.#pause(error);
    }
  }

  /** A conditional write holds the key to the version that was there a moment ago. */
  async #write(op: Op & { readonly type: "put" | "delete" }, isConditional = false): Promise<number | undefined> {
    const { key } = op;
    const value = op.type === "put" ? op.value.toString() : undefined;
    let startedAt = performance.now();
    try {
      const known = isConditional ? ((await this.#store.range({ key })).kvs[0]?.modRevision ?? 0) : 0;
      startedAt = performance.now();
      const compare = isConditional ? [{ key, target: "mod", op: "=", value: known } as const] : [];
      const { revision, succeeded, results } = await this.#store.txn({ compare, success: [op] });
      const isVain = results[0]?.type === "delete" && results[0].deleted.length === 0;
      const ended = { at: performance.now(), revision };
      this.operations.push({ kind: "write", key, startedAt, ended, value, isRefused: !succeeded || isVain });
      return revision;
    } catch (error) {
      this.operations.push({ kind: "write", key, startedAt, value });
      await this.#pause(error);
      return undefined;
    }
  }

  /** Only what a lost server explains may fail. */
  async #pause(error: unknown): Promise<void> {
    if (!(error instanceof StoreError) || error.code !== "unavailable") throw error;
    await sleep(systemClock, 20);
  }
}
