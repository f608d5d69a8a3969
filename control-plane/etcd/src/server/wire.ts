import type * as etcd from "@coracle/api/etcd";
import { keyFromBytes, keyToBytes } from "../store/key-text.ts";
import { leaseIdFrom } from "../store/lease-id.ts";
import {
  StoreError,
  type Compare,
  type KeyValue,
  type LeaseId,
  type Op,
  type OpResult,
  type RangeRequest,
  type RangeResult,
  type TxnRequest,
} from "../store/store.ts";

const EMPTY = Buffer.alloc(0);
const OPERATORS = { EQUAL: "=", NOT_EQUAL: "!=", GREATER: ">", LESS: "<" } as const;

const text = (bytes: Buffer | undefined): string => keyFromBytes(bytes ?? EMPTY);

/** An empty end is no end. */
const endOf = (bytes: Buffer | undefined): string | undefined =>
  bytes === undefined || bytes.length === 0 ? undefined : keyFromBytes(bytes);

export const leaseIdOf = (id: bigint | undefined): LeaseId => leaseIdFrom(id ?? 0n);

export const isSorted = (request: etcd.RangeRequest): boolean =>
  (request.sortOrder ?? "NONE") !== "NONE" || (request.sortTarget ?? "KEY") !== "KEY";

const bound = (value: bigint | undefined): number => Number(value ?? 0n);

const hasBounds = (request: etcd.RangeRequest): boolean =>
  bound(request.minModRevision) + bound(request.maxModRevision) > 0 ||
  bound(request.minCreateRevision) + bound(request.maxCreateRevision) > 0;

/** What to ask of the store; order, bounds and then the limit are applied to its answer by `arrange`. */
export function toRange(request: etcd.RangeRequest): RangeRequest {
  const isWhole = isSorted(request) || hasBounds(request);
  return {
    key: text(request.key),
    end: endOf(request.rangeEnd),
    revision: Math.max(0, Number(request.revision ?? 0n)),
    limit: isWhole ? undefined : Math.max(0, Number(request.limit ?? 0n)),
    // To sort by value, the values are needed.
    keysOnly: request.keysOnly === true && request.sortTarget !== "VALUE",
    countOnly: request.countOnly,
  };
}

const ORDER: Readonly<Record<string, (a: KeyValue, b: KeyValue) => number>> = {
  KEY: (a, b) => Buffer.compare(keyToBytes(a.key), keyToBytes(b.key)),
  VERSION: (a, b) => a.version - b.version,
  CREATE: (a, b) => a.createRevision - b.createRevision,
  MOD: (a, b) => a.modRevision - b.modRevision,
  VALUE: (a, b) => Buffer.compare(a.value, b.value),
};

/** A range's answer, bounded, sorted and cut as asked. */
export function arrange(request: etcd.RangeRequest, result: RangeResult): etcd.RangeResponse {
  let { kvs } = result;
  let { more } = result;
  if (hasBounds(request)) {
    const [minMod, maxMod] = [bound(request.minModRevision), bound(request.maxModRevision)];
    const [minCreate, maxCreate] = [bound(request.minCreateRevision), bound(request.maxCreateRevision)];
    kvs = kvs.filter(
      (kv) =>
        kv.modRevision >= minMod &&
        (maxMod === 0 || kv.modRevision <= maxMod) &&
        kv.createRevision >= minCreate &&
        (maxCreate === 0 || kv.createRevision <= maxCreate),
    );
  }
  if (isSorted(request)) {
    // A target without an order is sorted upwards.
    const direction = request.sortOrder === "DESCEND" ? -1 : 1;
    const order = ORDER[request.sortTarget ?? "KEY"] ?? ORDER["KEY"]!;
    kvs = kvs.toSorted((a, b) => direction * order(a, b));
  }
  const limit = Number(request.limit ?? 0n);
  if (limit > 0 && kvs.length > limit) {
    kvs = kvs.slice(0, limit);
    more = true;
  }
  const isKeysOnly = request.keysOnly === true;
  return { kvs: kvs.map((kv) => fromKeyValue(kv, isKeysOnly)), more, count: BigInt(result.count) };
}

