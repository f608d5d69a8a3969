import { loadEtcdCodec } from "@coracle/api";
import type * as etcd from "@coracle/api/etcd";
import { systemRandom, type Clock, type Random } from "@coracle/base";
import type { ChannelTls } from "../grpc/grpc-channel.ts";
import { keyToBytes } from "../store/key-text.ts";
import {
  StoreError,
  type LeaseId,
  type RangeRequest,
  type RangeResult,
  type Revision,
  type Store,
  type TxnRequest,
  type TxnResult,
  type WatchHandle,
  type WatchRequest,
  type WatchSink,
} from "../store/store.ts";
import { Endpoints } from "./endpoints.ts";
import { fromRange, fromTxn, revisionIn, toOpResult, toRangeResult, toStoreError } from "./messages.ts";
import { RemoteWatch } from "./remote-watch.ts";

const TIMEOUT_MS = 10_000;
/** How long events may take before somebody asks for them. */
const CATCH_UP_MS = 10;
/** The port's lease ids are numbers, so we choose them: etcd's own are larger than a number can tell exactly. */
const MAX_LEASE_ID = 2 ** 47;

export interface RemoteStoreOptions {
  /** Client URLs of the members, `http://` or `https://`. */
  readonly endpoints: readonly string[];
  readonly tls?: ChannelTls | undefined;
  readonly clock: Clock;
  readonly random?: Random | undefined;
}

/** The store of an etcd v3 cluster, spoken to by gRPC. */
export function createRemoteStore(options: RemoteStoreOptions): Store {
  return new RemoteStore(options);
}

class RemoteStore implements Store {
  readonly isShared = true;
  readonly #endpoints: Endpoints;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #watches = new Set<{ readonly watch: RemoteWatch; readonly sink: WatchSink }>();
  readonly #underWay = new Set<Promise<Buffer>>();
  #highest: Revision = 0;
  #isCatchingUp = false;
  #isProgressSafe: Promise<boolean> | undefined;
  #closed = false;

