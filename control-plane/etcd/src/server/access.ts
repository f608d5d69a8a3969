import type * as etcd from "@coracle/api/etcd";
import type { AuthInfo } from "../auth/auth-store.ts";
import type { ByteRange } from "../auth/byte-range.ts";
import type { CallContext } from "../grpc/grpc-server.ts";
import { keyToBytes } from "../store/key-text.ts";
import type { EtcdContext } from "./etcd-context.ts";
import { leaseIdOf } from "./wire.ts";

/** Who makes this call. Undefined: nobody in particular, or it does not matter. */
export function callerOf({ auth }: EtcdContext, call: CallContext): AuthInfo | undefined {
  if (!auth.state.enabled) return undefined;
  const { token, authorization } = call.headers;
  const given = token ?? authorization;
  return auth.infoOf({ token: Array.isArray(given) ? given[0] : given, certificateUser: call.certificateUser });
}

export function rangeOf(wire: {
  readonly key?: Buffer | undefined;
  readonly rangeEnd?: Buffer | undefined;
}): ByteRange {
  return { key: (wire.key ?? NOTHING).toString("latin1"), end: (wire.rangeEnd ?? NOTHING).toString("latin1") };
}

/** Fails unless the caller may do all of a put: also read what it asks to see, and change what goes with the lease. */
export function checkPut(context: EtcdContext, caller: AuthInfo | undefined, wire: etcd.PutRequest): void {
  const { auth } = context;
  if (!auth.state.enabled) return;
  auth.checkWrite(caller, rangeOf({ key: wire.key }));
  checkLease(context, caller, wire.lease);
  if (wire.prevKv === true) auth.checkRead(caller, rangeOf({ key: wire.key }));
}

export function checkDelete({ auth }: EtcdContext, caller: AuthInfo | undefined, wire: etcd.DeleteRangeRequest): void {
  if (!auth.state.enabled) return;
  auth.checkWrite(caller, rangeOf(wire));
  if (wire.prevKv === true) auth.checkRead(caller, rangeOf(wire));
}

/** Whatever branch is taken. */
export function checkTxn(context: EtcdContext, caller: AuthInfo | undefined, wire: etcd.TxnRequest): void {
  const { auth } = context;
  if (!auth.state.enabled) return;
  for (const compare of wire.compare ?? []) auth.checkRead(caller, rangeOf(compare));
  for (const op of [...(wire.success ?? []), ...(wire.failure ?? [])]) {
    if (op.requestRange !== undefined) auth.checkRead(caller, rangeOf(op.requestRange));
    if (op.requestPut !== undefined) checkPut(context, caller, op.requestPut);
    if (op.requestDeleteRange !== undefined) checkDelete(context, caller, op.requestDeleteRange);
    if (op.requestTxn !== undefined) checkTxn(context, caller, op.requestTxn);
  }
}

/** Who ends a lease, or puts with it, decides about all its keys. */
export function checkLease({ auth, store }: EtcdContext, caller: AuthInfo | undefined, id: bigint | undefined): void {
  if (!auth.state.enabled || (id ?? 0n) === 0n) return;
  for (const key of store.leaseState(leaseIdOf(id))?.keys ?? []) auth.checkWrite(caller, keyRange(key));
}

export const keyRange = (key: string): ByteRange => ({ key: keyToBytes(key).toString("latin1"), end: "" });

const NOTHING = Buffer.alloc(0);
