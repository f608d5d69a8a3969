import type {
  Compare,
  KeyValue,
  Op,
  OpResult,
  RangeRequest,
  RangeResult,
  Store,
  StoreEvent,
  TxnRequest,
} from "@coracle/etcd";

const OWN = "/registry/";

/** Keys as the server names them, and as they are in a store under another prefix than `/registry`. */
class KeyNames {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix === "/" ? "/" : `${prefix}/`;
  }

  stored(key: string): string {
    return key.startsWith(OWN) ? this.#prefix + key.slice(OWN.length) : key;
  }

  /** The end of a range that covers everything below the root is no key of it. */
  end(end: string | undefined): string | undefined {
    if (end !== "/registry0") return end === undefined ? undefined : this.stored(end);
    return `${this.#prefix.slice(0, -1)}0`;
  }

  own(key: string): string {
    return key.startsWith(this.#prefix) ? OWN + key.slice(this.#prefix.length) : key;
  }

  ownKv(kv: KeyValue): KeyValue {
    const { createRevision, modRevision, version, lease } = kv;
    return {
      key: this.own(kv.key),
      // Some stores fetch it when it is looked at.
      get value() {
        return kv.value;
      },
      createRevision,
      modRevision,
      version,
      lease,
    };
  }
}

/** A store whose keys lie under `prefix` in another: to its users they are below `/registry`. */
export function withKeyPrefix(base: Store, prefix: string): Store {
  const names = new KeyNames(prefix);
  const range = <R extends RangeRequest>(request: R): R => ({
    ...request,
    key: names.stored(request.key),
    end: names.end(request.end),
  });
  const op = (one: Op): Op => {
    if (one.type === "txn") return { ...one, ...txn(one) };
    if (one.type === "put") return { ...one, key: names.stored(one.key) };
    if (one.type === "delete") return { ...one, key: names.stored(one.key), end: names.end(one.end) };
    return range(one);
  };
  const txn = ({ compare, success, failure }: TxnRequest): TxnRequest => ({
    compare: compare.map((one): Compare => ({ ...one, key: names.stored(one.key) })),
    success: success.map(op),
    failure: failure?.map(op),
  });
  const found = <R extends RangeResult>(result: R): R => ({
    ...result,
    kvs: result.kvs.map((kv) => names.ownKv(kv)),
  });
  const result = (one: OpResult): OpResult => {
    if (one.type === "range") return found(one);
    if (one.type === "put")
      return { type: "put", previous: one.previous === undefined ? undefined : names.ownKv(one.previous) };
    if (one.type === "delete") return { type: "delete", deleted: one.deleted.map((kv) => names.ownKv(kv)) };
    return { ...one, results: one.results.map(result) };
  };
  const event = (one: StoreEvent): StoreEvent => {
    const previous = one.previous === undefined ? undefined : names.ownKv(one.previous);
    if (one.type === "put") return { type: "put", kv: names.ownKv(one.kv), previous };
    return { ...one, key: names.own(one.key), previous };
  };
  return {
    isShared: base.isShared,
    range: async (request) => found(await base.range(range(request))),
    async txn(request) {
      const answer = await base.txn(txn(request));
      return { ...answer, results: answer.results.map(result) };
    },
    watch: (request, sink) =>
      base.watch(
        { ...request, key: names.stored(request.key), end: names.end(request.end) },
        {
          events: (events, revision) => sink.events(events.map(event), revision),
          closed: (reason) => sink.closed(reason),
        },
      ),
    revision: () => base.revision(),
    grantLease: (ttlSeconds, id) => base.grantLease(ttlSeconds, id),
    keepLeaseAlive: (lease) => base.keepLeaseAlive(lease),
    revokeLease: (lease) => base.revokeLease(lease),
    compact: (revision) => base.compact(revision),
    size: () => base.size(),
    [Symbol.asyncDispose]: () => base[Symbol.asyncDispose](),
  };
}
