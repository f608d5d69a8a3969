import { loadEtcdCodec } from "@coracle/api";
import type * as etcd from "@coracle/api/etcd";
import type { GrpcHandler, ServerCall, ServerSink } from "../grpc/grpc-server.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";
import { keyFromBytes, keyToBytes } from "../store/key-text.ts";
import type { Op } from "../store/store.ts";
import { callerOf, keyRange } from "./access.ts";
import type { AuthInfo } from "../auth/auth-store.ts";
import { toStatus } from "./etcd-error.ts";
import { headerOf, type EtcdContext } from "./etcd-context.ts";
import { checkReadable, firstPlace, rangeOfName, takePlace, untilChanged, untilFirst } from "./prefix-queue.ts";
import { decode, unary } from "./unary.ts";
import { fromKeyValue, leaseIdOf } from "./wire.ts";

const NOTHING = Buffer.alloc(0);
const refusal = (text: string): GrpcError => new GrpcError(grpcCode.unknown, text);

/** Service v3electionpb.Election: the leader of a name is who campaigned first of those who are left. */
export function electionService(context: EtcdContext): readonly (readonly [string, GrpcHandler])[] {
  const { store } = context;
  return [
    [
      "/v3electionpb.Election/Campaign",
      unary("v3electionpb.CampaignRequest", "v3electionpb.CampaignResponse", async (request, call) => {
        const { name, value = NOTHING } = request;
        const caller = callerOf(context, call);
        const { key, lease, rank, existing } = await takePlace(context, caller, {
          name,
          lease: leaseIdOf(request.lease),
          value,
        });
        if (existing !== undefined && !existing.value.equals(value)) {
          await asLeader(
            context,
            caller,
            { key: keyToBytes(key), rev: BigInt(rank) },
            { type: "put", key, value, lease },
          );
        }
        try {
          const revision = await untilFirst(store, name, rank, call.signal);
          return {
            header: headerOf(context, revision),
            leader: { name, key: keyToBytes(key), rev: BigInt(rank), lease: BigInt(lease) },
          };
        } catch (error) {
          await store.txn({ compare: [], success: [{ type: "delete", key }] });
          throw error;
        }
      }),
    ],
    [
      "/v3electionpb.Election/Proclaim",
      unary(
        "v3electionpb.ProclaimRequest",
        "v3electionpb.ProclaimResponse",
        async ({ leader, value = NOTHING }, call) => {
          const key = keyFromBytes(leader?.key ?? NOTHING);
          const put: Op = { type: "put", key, value, lease: leaseIdOf(leader?.lease) };
          const revision = await asLeader(context, callerOf(context, call), leader, put);
          if (revision === undefined) throw refusal("election: not leader");
          return { header: headerOf(context, revision) };
        },
      ),
    ],
    [
      "/v3electionpb.Election/Leader",
      unary("v3electionpb.LeaderRequest", "v3electionpb.LeaderResponse", async ({ name }, call) => {
        checkReadable(context, callerOf(context, call), name);
        const leader = await firstPlace(store, name);
        if (leader === undefined) throw refusal("election: no leader");
        return { header: headerOf(context, await store.revision()), kv: fromKeyValue(leader) };
      }),
    ],
    ["/v3electionpb.Election/Observe", { type: "stream", handle: (call) => observe(context, call) }],
    [
      "/v3electionpb.Election/Resign",
      unary("v3electionpb.ResignRequest", "v3electionpb.ResignResponse", async ({ leader }, call) => {
        const remove: Op = { type: "delete", key: keyFromBytes(leader?.key ?? NOTHING) };
        const revision = await asLeader(context, callerOf(context, call), leader, remove);
        return { header: headerOf(context, revision ?? (await store.revision())) };
      }),
    ],
  ];
}

/** Does something if the leader is still who it was; undefined: it is not. */
async function asLeader(
  { store, auth }: EtcdContext,
  caller: AuthInfo | undefined,
  leader: etcd.LeaderKey | undefined,
  op: Op,
): Promise<number | undefined> {
  if (leader?.key === undefined) throw refusal('"leader" field must be provided');
  const key = keyFromBytes(leader.key);
  auth.checkWrite(caller, keyRange(key));
  const compare = [{ key, target: "create", op: "=", value: Number(leader.rev ?? 0n) }] as const;
  const { succeeded, revision } = await store.txn({ compare, success: [op] });
  return succeeded ? revision : undefined;
}

/** Tells the leader of a name, and each one, and each of its values, after. */
function observe(context: EtcdContext, call: ServerCall): ServerSink {
  const { store } = context;
  const follow = async ({ name }: etcd.LeaderRequest): Promise<void> => {
    checkReadable(context, callerOf(context, call), name);
    let told = 0;
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop
      const revision = await store.revision();
      // oxlint-disable-next-line no-await-in-loop
      const leader = await firstPlace(store, name);
      if (leader !== undefined && leader.modRevision !== told) {
        told = leader.modRevision;
        const answer = { header: headerOf(context, revision), kv: fromKeyValue(leader) };
        call.send(loadEtcdCodec().encode("v3electionpb.LeaderResponse", answer));
      }
      // oxlint-disable-next-line no-await-in-loop
      await untilChanged(store, { ...rangeOfName(name), startRevision: revision + 1 }, call.signal, () => true);
    }
  };
  return {
    message: (bytes) =>
      void follow(decode("v3electionpb.LeaderRequest", bytes)).catch((error: unknown) => call.end(toStatus(error))),
    ended: () => undefined,
  };
}
