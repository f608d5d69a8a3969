import { loadEtcdCodec } from "@coracle/api";
import type { GrpcHandler, ServerCall, ServerSink } from "../grpc/grpc-server.ts";
import { keyToBytes } from "../store/key-text.ts";
import { StoreError } from "../store/store.ts";
import { callerOf, checkLease, keyRange } from "./access.ts";
import { leaseCost } from "./alarms.ts";
import { toStatus } from "./etcd-error.ts";
import { headerOf, type EtcdContext } from "./etcd-context.ts";
import { decode, unary } from "./unary.ts";
import { leaseIdOf } from "./wire.ts";

const LONGEST_TTL_SECONDS = 9_000_000_000;

/** Service etcdserverpb.Lease. */
export function leaseService(context: EtcdContext): readonly (readonly [string, GrpcHandler])[] {
  const { store } = context;
  return [
    [
      "/etcdserverpb.Lease/LeaseGrant",
      unary("etcdserverpb.LeaseGrantRequest", "etcdserverpb.LeaseGrantResponse", async (request, call) => {
        callerOf(context, call);
        await context.alarms.checkRoom(leaseCost);
        const ttl = Number(request.TTL ?? 0n);
        if (ttl > LONGEST_TTL_SECONDS) throw new StoreError("invalidRequest", "etcdserver: too large lease TTL");
        const seconds = Math.max(1, ttl);
        const id = await store.grantLease(seconds, leaseIdOf(request.ID));
        return { header: headerOf(context, await store.revision()), ID: BigInt(id), TTL: BigInt(seconds) };
      }),
    ],
    [
      "/etcdserverpb.Lease/LeaseRevoke",
      unary("etcdserverpb.LeaseRevokeRequest", "etcdserverpb.LeaseRevokeResponse", async (request, call) => {
        context.alarms.checkSound();
        checkLease(context, callerOf(context, call), request.ID);
        await store.revokeLease(leaseIdOf(request.ID));
        return { header: headerOf(context, await store.revision()) };
      }),
    ],
    ["/etcdserverpb.Lease/LeaseKeepAlive", { type: "stream", handle: (call) => keepAlive(context, call) }],
    [
      "/etcdserverpb.Lease/LeaseTimeToLive",
      unary("etcdserverpb.LeaseTimeToLiveRequest", "etcdserverpb.LeaseTimeToLiveResponse", async (request, call) => {
        const caller = callerOf(context, call);
        context.auth.checkKnown(caller);
        const header = headerOf(context, await store.revision());
        const lease = store.leaseState(leaseIdOf(request.ID));
        if (lease === undefined) return { header, ID: request.ID, TTL: -1n };
        if (request.keys === true && !context.auth.isAdministrator(caller)) {
          for (const key of lease.keys) context.auth.checkRead(caller, keyRange(key));
        }
        return {
          header,
          ID: request.ID,
          TTL: BigInt(lease.remainingSeconds),
          grantedTTL: BigInt(lease.ttlSeconds),
          keys: request.keys === true ? lease.keys.map((key) => keyToBytes(key)) : undefined,
        };
      }),
    ],
    [
      "/etcdserverpb.Lease/LeaseLeases",
      unary("etcdserverpb.LeaseLeasesRequest", "etcdserverpb.LeaseLeasesResponse", async (_, call) => {
        const caller = callerOf(context, call);
        context.auth.checkKnown(caller);
        const ids = store.leases();
        if (!context.auth.isAdministrator(caller)) {
          for (const id of ids) {
            for (const key of store.leaseState(id)?.keys ?? []) context.auth.checkRead(caller, keyRange(key));
          }
        }
        return { header: headerOf(context, await store.revision()), leases: ids.map((id) => ({ ID: BigInt(id) })) };
      }),
    ],
  ];
}

/** One answer a message, in order. A lease that has ended is answered with a TTL of 0. */
function keepAlive(context: EtcdContext, call: ServerCall): ServerSink {
  const { store } = context;
  let last: Promise<void> = Promise.resolve();
  const renew = async (bytes: Buffer): Promise<void> => {
    const { ID } = decode("etcdserverpb.LeaseKeepAliveRequest", bytes);
    let ttl = 0;
    try {
      const lease = leaseIdOf(ID);
      if (!context.auth.isAdministrator(callerOf(context, call))) checkLease(context, callerOf(context, call), ID);
      await store.keepLeaseAlive(lease);
      ttl = store.leaseState(lease)?.ttlSeconds ?? 0;
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "leaseNotFound") throw error;
    }
    const header = headerOf(context, await store.revision());
    call.send(loadEtcdCodec().encode("etcdserverpb.LeaseKeepAliveResponse", { header, ID, TTL: BigInt(ttl) }));
  };
  return {
    message(bytes) {
      last = last.then(() => renew(bytes)).catch((error: unknown) => call.end(toStatus(error)));
    },
    ended() {
      void last.then(() => call.end());
    },
  };
}
