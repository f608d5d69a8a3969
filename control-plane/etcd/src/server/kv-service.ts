import type { GrpcHandler } from "../grpc/grpc-server.ts";
import { callerOf, checkDelete, checkPut, checkTxn, rangeOf } from "./access.ts";
import { putCost, txnCost } from "./alarms.ts";
import { headerOf, type EtcdContext } from "./etcd-context.ts";
import { unary } from "./unary.ts";
import { arrange, deleteResponse, fromResults, putResponse, toDelete, toPut, toRange, toTxn } from "./wire.ts";

/** Service etcdserverpb.KV. */
export function kvService(context: EtcdContext): readonly (readonly [string, GrpcHandler])[] {
  const { store } = context;
  return [
    [
      "/etcdserverpb.KV/Range",
      unary("etcdserverpb.RangeRequest", "etcdserverpb.RangeResponse", async (request, call) => {
        context.alarms.checkSound();
        context.auth.checkRead(callerOf(context, call), rangeOf(request));
        const result = await store.range(toRange(request));
        return { header: headerOf(context, result.revision), ...arrange(request, result) };
      }),
    ],
    [
      "/etcdserverpb.KV/Put",
      unary("etcdserverpb.PutRequest", "etcdserverpb.PutResponse", async (request, call) => {
        checkPut(context, callerOf(context, call), request);
        await context.alarms.checkRoom(putCost(request));
        const { revision, results } = await store.txn({ compare: [], success: [toPut(request)] });
        const [result] = results;
        const previous = result?.type === "put" ? result.previous : undefined;
        return { header: headerOf(context, revision), ...putResponse(request, previous) };
      }),
    ],
    [
      "/etcdserverpb.KV/DeleteRange",
      unary("etcdserverpb.DeleteRangeRequest", "etcdserverpb.DeleteRangeResponse", async (request, call) => {
        context.alarms.checkSound();
        checkDelete(context, callerOf(context, call), request);
        const { revision, results } = await store.txn({ compare: [], success: [toDelete(request)] });
        const [result] = results;
        return {
          header: headerOf(context, revision),
          ...deleteResponse(request, result?.type === "delete" ? result.deleted : []),
        };
      }),
    ],
    [
      "/etcdserverpb.KV/Txn",
      unary("etcdserverpb.TxnRequest", "etcdserverpb.TxnResponse", async (request, call) => {
        checkTxn(context, callerOf(context, call), request);
        await context.alarms.checkRoom(txnCost(request));
        const { succeeded, revision, results } = await store.txn(toTxn(request));
        return fromResults(request, succeeded, results, headerOf(context, revision));
      }),
    ],
    [
      "/etcdserverpb.KV/Compact",
      unary("etcdserverpb.CompactionRequest", "etcdserverpb.CompactionResponse", async (request, call) => {
        context.alarms.checkSound();
        context.auth.checkAdministrator(callerOf(context, call));
        await store.compact(Number(request.revision ?? 0n));
        return { header: headerOf(context, await store.revision()) };
      }),
    ],
  ];
}
