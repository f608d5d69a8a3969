import type { GrpcHandler } from "../grpc/grpc-server.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import { callerOf } from "./access.ts";
import { headerOf, type EtcdContext } from "./etcd-context.ts";
import { unary } from "./unary.ts";

const notFound = (): GrpcError => new GrpcError(grpcCode.notFound, "etcdserver: member not found");

/** Service etcdserverpb.Cluster: a cluster of this one member, which stays alone. */
export function clusterService(context: EtcdContext): readonly (readonly [string, GrpcHandler])[] {
  const { auth, memberId } = context;
  const self = { ID: memberId, name: context.name, peerURLs: context.peerUrls, clientURLs: context.clientUrls };
  return [
    [
      "/etcdserverpb.Cluster/MemberList",
      unary("etcdserverpb.MemberListRequest", "etcdserverpb.MemberListResponse", () =>
        // As etcd: no revision here.
        Promise.resolve({ header: headerOf(context, 0), members: [self] }),
      ),
    ],
    [
      "/etcdserverpb.Cluster/MemberAdd",
      unary("etcdserverpb.MemberAddRequest", "etcdserverpb.MemberAddResponse", async ({ peerURLs = [] }, call) => {
        auth.checkAdministrator(callerOf(context, call));
        if (peerURLs.length === 0 || peerURLs.some((url) => !URL.canParse(url))) {
          throw new GrpcError(grpcCode.invalidArgument, "etcdserver: given member URLs are invalid");
        }
        if (peerURLs.some((url) => context.peerUrls.includes(url))) {
          throw new GrpcError(grpcCode.failedPrecondition, "etcdserver: Peer URLs already exists");
        }
        throw new GrpcError(
          grpcCode.unimplemented,
          "etcdserver: this server is a single member and cannot be joined; migrate to an etcd cluster instead",
        );
      }),
    ],
    [
      "/etcdserverpb.Cluster/MemberRemove",
      unary("etcdserverpb.MemberRemoveRequest", "etcdserverpb.MemberRemoveResponse", async ({ ID }, call) => {
        auth.checkAdministrator(callerOf(context, call));
        if (ID !== memberId) throw notFound();
        throw new GrpcError(
          grpcCode.failedPrecondition,
          "etcdserver: re-configuration failed due to not enough started members",
        );
      }),
    ],
    [
      "/etcdserverpb.Cluster/MemberUpdate",
      unary("etcdserverpb.MemberUpdateRequest", "etcdserverpb.MemberUpdateResponse", async ({ ID }, call) => {
        auth.checkAdministrator(callerOf(context, call));
        if (ID !== memberId) throw notFound();
        throw new GrpcError(grpcCode.unimplemented, "etcdserver: the address of a single member is set by its flags");
      }),
    ],
    [
      "/etcdserverpb.Cluster/MemberPromote",
      unary("etcdserverpb.MemberPromoteRequest", "etcdserverpb.MemberPromoteResponse", async ({ ID }, call) => {
        auth.checkAdministrator(callerOf(context, call));
        if (ID !== memberId) throw notFound();
        throw new GrpcError(grpcCode.failedPrecondition, "etcdserver: can only promote a learner member");
      }),
    ],
  ];
}
