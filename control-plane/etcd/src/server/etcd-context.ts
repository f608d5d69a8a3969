import type * as etcd from "@coracle/api/etcd";
import type { Clock, Logger } from "@coracle/base";
import type { AuthStore } from "../auth/auth-store.ts";
import type { Engine } from "../engine/engine.ts";
import type { Revision } from "../store/store.ts";
import type { Alarms } from "./alarms.ts";

/** The version of etcd whose API this is, as clients are told. */
export const ETCD_VERSION = "3.6.13";

/** What all services of one server share. */
export interface EtcdContext {
  readonly store: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly name: string;
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly clientUrls: readonly string[];
  readonly peerUrls: readonly string[];
  readonly alarms: Alarms;
  /** A name for a file that is not there yet, where there is room for a copy of the data. */
  readonly temporaryFile: () => string;
  readonly auth: AuthStore;
}

/** A single member is its own leader for ever. */
const TERM = 2n;

/** What each answer begins with. */
export const headerOf = (context: EtcdContext, revision: Revision): etcd.ResponseHeader => ({
  clusterId: context.clusterId,
  memberId: context.memberId,
  revision: BigInt(revision),
  raftTerm: TERM,
});
