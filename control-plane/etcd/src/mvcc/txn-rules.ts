import { StoreError, type Compare, type Op, type TxnRequest } from "../store/store.ts";
import type { Version } from "./key-index.ts";
import { inRange, toByteKey, toKeyRange, type KeyRange } from "./key-range.ts";

/** How much one transaction may ask for. */
export interface TxnLimits {
  readonly maxRequestBytes: number;
  /** Compares, and operations of each branch. */
  readonly maxTxnOps: number;
}

/** etcd's defaults for `--max-request-bytes` and `--max-txn-ops`. */
const DEFAULT_TXN_LIMITS: TxnLimits = { maxRequestBytes: 1.5 * 1024 * 1024, maxTxnOps: 128 };
const DEEPEST = 20;

/** Fails as etcd does for a transaction that is wrong in itself, whatever the store holds. */
export function checkTxn(request: TxnRequest, limits: TxnLimits = DEFAULT_TXN_LIMITS, depth = 0): void {
  const { compare, success, failure = [] } = request;
  const most = Math.max(compare.length, success.length, failure.length);
  if (most > limits.maxTxnOps || depth > DEEPEST) {
    throw new StoreError("invalidRequest", "etcdserver: too many operations in txn request");
  }
  for (const { key } of compare) requireKey(key);
  checkOps(success, limits, depth);
  if (failure.length > 0) checkOps(failure, limits, depth);
}

function checkOps(ops: readonly Op[], limits: TxnLimits, depth: number): void {
  let bytes = 0;
  for (const op of ops) {
    if (op.type === "txn") {
      checkTxn(op, limits, depth + 1);
      continue;
    }
    requireKey(op.key);
    if (op.type === "put") bytes += op.key.length + op.value.length;
  }
  if (bytes > limits.maxRequestBytes) throw new StoreError("tooLarge", "etcdserver: request is too large");
  if (ops.length > 1) checkNoKeyChangesTwice(ops);
}

function requireKey(key: string): void {
  if (key === "") throw new StoreError("invalidRequest", "etcdserver: key is not provided");
}

/** What an operation may write. Of the branches of a transaction only one is taken: their keys may be the same. */
interface Writes {
  readonly puts: Set<string>;
  readonly deletes: KeyRange[];
}

/** Stricter than etcd in one case: it lets a delete to the very last key (end of one zero byte) overlap a put. */
function checkNoKeyChangesTwice(ops: readonly Op[]): Writes {
  const puts = new Set<string>();
  const deletes: KeyRange[] = [];
  for (const op of ops) {
    const { puts: mine } = writesOf(op);
    for (const key of mine) {
      if (puts.has(key)) throw duplicateKeyError();
      puts.add(key);
    }
  }
  for (const op of ops) {
    const own = writesOf(op);
    for (const range of own.deletes) {
      for (const key of puts) {
        // A transaction may put and delete the same key in branches that exclude each other.
        if (op.type === "txn" && own.puts.has(key)) continue;
        if (inRange(range, key)) throw duplicateKeyError();
      }
      deletes.push(range);
    }
  }
  return { puts, deletes };
}

function writesOf(op: Op): Writes {
  if (op.type === "put") return { puts: new Set([toByteKey(op.key)]), deletes: [] };
  if (op.type === "delete") return { puts: new Set(), deletes: [toKeyRange(op.key, op.end)] };
  if (op.type === "range") return { puts: new Set(), deletes: [] };
  const success = checkNoKeyChangesTwice(op.success);
  const failure = checkNoKeyChangesTwice(op.failure ?? []);
  return {
    puts: new Set([...success.puts, ...failure.puts]),
    deletes: [...success.deletes, ...failure.deletes],
  };
}

function duplicateKeyError(): StoreError {
  return new StoreError("duplicateKey", "etcdserver: duplicate key given in txn request");
}

/** What compares look at. */
export interface ComparedState {
  /** The live version of a key. */
  find(key: string): Version | undefined;
  /** The live versions of a range. */
  findAll(key: string, end: string): readonly Version[];
  valueOf(version: Version): Buffer;
}

/** Whether all compares hold. A key that does not exist has revisions, version and lease 0. */
export function chooseBranch(compares: readonly Compare[], state: ComparedState): boolean {
  return compares.every((compare) => {
    const { key, end } = compare;
    if (end === undefined || end === "") return holds(compare, state.find(key), state);
    const found = state.findAll(key, end);
    if (found.length === 0) return holds(compare, undefined, state);
    return found.every((version) => holds(compare, version, state));
  });
}

function holds(compare: Compare, found: Version | undefined, state: ComparedState): boolean {
  if (compare.target === "value") {
    return found !== undefined && isOrdered(compare.op, Buffer.compare(state.valueOf(found), compare.value));
  }
  const actual = numberOf(compare.target, found);
  return isOrdered(compare.op, actual < compare.value ? -1 : actual > compare.value ? 1 : 0);
}

function numberOf(target: "mod" | "create" | "version" | "lease", found: Version | undefined): number | bigint {
  if (found === undefined) return 0;
  switch (target) {
    case "mod":
      return found.modRevision;
    case "create":
      return found.createRevision;
    case "version":
      return found.version;
    case "lease":
      return found.lease;
    default:
      return target satisfies never;
  }
}

function isOrdered(op: Compare["op"], difference: number): boolean {
  switch (op) {
    case "=":
      return difference === 0;
    case "!=":
      return difference !== 0;
    case ">":
      return difference > 0;
    case "<":
      return difference < 0;
    default:
      return op satisfies never;
  }
}
