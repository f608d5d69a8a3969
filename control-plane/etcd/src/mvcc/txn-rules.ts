import { StoreError, type Compare, type Op, type TxnRequest } from "../store/store.ts";
import type { Version } from "./key-index.ts";
import { inRange, toByteKey, toKeyRange } from "./key-range.ts";

/** etcd's default for `--max-request-bytes`. */
const MAX_REQUEST_BYTES = 1.5 * 1024 * 1024;

/** Fails as etcd does for a transaction that is wrong in itself, whatever the store holds. */
export function checkTxn(request: TxnRequest): void {
  for (const { key } of request.compare) requireKey(key);
  checkOps(request.success);
  if (request.failure !== undefined) checkOps(request.failure);
}

function checkOps(ops: readonly Op[]): void {
  let bytes = 0;
  for (const op of ops) {
    requireKey(op.key);
    if (op.type === "put") bytes += op.key.length + op.value.length;
  }
  if (bytes > MAX_REQUEST_BYTES) throw new StoreError("tooLarge", "etcdserver: request is too large");
  if (ops.length > 1) checkNoKeyChangesTwice(ops);
}

function requireKey(key: string): void {
  if (key === "") throw new StoreError("invalidRequest", "etcdserver: key is not provided");
}

/** Stricter than etcd in one case: it lets a delete to the very last key (end of one zero byte) overlap a put. */
function checkNoKeyChangesTwice(ops: readonly Op[]): void {
  const puts = new Set<string>();
  for (const op of ops) {
    if (op.type !== "put") continue;
    if (puts.has(op.key)) throw duplicateKeyError();
    puts.add(op.key);
  }
  for (const op of ops) {
    if (op.type !== "delete") continue;
    const range = toKeyRange(op.key, op.end);
    for (const key of puts) if (inRange(range, toByteKey(key))) throw duplicateKeyError();
  }
}

function duplicateKeyError(): StoreError {
  return new StoreError("duplicateKey", "etcdserver: duplicate key given in txn request");
}

/** Whether all compares hold. A key that does not exist has revisions and version 0. */
export function chooseBranch(
  compares: readonly Compare[],
  find: (key: string) => Pick<Version, "modRevision" | "createRevision" | "version"> | undefined,
): boolean {
  return compares.every((compare) => {
    const found = find(compare.key);
    const actual =
      found === undefined
        ? 0
        : compare.target === "mod"
          ? found.modRevision
          : compare.target === "create"
            ? found.createRevision
            : found.version;
    switch (compare.op) {
      case "=":
        return actual === compare.value;
      case "!=":
        return actual !== compare.value;
      case ">":
        return actual > compare.value;
      case "<":
        return actual < compare.value;
      default:
        return compare.op satisfies never;
    }
  });
}
