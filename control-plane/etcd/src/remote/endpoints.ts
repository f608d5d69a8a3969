import type { Clock } from "@coracle/base";
import { GrpcChannel, type ChannelTls } from "../grpc/grpc-channel.ts";
import { GrpcError, grpcCode } from "../grpc/grpc-error.ts";

/** Answers of a member that cannot help now, though another may: it lost its leader, is stopping, or is too slow. */
const ELSEWHERE = /no leader|not leader|leader changed|server stopped|timed out|not capable|raft: stopped/;

/** The members of one cluster: calls go to one of them until it fails, then to the next. */
export class Endpoints {
  readonly #channels: readonly GrpcChannel[];
  #current = 0;

  constructor(urls: readonly URL[], options: { readonly clock: Clock; readonly tls?: ChannelTls | undefined }) {
    this.#channels = urls.map((url) => new GrpcChannel(url, options));
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
   * been carried out.
   */
  async unary(
    path: string,
    message: Uint8Array,
    options: { readonly timeoutMs: number; readonly isRead: boolean },
  ): Promise<Buffer> {
    for (let attempt = 1; ; attempt++) {
      const channel = this.current;
      try {
        return await channel.unary(path, message, options);
      } catch (error) {
        if (!(error instanceof GrpcError) || !isElsewhere(error)) throw error;
        this.failed(channel);
        const mayTryAgain = options.isRead || !error.isSent || /no leader|not leader/.test(error.message);
        // A lost connection is opened again once, even when there is only one member.
        if (!mayTryAgain || attempt > Math.max(1, this.#channels.length)) throw error;
      }
    }
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
