import { isObject } from "@coracle/apimachinery";
import type { Random } from "@coracle/base";
import type { Revision, Store } from "@coracle/etcd";
import type { ValueReader } from "../storage/stored-version.ts";
import { PortAllocator } from "./port-allocator.ts";

const KEY = "/registry/ranges/servicenodeports";

interface Job {
  run(ports: PortAllocator): () => void;
  reject(error: unknown): void;
}

/**
 * Which node ports are taken: one record in the store, under upstream's key and in its form, written only by who saw
 * it last, so that of several servers on one store only one gets a port.
 */
export class PortLedger {
  readonly range: string;
  readonly #store: Store;
  readonly #read: ValueReader;
  readonly #random: Random;
  #bitmap: Buffer = Buffer.alloc(0);
  #version: Revision = 0;
  #queue: Job[] = [];
  #draining: Promise<void> | undefined;

  private constructor(store: Store, range: string, read: ValueReader, random: Random) {
    this.range = new PortAllocator(range).range;
    this.#store = store;
    this.#read = read;
    this.#random = random;
  }

  static async open(options: {
    readonly store: Store;
    readonly range: string;
    readonly read: ValueReader;
    readonly random: Random;
  }): Promise<PortLedger> {
    const ledger = new PortLedger(options.store, options.range, options.read, options.random);
    await ledger.#load();
    return ledger;
  }

  async #load(): Promise<void> {
    const { kvs } = await this.#store.range({ key: KEY });
    const [kv] = kvs;
    this.#version = kv?.modRevision ?? 0;
    const record: unknown = kv === undefined || kv.value.length === 0 ? undefined : this.#read(kv.value);
    const { range, data } = isObject(record) ? record : {};
    // Of another range nothing can be said; the repair fills in what the Services have.
    const fits = range === this.range && typeof data === "string";
    this.#bitmap = fits ? Buffer.from(data, "base64") : Buffer.alloc(0);
  }

  /** A view of what is taken, as far as this server knows. */
  known(): PortAllocator {
    return new PortAllocator(this.range, this.#bitmap);
  }

  /**
   * Carries out `change` on the ports there are and keeps what it did. It is called again when another server was
   * quicker; what it throws undoes what it did.
   */
  change<T>(change: (ports: PortAllocator, random: Random) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({
        run: (ports) => {
          const result = change(ports, this.#random);
          return () => resolve(result);
        },
        reject,
      });
      if (this.#draining !== undefined) return;
      this.#draining = this.#drain().finally(() => (this.#draining = undefined));
    });
  }

  /** Never fails: a failure is that of the jobs. */
  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const jobs = this.#queue;
      this.#queue = [];
      try {
        if (this.#store.isShared === true) await this.#load();
        await this.#carryOut(jobs);
      } catch (error) {
        for (const job of jobs) job.reject(error);
      }
    }
  }

  async #carryOut(jobs: readonly Job[]): Promise<void> {
    for (;;) {
      let ports = this.known();
      const before = ports.bitmap();
      const ends: (() => void)[] = [];
      for (const job of jobs) {
        const undo = ports.bitmap();
        try {
          ends.push(job.run(ports));
        } catch (error) {
          ports = new PortAllocator(this.range, undo);
          ends.push(() => job.reject(error));
        }
      }
      const after = ports.bitmap();
      if (after.equals(before) || (await this.#write(after))) {
        for (const end of ends) end();
        return;
      }
      await this.#load();
    }
  }

  async #write(bitmap: Buffer): Promise<boolean> {
    const record = {
      kind: "RangeAllocation",
      apiVersion: "v1",
      metadata: {},
      range: this.range,
      data: bitmap.toString("base64"),
    };
    const { succeeded, revision } = await this.#store.txn({
      compare: [{ key: KEY, target: "mod", op: "=", value: this.#version }],
      success: [{ type: "put", key: KEY, value: Buffer.from(JSON.stringify(record)) }],
    });
    if (!succeeded) return false;
    this.#version = revision;
    this.#bitmap = bitmap;
    return true;
  }
}
