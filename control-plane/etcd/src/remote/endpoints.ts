import { sleep, type Clock } from "@coracle/base";
import {
  GrpcChannel,
  type CallMetadata,
  type CallSink,
  type ChannelTls,
  type StreamingCall,
} from "../grpc/grpc-channel.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";

/** Answers of a member that cannot help now, though another may: it lost its leader, is stopping, or is too slow. */
const LEADERLESS = /no leader|not leader/;
const ELSEWHERE = /no leader|not leader|leader changed|server stopped|timed out|not capable|raft: stopped/;

/** Asks a member that has lost its leader to say so at once, and to end streams, where it would wait for one in silence. */
const NEEDS_LEADER: CallMetadata = { hasleader: "true" };
/** Between two rounds over members that all wait for a leader. */
const ELECTION_PAUSE_MS = 100;

/** The members of one cluster: calls go to one of them until it fails, then to the next. */
export class Endpoints {
  readonly #channels: readonly GrpcChannel[];
  readonly #clock: Clock;
  #current = 0;

  constructor(urls: readonly URL[], options: { readonly clock: Clock; readonly tls?: ChannelTls | undefined }) {
    this.#clock = options.clock;
    this.#channels = urls.map((url) => new GrpcChannel(url, options));
  }

  get count(): number {
    return this.#channels.length;
  }

  get current(): GrpcChannel {
    return this.#channels[this.#current] as GrpcChannel;
  }

  /** The member did not help: the next call goes to another, unless somebody has moved on already. */
  failed(channel: GrpcChannel): void {
    if (this.current === channel) this.#current = (this.#current + 1) % this.#channels.length;
  }

  /**
   * Calls a method. What only reads is tried on every member once; what writes is tried again only when the request has certainly not
   * been carried out. While no member has a leader, they are asked again until `timeoutMs` have passed.
   */
  async unary(
    path: string,
    message: Uint8Array,
    options: { readonly timeoutMs: number; readonly isRead: boolean },
  ): Promise<Buffer> {
    const { timeoutMs, isRead } = options;
    const startedAt = this.#clock.monotonicMs();
    for (let attempt = 1; ; attempt++) {
      const channel = this.current;
      try {
        return await channel.unary(path, message, { timeoutMs, metadata: NEEDS_LEADER });
      } catch (error) {
        if (!(error instanceof GrpcError) || !isElsewhere(error)) throw error;
        this.failed(channel);
        const isLeaderless = LEADERLESS.test(error.message);
        if (!isRead && error.isSent && !isLeaderless) throw error;
        // A lost connection is opened again once, even when there is only one member.
        if (attempt <= Math.max(1, this.count)) continue;
        if (!isLeaderless || this.#clock.monotonicMs() - startedAt > timeoutMs) throw error;
        await sleep(this.#clock, ELECTION_PAUSE_MS);
      }
    }
  }

  /** Calls a method with many messages both ways, on one member; when that ends it, another is asked next. */
  stream(path: string, sink: CallSink): StreamingCall {
    const channel = this.current;
    let isOurs = false;
    const ended = (error: GrpcError | undefined): void => {
      if (!isOurs) this.failed(channel);
      sink.ended(error);
    };
    const call = channel.stream(path, { message: (bytes) => sink.message(bytes), ended }, NEEDS_LEADER);
    return {
      send: (message) => call.send(message),
      cancel: () => {
        isOurs = true;
        call.cancel();
      },
    };
  }

  close(): void {
    for (const channel of this.#channels) channel.disconnect();
  }
}

/** Whether another member may answer what this one did not. */
export function isElsewhere(error: GrpcError): boolean {
  return (
    error.code === grpcCode.unavailable ||
    error.code === grpcCode.deadlineExceeded ||
    (error.code === grpcCode.unknown && ELSEWHERE.test(error.message))
  );
}