  constructor({ endpoints, tls, clock, random = systemRandom }: RemoteStoreOptions) {
    const urls = endpoints.map((endpoint) => new URL(endpoint));
    this.#endpoints = new Endpoints(urls, { clock, tls });
    this.#clock = clock;
    this.#random = random;
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    const answer = await this.#call("KV/Range", "RangeRequest", "RangeResponse", fromRange(request), true);
    return toRangeResult(answer, this.#see(answer));
  }

  async txn(request: TxnRequest): Promise<TxnResult> {
    const answer = await this.#call("KV/Txn", "TxnRequest", "TxnResponse", fromTxn(request), false);
    const revision = this.#see(answer);
    const results = (answer.responses ?? []).map((result) => toOpResult(result, revision));
    return { succeeded: answer.succeeded === true, revision, results };
  }

  async watch(request: WatchRequest, sink: WatchSink): Promise<WatchHandle> {
    this.#checkOpen();
    const watch = new RemoteWatch({
      endpoints: this.#endpoints,
      clock: this.#clock,
      request,
      sink,
      onEnd: () => this.#watches.delete(entry),
    });
    const entry = { watch, sink };
    this.#watches.add(entry);
    const startedAt = await watch.begin();
    return { startedAt, [Symbol.dispose]: () => watch.end() };
  }

  async revision(): Promise<Revision> {
    return (await this.range({ key: "\0", countOnly: true })).revision;
  }

  async grantLease(ttlSeconds: number, wanted: LeaseId = 0): Promise<LeaseId> {
    const id = wanted === 0 ? 1 + Math.floor(this.#random.next() * MAX_LEASE_ID) : wanted;
    const message = { TTL: BigInt(ttlSeconds), ID: BigInt(id) };
    await this.#call("Lease/LeaseGrant", "LeaseGrantRequest", "LeaseGrantResponse", message, false);
    return id;
  }

  keepLeaseAlive(lease: LeaseId): Promise<void> {
    this.#checkOpen();
    const codec = loadEtcdCodec();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(TIMEOUT_MS, () => call.cancel());
      const call = this.#endpoints.stream("/etcdserverpb.Lease/LeaseKeepAlive", {
        message: (bytes) => {
          const { TTL = 0n } = codec.decode("etcdserverpb.LeaseKeepAliveResponse", bytes);
          if (TTL > 0n) resolve();
          else reject(new StoreError("leaseNotFound", "etcdserver: requested lease not found"));
          call.cancel();
        },
        ended: (error) => {
          timer[Symbol.dispose]();
          reject(toStoreError(error ?? new StoreError("unavailable", "no answer to a keep-alive")));
        },
      });
      call.send(codec.encode("etcdserverpb.LeaseKeepAliveRequest", { ID: BigInt(lease) }));
    });
  }

  async revokeLease(lease: LeaseId): Promise<void> {
    const message = { ID: BigInt(lease) };
    await this.#call("Lease/LeaseRevoke", "LeaseRevokeRequest", "LeaseRevokeResponse", message, false);
  }

  async compact(revision: Revision): Promise<void> {
    const message = { revision: BigInt(revision) };
    await this.#call("KV/Compact", "CompactionRequest", "CompactionResponse", message, false);
  }

  async size(): Promise<{ readonly totalBytes: number; readonly usedBytes: number }> {
    const status = await this.#call("Maintenance/Status", "StatusRequest", "StatusResponse", {}, true);
    return { totalBytes: Number(status.dbSize ?? 0), usedBytes: Number(status.dbSizeInUse ?? 0) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#underWay);
    for (const { watch } of this.#watches) watch.end(new StoreError("closed", "the store is closed"));
    this.#endpoints.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError("closed", "the store is closed");
  }

  /** Remembers how far the store is, so that watches that hear of nothing learn it too. */
  #see(answer: { readonly header?: etcd.ResponseHeader | undefined }): Revision {
    const revision = revisionIn(answer);
    if (revision > this.#highest) this.#highest = revision;
    if (!this.#isCatchingUp && this.#behind().length > 0) {
      this.#isCatchingUp = true;
      this.#clock.after(CATCH_UP_MS, () => void this.#catchUp());
    }
    return revision;
  }

  #behind(): RemoteWatch[] {
    return [...this.#watches].map(({ watch }) => watch).filter((watch) => watch.isBehind(this.#highest));
  }

  /** Events come on their own; only who hears of none must ask how far the store is. */
  async #catchUp(): Promise<void> {
    this.#isCatchingUp = false;
    try {
      this.#isProgressSafe ??= this.#call("Maintenance/Status", "StatusRequest", "StatusResponse", {}, true).then(
        ({ version = "" }) => tellsProgressSafely(version),
      );
      const isSafe = await this.#isProgressSafe;
      for (const watch of this.#behind()) {
        if (isSafe) watch.requestProgress();
        // oxlint-disable-next-line no-await-in-loop
        else await this.#nudge(watch.nudgeKey);
      }
    } catch {
      // The next answer of the cluster tries again.
      this.#isProgressSafe = undefined;
    }
  }

  async #nudge(key: string): Promise<void> {
    const message = { key: keyToBytes(key), value: Buffer.alloc(0) };
    await this.#call("KV/Put", "PutRequest", "PutResponse", message, false);
  }

  async #call<Request extends MessageName, Response extends MessageName>(
    method: string,
    requestName: Request,
    responseName: Response,
    message: Message<Request>,
    isRead: boolean,
  ): Promise<Message<Response>> {
    this.#checkOpen();
    const codec = loadEtcdCodec();
    const request = codec.encode(
      `etcdserverpb.${requestName}`,
      message as etcd.EtcdMessages[`etcdserverpb.${Request}`],
    );
    const answer = this.#endpoints.unary(`/etcdserverpb.${method}`, request, { timeoutMs: TIMEOUT_MS, isRead });
    this.#underWay.add(answer);
    try {
      return codec.decode(`etcdserverpb.${responseName}`, await answer) as Message<Response>;
    } catch (error) {
      throw toStoreError(error);
    } finally {
      this.#underWay.delete(answer);
    }
  }
}

/**
 * Whether a server of this version answers a progress request after the events that it speaks of. Older ones may answer before (etcd
 * issue 15220), so that a watcher would take for delivered what is still to come.
 */
export function tellsProgressSafely(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  if (major !== 3) return major > 3;
  if (minor === 4) return patch >= 25;
  if (minor === 5) return patch >= 8;
  return minor > 5;
}

type ServerMessages = {
  [
    Name in keyof etcd.EtcdMessages as Name extends `etcdserverpb.${infer Short}` ? Short : never
  ]: etcd.EtcdMessages[Name];
};
type MessageName = keyof ServerMessages;
type Message<Name extends MessageName> = ServerMessages[Name];