export function fromKeyValue(kv: KeyValue, isKeyOnly = false): etcd.KeyValue {
  return {
    key: keyToBytes(kv.key),
    createRevision: BigInt(kv.createRevision),
    modRevision: BigInt(kv.modRevision),
    version: BigInt(kv.version),
    value: isKeyOnly ? undefined : kv.value,
    lease: BigInt(kv.lease),
  };
}

function toCompare(wire: etcd.Compare): Compare {
  const common = { key: text(wire.key), end: endOf(wire.rangeEnd), op: OPERATORS[wire.result ?? "EQUAL"] };
  switch (wire.target ?? "VERSION") {
    case "VALUE":
      return { ...common, target: "value", value: wire.value ?? EMPTY };
    case "MOD":
      return { ...common, target: "mod", value: Number(wire.modRevision ?? 0n) };
    case "CREATE":
      return { ...common, target: "create", value: Number(wire.createRevision ?? 0n) };
    case "LEASE":
      return { ...common, target: "lease", value: leaseIdOf(wire.lease) };
    default:
      return { ...common, target: "version", value: Number(wire.version ?? 0n) };
  }
}

export function toPut(wire: etcd.PutRequest): Op & { readonly type: "put" } {
  const { ignoreValue = false, ignoreLease = false } = wire;
  if (ignoreValue && (wire.value?.length ?? 0) > 0)
    throw new StoreError("invalidRequest", "etcdserver: value is provided");
  if (ignoreLease && (wire.lease ?? 0n) !== 0n) throw new StoreError("invalidRequest", "etcdserver: lease is provided");
  return {
    type: "put",
    key: text(wire.key),
    value: wire.value ?? EMPTY,
    lease: leaseIdOf(wire.lease),
    ignoreValue,
    ignoreLease,
  };
}

export const toDelete = (wire: etcd.DeleteRangeRequest): Op & { readonly type: "delete" } => ({
  type: "delete",
  key: text(wire.key),
  end: endOf(wire.rangeEnd),
});

function toOp(wire: etcd.RequestOp): Op {
  if (wire.requestRange !== undefined) return { type: "range", ...toRange(wire.requestRange) };
  if (wire.requestPut !== undefined) return toPut(wire.requestPut);
  if (wire.requestDeleteRange !== undefined) return toDelete(wire.requestDeleteRange);
  if (wire.requestTxn !== undefined) return { type: "txn", ...toTxn(wire.requestTxn) };
  throw new StoreError("invalidRequest", "etcdserver: key not found");
}

export function toTxn(wire: etcd.TxnRequest): TxnRequest {
  return {
    compare: (wire.compare ?? []).map(toCompare),
    success: (wire.success ?? []).map(toOp),
    failure: (wire.failure ?? []).map(toOp),
  };
}

export const putResponse = (wire: etcd.PutRequest, previous: KeyValue | undefined): etcd.PutResponse => ({
  prevKv: wire.prevKv === true && previous !== undefined ? fromKeyValue(previous) : undefined,
});

export const deleteResponse = (
  wire: etcd.DeleteRangeRequest,
  deleted: readonly KeyValue[],
): etcd.DeleteRangeResponse => ({
  deleted: BigInt(deleted.length),
  prevKvs: wire.prevKv === true ? deleted.map((kv) => fromKeyValue(kv)) : undefined,
});

/** The answers to the operations of the branch that was taken, in the form their requests asked for. */
export function fromResults(
  wire: etcd.TxnRequest,
  succeeded: boolean,
  results: readonly OpResult[],
  header: etcd.ResponseHeader,
): etcd.TxnResponse {
  const requests = (succeeded ? wire.success : wire.failure) ?? [];
  const inner = { revision: header.revision };
  const responses = results.map((result, at): etcd.ResponseOp => {
    const request = requests[at] as etcd.RequestOp;
    switch (result.type) {
      case "range":
        return { responseRange: { header: inner, ...arrange(request.requestRange ?? {}, result) } };
      case "put":
        return { responsePut: { header: inner, ...putResponse(request.requestPut ?? {}, result.previous) } };
      case "delete":
        return {
          responseDeleteRange: { header: inner, ...deleteResponse(request.requestDeleteRange ?? {}, result.deleted) },
        };
      case "txn":
        return { responseTxn: fromResults(request.requestTxn ?? {}, result.succeeded, result.results, inner) };
      default:
        return result satisfies never;
    }
  });
  return { header, succeeded, responses };
}
