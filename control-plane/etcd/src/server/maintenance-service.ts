import { open, rm } from "node:fs/promises";
import { loadEtcdCodec } from "@coracle/api";
import type * as etcd from "@coracle/api/etcd";
import { drained } from "../grpc/drained.ts";
import type { GrpcHandler, ServerCall, ServerSink } from "../grpc/grpc-server.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import { crc32c } from "../snapshot/crc32c.ts";
import { hashKeyValues } from "../snapshot/hash-kv.ts";
import { withChecksum, writeSnapshot } from "../snapshot/snapshot-file.ts";
import { callerOf } from "./access.ts";
import { toStatus } from "./etcd-error.ts";
import { ETCD_VERSION, headerOf, type EtcdContext } from "./etcd-context.ts";
import { unary } from "./unary.ts";

const STORAGE_VERSION = "3.6.0";
const CLUSTER_VERSION = "3.6.0";
/** The version before: what a cluster of this one may go down to. */
const LOWER_VERSION = "3.5.0";
const SNAPSHOT_PIECE_BYTES = 32 * 1024;

/** What `Maintenance/Status` and its JSON twin answer. */
export async function statusOf(context: EtcdContext): Promise<etcd.StatusResponse> {
  const { store, alarms, memberId } = context;
  const revision = await store.revision();
  const { totalBytes, usedBytes } = await store.size();
  const header = headerOf(context, revision);
  return {
    header,
    version: ETCD_VERSION,
    dbSize: BigInt(totalBytes),
    dbSizeInUse: BigInt(usedBytes),
    leader: memberId,
    // One member has no raft log: its revision is how far it is.
    raftIndex: BigInt(revision),
    raftAppliedIndex: BigInt(revision),
    raftTerm: header.raftTerm,
    errors: alarms.active.map((alarm) => `memberID:${memberId} alarm:${alarm} `),
    storageVersion: STORAGE_VERSION,
    dbSizeQuota: alarms.quotaBytes === Infinity ? 0n : BigInt(alarms.quotaBytes),
    downgradeInfo: { enabled: false },
  };
}

/** Service etcdserverpb.Maintenance. */
export function maintenanceService(context: EtcdContext): readonly (readonly [string, GrpcHandler])[] {
  const { auth, store } = context;
  return [
    [
      "/etcdserverpb.Maintenance/Status",
      unary("etcdserverpb.StatusRequest", "etcdserverpb.StatusResponse", async (_, call) => {
        auth.checkKnown(callerOf(context, call));
        return statusOf(context);
      }),
    ],
    [
      "/etcdserverpb.Maintenance/Alarm",
      unary("etcdserverpb.AlarmRequest", "etcdserverpb.AlarmResponse", async (request, call) => {
        const caller = callerOf(context, call);
        if (request.action === "GET") auth.checkKnown(caller);
        else auth.checkAdministrator(caller);
        return { alarms: await alarm(context, request), header: headerOf(context, await store.revision()) };
      }),
    ],
    [
      "/etcdserverpb.Maintenance/Defragment",
      unary("etcdserverpb.DefragmentRequest", "etcdserverpb.DefragmentResponse", async (_, call) => {
        auth.checkAdministrator(callerOf(context, call));
        await store.defragment();
        return { header: headerOf(context, await store.revision()) };
      }),
    ],
    [
      "/etcdserverpb.Maintenance/Hash",
      unary("etcdserverpb.HashRequest", "etcdserverpb.HashResponse", async (_, call) => {
        auth.checkAdministrator(callerOf(context, call));
        using view = store.view();
        const { hash } = await hashKeyValues(view, 0);
        const rest = JSON.stringify([
          ...view.settings,
          ...view.leases.map(({ id, ttlSeconds }) => [String(id), ttlSeconds]),
        ]);
        return { header: headerOf(context, view.revision), hash: crc32c(hash, Buffer.from(rest)) };
      }),
    ],
    [
      "/etcdserverpb.Maintenance/HashKV",
      unary("etcdserverpb.HashKVRequest", "etcdserverpb.HashKVResponse", async (request, call) => {
        auth.checkAdministrator(callerOf(context, call));
        using view = store.view();
        const { hash, revision, compacted } = await hashKeyValues(view, Number(request.revision ?? 0n));
        return {
          header: headerOf(context, view.revision),
          hash,
          // etcd says -1 as long as nothing was compacted.
          compactRevision: BigInt(compacted === 0 ? -1 : compacted),
          hashRevision: BigInt(revision),
        };
      }),
    ],
    ["/etcdserverpb.Maintenance/Snapshot", { type: "stream", handle: (call) => snapshot(context, call) }],
    [
      "/etcdserverpb.Maintenance/MoveLeader",
      unary("etcdserverpb.MoveLeaderRequest", "etcdserverpb.MoveLeaderResponse", async ({ targetID }, call) => {
        auth.checkAdministrator(callerOf(context, call));
        // To itself, the leader moves without doing anything.
        if (targetID === context.memberId) return { header: headerOf(context, await store.revision()) };
        throw new GrpcError(grpcCode.failedPrecondition, "etcdserver: bad leader transferee");
      }),
    ],
    [
      "/etcdserverpb.Maintenance/Downgrade",
      unary("etcdserverpb.DowngradeRequest", "etcdserverpb.DowngradeResponse", async (request, call) => {
        auth.checkAdministrator(callerOf(context, call));
        return downgrade(context, request);
      }),
    ],
  ];
}

