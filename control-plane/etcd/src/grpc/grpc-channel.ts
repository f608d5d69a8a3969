import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { connect as connectSocket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import type { Clock, Timer } from "@coracle/base";
import { decodeGrpcMessage, GrpcError, grpcCode } from "./grpc-error.ts";
import { frameMessage, MessageReader } from "./message-reader.ts";

/** Answers of a whole keyspace are large; a client of etcd sets no limit of its own. */
const MAX_RECEIVED_BYTES = 2 ** 31 - 1;
const WINDOW_BYTES = 16 * 1024 * 1024;
/** A connection that has been silent so long is asked whether it is alive, while calls wait on it. */
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5_000;

export interface ChannelTls extends Pick<SecureContextOptions, "ca" | "cert" | "key"> {
  readonly servername?: string | undefined;
}

/** What goes along with a call, beside its messages. */
export type CallMetadata = Readonly<Record<string, string>>;

/** Receives the messages of a streaming call, in order. Exactly one `ended`. */
export interface CallSink {
  message(bytes: Buffer): void;
  /** `error` is undefined when the server ended with status OK. */
  ended(error: GrpcError | undefined): void;
}

/** A call with messages both ways. */
export interface StreamingCall {
  send(message: Uint8Array): void;
  cancel(): void;
}

/**
 * One HTTP/2 connection to one endpoint that speaks gRPC. It is opened by the first call; when it is lost, the calls on it fail with
 * UNAVAILABLE and the next call opens another.
 */
export class GrpcChannel {
  readonly endpoint: URL;
  readonly #clock: Clock;
  readonly #tls: ChannelTls | undefined;
  readonly #socketPath: string | undefined;
  #session: ClientHttp2Session | undefined;
  /** Connections that came about: requests on others were certainly not carried out. */
  readonly #connected = new WeakSet<ClientHttp2Session>();
  #keepalive: Timer | undefined;
  #calls = 0;
  #isHeard = false;

  /** `socketPath`: a Unix socket to reach the endpoint by. */
  constructor(
    endpoint: URL,
    options: {
      readonly clock: Clock;
      readonly tls?: ChannelTls | undefined;
      readonly socketPath?: string | undefined;
    },
  ) {
    this.endpoint = endpoint;
    this.#socketPath = options.socketPath;
    this.#clock = options.clock;
    this.#tls = options.tls;
  }

  /** Calls a method with one message each way. */
  unary(
    path: string,
    message: Uint8Array,
    options: { readonly timeoutMs: number; readonly metadata?: CallMetadata | undefined },
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined;
      let timer: Timer | undefined;
      const sink: CallSink = {
        message: (bytes) => {
          answer = bytes;
        },
        ended: (error) => {
          timer?.[Symbol.dispose]();
          if (error !== undefined) reject(error);
          else if (answer === undefined) reject(new GrpcError(grpcCode.internal, "grpc: no message in the answer"));
          else resolve(answer);
        },
      };
      const call = this.#open(path, sink, options.metadata);
      timer = this.#clock.after(options.timeoutMs, () => {
        reject(new GrpcError(grpcCode.deadlineExceeded, "context deadline exceeded"));
        call.close(constants.NGHTTP2_CANCEL);
      });
      call.end(frameMessage(message));
    });
  }

  /** Calls a method with many messages both ways. */
  stream(path: string, sink: CallSink, metadata?: CallMetadata): StreamingCall {
    const call = this.#open(path, sink, metadata);
    return {
      send: (message) => {
        if (call.writable) call.write(frameMessage(message));
      },
      cancel: () => call.close(constants.NGHTTP2_CANCEL),
    };
  }

  /** Breaks the connection off; calls on it fail. The channel can be used again. */
  disconnect(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }

  #connect(): ClientHttp2Session {
    const known = this.#session;
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const { endpoint } = this;
    const path = this.#socketPath;
    const session = connect(endpoint, {
      ...this.#tls,
      ...(path === undefined ? {} : { createConnection: () => connectSocket(path) }),
      maxSessionMemory: 1_000,
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    });
    this.#session = session;
    const timer = this.#clock.after(CONNECT_TIMEOUT_MS, () => session.destroy(new Error("connection timed out")));
    session.once("connect", () => {
      this.#connected.add(session);
      timer[Symbol.dispose]();
      session.setLocalWindowSize(WINDOW_BYTES);
    });
    session.once("close", () => {
      timer[Symbol.dispose]();
      if (this.#session === session) this.#session = undefined;
    });
    session.on("goaway", () => {
      if (this.#session === session) this.#session = undefined;
    });
    session.on("error", () => {});
    session.unref();
    return session;
  }

  #open(path: string, sink: CallSink, metadata?: CallMetadata): ClientHttp2Stream {
    const session = this.#connect();
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...metadata,
    });
    const reader = new MessageReader(MAX_RECEIVED_BYTES);
    let status: GrpcError | "ok" | undefined;
    let lost: Error | undefined;
    const readStatus = (headers: Readonly<Record<string, unknown>>): void => {
      const code = headers["grpc-status"];
      if (code === undefined) return;
      const message = decodeGrpcMessage(String((headers["grpc-message"] as string | undefined) ?? ""));
      status = Number(code) === grpcCode.ok ? "ok" : new GrpcError(Number(code), message);
    };
    stream.on("response", (headers) => {
      const http = headers[":status"];
      if (http !== 200) status = new GrpcError(grpcCode.unavailable, `unexpected HTTP status code ${http ?? ""}`);
      readStatus(headers);
    });
    stream.on("trailers", readStatus);
    stream.on("data", (chunk: Buffer) => {
      this.#isHeard = true;
      try {
        for (const message of reader.push(chunk)) sink.message(message);
      } catch (error) {
        status = error instanceof GrpcError ? error : new GrpcError(grpcCode.internal, String(error));
        stream.close(constants.NGHTTP2_CANCEL);
      }
    });
    stream.on("error", (error) => {
      lost ??= error;
    });
    this.#callBegins();
    stream.once("close", () => {
      this.#callEnds();
      if (status === "ok") sink.ended(undefined);
      else if (status !== undefined) sink.ended(status);
      else sink.ended(this.#lostError(lost, this.#connected.has(session)));
    });
    return stream;
  }

  #lostError(cause: Error | undefined, isSent: boolean): GrpcError {
    const why = cause?.message ?? "the connection was closed";
    return new GrpcError(grpcCode.unavailable, `${this.endpoint.host}: ${why}`, { cause, isSent });
  }

  #callBegins(): void {
    this.#calls += 1;
    if (this.#calls === 1) {
      this.#session?.ref();
      this.#watchLiveness();
    }
  }

  #callEnds(): void {
    this.#calls -= 1;
    if (this.#calls > 0) return;
    this.#session?.unref();
    this.#keepalive?.[Symbol.dispose]();
    this.#keepalive = undefined;
  }

  #watchLiveness(): void {
    this.#isHeard = false;
    this.#keepalive = this.#clock.after(KEEPALIVE_MS, () => {
      const session = this.#session;
      if (session === undefined || this.#isHeard || session.destroyed || session.connecting) {
        this.#watchLiveness();
        return;
      }
      this.#keepalive = this.#clock.after(KEEPALIVE_TIMEOUT_MS, () => {
        session.destroy(new Error("keepalive ping failed to receive an answer in time"));
        if (this.#calls > 0) this.#watchLiveness();
      });
      session.ping(() => {
        this.#keepalive?.[Symbol.dispose]();
        if (this.#calls > 0) this.#watchLiveness();
      });
    });
  }
}
