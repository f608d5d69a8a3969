import type * as etcd from "@coracle/api/etcd";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import { keyFromBytes, keyToBytes } from "../store/key-text.ts";
import { leaseIdFrom } from "../store/lease-id.ts";
import {
  StoreError,
  type Compare,
  type KeyValue,
  type Op,
  type OpResult,
  type RangeRequest,
  type RangeResult,
  type Revision,
  type StoreErrorCode,
  type StoreEvent,
  type TxnRequest,
} from "../store/store.ts";

const EMPTY = Buffer.alloc(0);
const COMPARES = { "=": "EQUAL", "!=": "NOT_EQUAL", ">": "GREATER", "<": "LESS" } as const;

/** etcd's texts, and what they mean to users of the port. */
const ERRORS: readonly (readonly [RegExp, StoreErrorCode])[] = [
  [/has been compacted/, "compacted"],
  [/future revision/, "futureRevision"],
  [/lease not found/, "leaseNotFound"],
  [/lease already exists/, "leaseExists"],
  [/key not found/, "keyNotFound"],
  [/too large|larger than max/, "tooLarge"],
  [/duplicate key/, "duplicateKey"],
  [/key is not provided|too many operations|invalid/, "invalidRequest"],
  [/space exceeded/, "noSpace"],
  [/corrupt/, "corrupt"],
];

/** A failed call as the port tells it. */
export function toStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (!(error instanceof GrpcError)) return new StoreError("unavailable", String(error), { cause: error });
  const known = ERRORS.find(([text]) => text.test(error.message))?.[1];
  const code = known ?? (error.code === grpcCode.invalidArgument ? "invalidRequest" : "unavailable");
  return new StoreError(code, error.message, { cause: error });
}

export function fromRange(request: RangeRequest): etcd.RangeRequest {
  const { key, end, revision = 0, limit = 0, keysOnly, countOnly } = request;
  return {
    key: keyToBytes(key),
    rangeEnd: end === undefined ? undefined : keyToBytes(end),
    revision: BigInt(revision),
    limit: BigInt(limit),
    keysOnly,
    countOnly,
  };
}

export function fromCompare(compare: Compare): etcd.Compare {
  const { key, end, op } = compare;
  const common = {
    key: keyToBytes(key),
    rangeEnd: end === undefined ? undefined : keyToBytes(end),
    result: COMPARES[op],
  };
  if (compare.target === "value") return { ...common, target: "VALUE", value: compare.value };
  const number = BigInt(compare.value);
  if (compare.target === "mod") return { ...common, target: "MOD", modRevision: number };
  if (compare.target === "create") return { ...common, target: "CREATE", createRevision: number };
  if (compare.target === "lease") return { ...common, target: "LEASE", lease: number };
  return { ...common, target: "VERSION", version: number };
}

export function fromTxn(request: TxnRequest): etcd.TxnRequest {
  return {
    compare: request.compare.map(fromCompare),
    success: request.success.map(fromOp),
    failure: request.failure?.map(fromOp),
  };
}

function fromOp(op: Op): etcd.RequestOp {
  if (op.type === "txn") return { requestTxn: fromTxn(op) };
  if (op.type === "range") return { requestRange: fromRange(op) };
  const key = keyToBytes(op.key);
  if (op.type === "put") {
    const { value, lease = 0, ignoreValue, ignoreLease } = op;
    return { requestPut: { key, value, lease: BigInt(lease), prevKv: true, ignoreValue, ignoreLease } };
  }
  const rangeEnd = op.end === undefined ? undefined : keyToBytes(op.end);
  return { requestDeleteRange: { key, rangeEnd, prevKv: true } };
}

export function toKeyValue(wire: etcd.KeyValue): KeyValue {
  return {
    key: keyFromBytes(wire.key ?? EMPTY),
    value: wire.value ?? EMPTY,
    createRevision: Number(wire.createRevision ?? 0),
    modRevision: Number(wire.modRevision ?? 0),
    version: Number(wire.version ?? 0),
    lease: leaseIdFrom(wire.lease ?? 0n),
  };
}

export function toRangeResult(wire: etcd.RangeResponse, revision: Revision): RangeResult {
  return {
    revision,
    kvs: (wire.kvs ?? []).map(toKeyValue),
    count: Number(wire.count ?? 0),
    more: wire.more === true,
  };
}

export function toOpResult(wire: etcd.ResponseOp, revision: Revision): OpResult {
  if (wire.responseRange !== undefined) return { type: "range", ...toRangeResult(wire.responseRange, revision) };
  if (wire.responsePut !== undefined) {
    const { prevKv } = wire.responsePut;
    return { type: "put", previous: prevKv === undefined ? undefined : toKeyValue(prevKv) };
  }
  if (wire.responseTxn !== undefined) {
    const { succeeded = false, responses = [] } = wire.responseTxn;
    return { type: "txn", succeeded, results: responses.map((response) => toOpResult(response, revision)) };
  }
  return { type: "delete", deleted: (wire.responseDeleteRange?.prevKvs ?? []).map(toKeyValue) };
}

export function toEvent(wire: etcd.Event): StoreEvent {
  const kv = toKeyValue(wire.kv ?? {});
  const previous = wire.prevKv === undefined ? undefined : toKeyValue(wire.prevKv);
  if (wire.type !== "DELETE") return { type: "put", kv, previous };
  return { type: "delete", key: kv.key, modRevision: kv.modRevision, previous };
}

/** The store's revision that an answer carries. */
export function revisionIn(message: { readonly header?: etcd.ResponseHeader | undefined }): Revision {
  return Number(message.header?.revision ?? 0);
}

export const revisionOf = (event: StoreEvent): Revision =>
  event.type === "put" ? event.kv.modRevision : event.modRevision;
