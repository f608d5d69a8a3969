import type {
  KeyValue,
  LeaseId,
  Op,
  OpResult,
  RangeRequest,
  RangeResult,
  Revision,
  Store,
  StoreEvent,
  TxnRequest,
  TxnResult,
  WatchHandle,
  WatchRequest,
  WatchSink,
} from "@coracle/etcd";
import { internalError } from "@coracle/apimachinery";
import type { StoredValueGuard } from "../storage/stored-value-guard.ts";
import type { OpenedValue, Transformer } from "./transformer.ts";

type Maybe<T> = T | Promise<T>;

/**
 * A store whose values are encrypted in another. Reads and watches come decrypted, in the order of the other; what
 * cannot be decrypted is left out of them and known to the guard, which answers for it.
 */
export class EncryptedStore implements Store, StoredValueGuard {
  readonly #base: Store;
  readonly #transformerOf: (key: string) => Transformer;
  /** How values were encrypted, where they are not as they are. */
  readonly #notes = new Map<string, string>();
  readonly #failures = new Map<string, string>();

  constructor(base: Store, transformerOf: (key: string) => Transformer) {
    this.#base = base;
    this.#transformerOf = transformerOf;
  }

  get isShared(): boolean | undefined {
    return this.#base.isShared;
  }

  isStale(key: string): boolean {
    return (this.#notes.get(key) ?? "identity") !== this.#transformerOf(key).sealsAs;
  }

  get hasFailures(): boolean {
    return this.#failures.size > 0;
  }

  failureOf(key: string): string | undefined {
    return this.#failures.get(key);
  }

  failureWithin(first: string, end: string): { readonly key: string; readonly message: string } | undefined {
    for (const [key, message] of this.#failures) if (key >= first && key < end) return { key, message };
    return undefined;
  }

  get failedKeys(): readonly string[] {
    return [...this.#failures.keys()];
  }

  #note(key: string, sealedBy: string): void {
    if (sealedBy === "identity") this.#notes.delete(key);
    else this.#notes.set(key, sealedBy);
  }

  /** Undefined: it cannot be read. */
  #open(kv: KeyValue, isCurrent: boolean): Maybe<KeyValue | undefined> {
    const taken = ({ value, sealedBy }: OpenedValue): KeyValue => {
      if (isCurrent) {
        this.#note(kv.key, sealedBy);
        this.#failures.delete(kv.key);
      }
      return value === kv.value ? kv : { ...kv, value };
    };
    const failed = (error: unknown): undefined => {
      if (isCurrent) this.#failures.set(kv.key, (error as Error).message);
      return undefined;
    };
    try {
      const opened = this.#transformerOf(kv.key).open(kv.value, kv.key);
      return opened instanceof Promise ? opened.then(taken, failed) : taken(opened);
    } catch (error) {
      return failed(error);
    }
  }

  async #openAll(kvs: readonly KeyValue[], isCurrent: boolean): Promise<KeyValue[]> {
    const opened: KeyValue[] = [];
    for (const kv of kvs) {
      const found = this.#open(kv, isCurrent);
      const one = found instanceof Promise ? await found : found;
      if (one !== undefined) opened.push(one);
      else if (!isCurrent) throw internalError(`unable to transform key ${JSON.stringify(kv.key)}`);
    }
    return opened;
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    const result = await this.#base.range(request);
    if (request.keysOnly === true || request.countOnly === true) return result;
    return { ...result, kvs: await this.#openAll(result.kvs, (request.revision ?? 0) === 0) };
  }

  #sealOp(op: Op): Op {
    if (op.type === "txn") return { ...op, ...this.#sealTxn(op) };
    if (op.type !== "put" || op.ignoreValue === true) return op;
    try {
      return { ...op, value: this.#transformerOf(op.key).seal(op.value, op.key) };
    } catch (error) {
      throw internalError((error as Error).message, { cause: error });
    }
  }

  #sealTxn(request: TxnRequest): TxnRequest {
    const { compare, success, failure } = request;
    return {
      compare,
      success: success.map((op) => this.#sealOp(op)),
      failure: failure?.map((op) => this.#sealOp(op)),
    };
  }

  async #openResult(result: OpResult): Promise<OpResult> {
    if (result.type === "range") return { ...result, kvs: await this.#openAll(result.kvs, false) };
    if (result.type !== "txn") return result;
    return { ...result, results: await Promise.all(result.results.map((one) => this.#openResult(one))) };
  }

  async txn(request: TxnRequest): Promise<TxnResult> {
    const result = await this.#base.txn(this.#sealTxn(request));
    if (result.results.every(({ type }) => type === "put" || type === "delete")) return result;
    return { ...result, results: await Promise.all(result.results.map((one) => this.#openResult(one))) };
  }

  #openEvent(event: StoreEvent): Maybe<StoreEvent | undefined> {
    if (event.type === "delete") {
      this.#notes.delete(event.key);
      this.#failures.delete(event.key);
      return event;
    }
    const taken = (kv: KeyValue | undefined): StoreEvent | undefined =>
      kv === undefined ? undefined : kv === event.kv ? event : { type: "put", kv, previous: undefined };
    const opened = this.#open(event.kv, true);
    return opened instanceof Promise ? opened.then(taken) : taken(opened);
  }

  /** Events are decrypted as they come; while one waits for a key, those behind it wait too. */
  watch(request: WatchRequest, sink: WatchSink): Promise<WatchHandle> {
    let queue: Promise<void> | undefined;
    const isThere = (event: StoreEvent | undefined): event is StoreEvent => event !== undefined;
    const enqueue = (step: () => Maybe<void>): void => {
      const next = (queue ?? Promise.resolve()).then(step).finally(() => {
        if (queue === next) queue = undefined;
      });
      queue = next;
    };
    const deliver = (events: readonly StoreEvent[], revision: Revision): Maybe<void> => {
      const opened = events.map((event) => this.#openEvent(event));
      if (!opened.some((one) => one instanceof Promise)) {
        sink.events((opened as (StoreEvent | undefined)[]).filter(isThere), revision);
        return undefined;
      }
      return Promise.all(opened.map((one) => Promise.resolve(one))).then((all) =>
        sink.events(all.filter(isThere), revision),
      );
    };
    return this.#base.watch(request, {
      events: (events, revision) => {
        if (queue !== undefined) {
          enqueue(() => deliver(events, revision));
          return;
        }
        const pending = deliver(events, revision);
        if (pending !== undefined) enqueue(() => pending);
      },
      closed: (reason) => {
        if (queue === undefined) sink.closed(reason);
        else enqueue(() => sink.closed(reason));
      },
    });
  }

  revision(): Promise<Revision> {
    return this.#base.revision();
  }
  grantLease(ttlSeconds: number, id?: LeaseId): Promise<LeaseId> {
    return this.#base.grantLease(ttlSeconds, id);
  }
  keepLeaseAlive(lease: LeaseId): Promise<void> {
    return this.#base.keepLeaseAlive(lease);
  }
  revokeLease(lease: LeaseId): Promise<void> {
    return this.#base.revokeLease(lease);
  }
  compact(revision: Revision): Promise<void> {
    return this.#base.compact(revision);
  }
  size(): ReturnType<Store["size"]> {
    return this.#base.size();
  }

  /** The store underneath belongs to whoever opened it. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
