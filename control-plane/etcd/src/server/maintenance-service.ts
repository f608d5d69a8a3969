import type * as etcd from "@coracle/api/etcd";
import type { GrpcHandler } from "../grpc/grpc-server.ts";
import { ETCD_VERSION, headerOf, type EtcdContext } from "./etcd-context.ts";
import { unary } from "./unary.ts";

const STORAGE_VERSION = "3.6.0";

/** What `Maintenance/Status` and its JSON twin answer. */
export async function statusOf(context: EtcdContext): Promise<etcd.StatusResponse> {
  const { store } = context;
  const revision = await store.revision();
  const { totalBytes, usedBytes } = await store.size();
  const header = headerOf(context, revision);
  return {
    header,
    version: ETCD_VERSION,
    dbSize: BigInt(totalBytes),
    dbSizeInUse: BigInt(usedBytes),
    leader: context.memberId,
    // One member has no raft log: its revision is how far it is.
    raftIndex: BigInt(revision),
    raftAppliedIndex: BigInt(revision),
    raftTerm: header.raftTerm,
    storageVersion: STORAGE_VERSION,
    dbSizeQuota: BigInt(context.quotaBytes),
  };
}

/** Service etcdserverpb.Maintenance: as far as it is here. */
export function maintenanceService(context: EtcdContext): readonly (readonly [string, GrpcHandler])[] {
  return [
    [
      "/etcdserverpb.Maintenance/Status",
      unary("etcdserverpb.StatusRequest", "etcdserverpb.StatusResponse", () => statusOf(context)),
    ],
    [
      "/etcdserverpb.Maintenance/Alarm",
      unary("etcdserverpb.AlarmRequest", "etcdserverpb.AlarmResponse", async () => ({
        header: headerOf(context, await context.store.revision()),
      })),
    ],
  ];
}

/** Service etcdserverpb.Cluster: a cluster of this one member. */
export function clusterService(context: EtcdContext): readonly (readonly [string, GrpcHandler])[] {
  return [
    [
      "/etcdserverpb.Cluster/MemberList",
      unary("etcdserverpb.MemberListRequest", "etcdserverpb.MemberListResponse", async () => ({
        header: headerOf(context, await context.store.revision()),
        members: [
          {
            ID: context.memberId,
            name: context.name,
            peerURLs: context.peerUrls,
            clientURLs: context.clientUrls,
          },
        ],
      })),
    ],
  ];
}
