import type { GrpcHandler } from "../grpc/grpc-server.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import { keyFromBytes, keyToBytes } from "../store/key-text.ts";
import { callerOf, rangeOf } from "./access.ts";
import { headerOf, type EtcdContext } from "./etcd-context.ts";
import { takePlace, untilFirst } from "./prefix-queue.ts";
import { unary } from "./unary.ts";
import { leaseIdOf } from "./wire.ts";

/** Service v3lockpb.Lock: a name belongs to the lease that asked first, until it unlocks or ends. */
export function lockService(context: EtcdContext): readonly (readonly [string, GrpcHandler])[] {
  const { store, auth } = context;
  return [
    [
      "/v3lockpb.Lock/Lock",
      unary("v3lockpb.LockRequest", "v3lockpb.LockResponse", async (request, call) => {
        const wanted = { name: request.name, lease: leaseIdOf(request.lease), value: Buffer.alloc(0) };
        const { key, rank } = await takePlace(context, callerOf(context, call), wanted);
        try {
          const revision = await untilFirst(store, request.name, rank, call.signal);
          if ((await store.range({ key })).count === 0)
            throw new GrpcError(grpcCode.unknown, "mutex: session is expired");
          return { header: headerOf(context, revision), key: keyToBytes(key) };
        } catch (error) {
          // Who waits no longer holds up nobody.
          await store.txn({ compare: [], success: [{ type: "delete", key }] });
          throw error;
        }
      }),
    ],
    [
      "/v3lockpb.Lock/Unlock",
      unary("v3lockpb.UnlockRequest", "v3lockpb.UnlockResponse", async ({ key = Buffer.alloc(0) }, call) => {
        auth.checkWrite(callerOf(context, call), rangeOf({ key }));
        const { revision } = await store.txn({ compare: [], success: [{ type: "delete", key: keyFromBytes(key) }] });
        return { header: headerOf(context, revision) };
      }),
    ],
  ];
}
