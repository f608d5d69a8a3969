import { loadEtcdCodec } from "@coracle/api";
import type { Clock } from "@coracle/base";
import { GrpcChannel, type ChannelTls } from "../grpc/grpc-channel.ts";
import type { LeaseId } from "../store/store.ts";
import { toStoreError } from "../remote/messages.ts";

const TIMEOUT_MS = 10_000;

/** A member of a cluster, for what the port does not have. */
export class RemoteMember implements Disposable {
  readonly #channel: GrpcChannel;

  constructor(endpoint: string, options: { readonly clock: Clock; readonly tls?: ChannelTls | undefined }) {
    this.#channel = new GrpcChannel(new URL(endpoint), options);
  }

  /** Seconds that a lease has left; undefined: it is gone. */
  async secondsLeft(lease: LeaseId): Promise<number | undefined> {
    const request = loadEtcdCodec().encode("etcdserverpb.LeaseTimeToLiveRequest", { ID: BigInt(lease) });
    const answer = await this.#channel.unary("/etcdserverpb.Lease/LeaseTimeToLive", request, { timeoutMs: TIMEOUT_MS });
    const { TTL = 0n } = loadEtcdCodec().decode("etcdserverpb.LeaseTimeToLiveResponse", answer);
    return TTL < 0n ? undefined : Number(TTL);
  }

  /** The parts of a snapshot with its checksum, as they come. */
  async *snapshot(): AsyncGenerator<Buffer> {
    const parts: Buffer[] = [];
    let isOver = false;
    let failure: unknown;
    let wake = (): void => {};
    const call = this.#channel.stream("/etcdserverpb.Maintenance/Snapshot", {
      message(bytes) {
        parts.push(loadEtcdCodec().decode("etcdserverpb.SnapshotResponse", bytes).blob ?? Buffer.alloc(0));
        wake();
      },
      ended(error) {
        isOver = true;
        failure = error;
        wake();
      },
    });
    call.send(Buffer.alloc(0));
    try {
      for (;;) {
        const part = parts.shift();
        if (part !== undefined) yield part;
        else if (isOver) break;
        // oxlint-disable-next-line no-await-in-loop
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      call.cancel();
    }
    if (failure !== undefined) throw toStoreError(failure);
  }

  [Symbol.dispose](): void {
    this.#channel.disconnect();
  }
}