async function alarm({ alarms, memberId }: EtcdContext, request: etcd.AlarmRequest): Promise<etcd.AlarmMember[]> {
  const named = (names: readonly etcd.AlarmType[]): etcd.AlarmMember[] =>
    names.map((name) => ({ memberID: memberId, alarm: name }));
  const { action = "GET", alarm: type = "NONE" } = request;
  if (action === "GET") return named(alarms.active.filter((each) => type === "NONE" || each === type));
  if (action === "ACTIVATE") {
    if (type === "NONE") return [];
    await alarms.raise(type);
    return named([type]);
  }
  if (type === "NONE" || !alarms.active.includes(type)) return [];
  await alarms.disarm(type);
  return named([type]);
}

/** This server has one version and keeps to it: what may be asked is answered, going down is not possible. */
async function downgrade(context: EtcdContext, request: etcd.DowngradeRequest): Promise<etcd.DowngradeResponse> {
  if (request.action === "CANCEL") {
    throw new GrpcError(grpcCode.failedPrecondition, "etcdserver: no inflight downgrade job");
  }
  const [, major, minor] = /^(\d+)\.(\d+)(?:\.\d+)?$/.exec(request.version ?? "") ?? [];
  if (major === undefined) {
    throw new GrpcError(grpcCode.invalidArgument, "etcdserver: wrong downgrade target version format");
  }
  if (`${major}.${minor}.0` !== LOWER_VERSION) {
    throw new GrpcError(grpcCode.invalidArgument, "etcdserver: invalid downgrade target version");
  }
  if (request.action === "ENABLE") throw new GrpcError(grpcCode.failedPrecondition, "etcdserver: not capable");
  return { header: headerOf(context, await context.store.revision()), version: CLUSTER_VERSION };
}

/** Sends a data file of etcd and its checksum, as of the moment of the call; writers go on meanwhile. */
function snapshot(context: EtcdContext, call: ServerCall): ServerSink {
  const gate = drained();
  const send = async (): Promise<void> => {
    context.auth.checkAdministrator(callerOf(context, call));
    const path = context.temporaryFile();
    const file = await open(path, "wx+", 0o600);
    try {
      // Gone with the last one who has it open.
      await rm(path);
      {
        using view = context.store.view();
        await writeSnapshot(file, view);
      }
      let remaining = (await file.stat()).size;
      for await (const chunk of withChecksum(file)) {
        for (let at = 0; at < chunk.length; at += SNAPSHOT_PIECE_BYTES) {
          call.signal.throwIfAborted();
          const blob = chunk.subarray(at, at + SNAPSHOT_PIECE_BYTES);
          remaining = Math.max(0, remaining - blob.length);
          const piece = { remainingBytes: BigInt(remaining), blob, version: STORAGE_VERSION };
          const hasRoom = call.send(loadEtcdCodec().encode("etcdserverpb.SnapshotResponse", piece));
          if (!hasRoom) await gate.wait(call.signal);
        }
      }
      call.end();
    } finally {
      await file.close();
    }
  };
  return {
    message: () => void send().catch((error: unknown) => call.end(toStatus(error))),
    ended: () => undefined,
    drained: gate.open,
  };
}
