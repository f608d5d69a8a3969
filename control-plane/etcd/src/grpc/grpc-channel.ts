import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls, type SecureContextOptions } from "node:tls";
import type { Clock, Timer } from "@coracle/base";
import {
  createHttp2Client,
  errorCode,
  type HeaderField,
  type Http2Client,
  type Http2Connection,
  type Http2Stream,
  type MessageHead,
  type StreamListener,
} from "@coracle/http2";
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

/** A connection, and what it is known by. */
interface Link {
  readonly socket: Socket;
  readonly connection: Http2Connection;
  /** It has come about: requests on others were certainly not carried out. */
  isConnected: boolean;
}

const FIELDS = { "content-type": "application/grpc", te: "trailers" } as const;

/** What a channel hears of its calls. */
interface CallOwner {
  heard(): void;
  ended(): void;
  /** What is said of a call whose answer did not end properly; `code`: of the reset, undefined: the connection was lost. */
  lost(link: Link, code: number | undefined): GrpcError;
}

/** What comes back from a call. */
class Call implements StreamListener {
  readonly #sink: CallSink;
  readonly #link: Link;
  readonly #owner: CallOwner;
  readonly #reader = new MessageReader(MAX_RECEIVED_BYTES);
  #status: GrpcError | "ok" | undefined;
  stream: Http2Stream | undefined;

  constructor(sink: CallSink, link: Link, owner: CallOwner) {
    this.#sink = sink;
    this.#link = link;
    this.#owner = owner;
  }

  head(head: MessageHead): void {
    if (head.status < 200) return;
    if (head.status !== 200)
      this.#status = new GrpcError(grpcCode.unavailable, `unexpected HTTP status code ${head.status}`);
    this.#readStatus(head.fields);
  }

  data(chunk: Buffer): void {
    this.#owner.heard();
    try {
      for (const message of this.#reader.push(chunk)) this.#sink.message(message);
    } catch (error) {
      this.#status = error instanceof GrpcError ? error : new GrpcError(grpcCode.internal, String(error));
      this.stream?.reset(errorCode.cancel);
    }
  }

  ended(trailers: readonly HeaderField[]): void {
    this.#readStatus(trailers);
  }

  closed(code: number | undefined): void {
    this.#owner.ended();
    this.#sink.ended(this.#status === "ok" ? undefined : (this.#status ?? this.#owner.lost(this.#link, code)));
  }

  #readStatus(fields: readonly HeaderField[]): void {
    const code = fields.find(({ name }) => name === "grpc-status")?.value;
    if (code === undefined) return;
    const message = decodeGrpcMessage(fields.find(({ name }) => name === "grpc-message")?.value ?? "");
    this.#status = Number(code) === grpcCode.ok ? "ok" : new GrpcError(Number(code), message);
  }
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
  readonly #http2: Http2Client;
  readonly #owner: CallOwner;
  #link: Link | undefined;
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
    this.#owner = {
      heard: () => void (this.#isHeard = true),
      ended: () => this.#callEnds(),
      lost: (link, code) => this.#lostError(link, code),
    };
    this.#http2 = createHttp2Client({
      limits: { streamWindowBytes: WINDOW_BYTES, connectionWindowBytes: WINDOW_BYTES },
    });
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
        call.reset(errorCode.cancel);
      });
      call.endWith(frameMessage(message));
    });
  }

  /** Calls a method with many messages both ways. */
  stream(path: string, sink: CallSink, metadata?: CallMetadata): StreamingCall {
    const call = this.#open(path, sink, metadata);
    return {
      send: (message) => void call.write(frameMessage(message)),
      cancel: () => call.reset(errorCode.cancel),
    };
  }

  /** Breaks the connection off; calls on it fail. The channel can be used again. */
  disconnect(): void {
    this.#link?.connection.destroy();
    this.#link = undefined;
  }

  #connect(): Link {
    const known = this.#link;
    if (known !== undefined && !known.connection.isClosing) return known;
    const socket = this.#socket();
    let timer: Timer | undefined;
    const forget = (): void => {
      timer?.[Symbol.dispose]();
      if (this.#link === link) this.#link = undefined;
    };
    const connection = this.#http2.begin(socket, { onClose: forget, onGoaway: forget });
    const link: Link = { socket, connection, isConnected: false };
    this.#link = link;
    timer = this.#clock.after(CONNECT_TIMEOUT_MS, () => connection.destroy(new Error("connection timed out")));
    socket.once(this.endpoint.protocol === "https:" ? "secureConnect" : "connect", () => {
      link.isConnected = true;
      timer?.[Symbol.dispose]();
      socket.setNoDelay(true);
    });
    if (this.#calls === 0) socket.unref();
    return link;
  }

  #socket(): Socket {
    const { endpoint } = this;
    if (this.#socketPath !== undefined) return connectPlain(this.#socketPath);
    const host = endpoint.hostname.replaceAll(/[[\]]/g, "");
    const isSecure = endpoint.protocol === "https:";
    const port = endpoint.port === "" ? (isSecure ? 443 : 80) : Number(endpoint.port);
    if (!isSecure) return connectPlain({ host, port });
    return connectTls({
      host,
      port,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...this.#tls,
      ALPNProtocols: ["h2"],
    });
  }

  #open(path: string, sink: CallSink, metadata?: CallMetadata): Http2Stream {
    const fields = metadata === undefined ? FIELDS : { ...FIELDS, ...metadata };
    const pseudo = {
      ":method": "POST",
      ":scheme": this.endpoint.protocol.slice(0, -1),
      ":path": path,
      ":authority": this.endpoint.host,
    };
    for (;;) {
      const link = this.#connect();
      const call = new Call(sink, link, this.#owner);
      const stream = link.connection.request(pseudo, fields, false, call);
      if (stream !== undefined) {
        call.stream = stream;
        stream.flow();
        this.#callBegins();
        return stream;
      }
      // It is full: it ends with the calls that it has, and another one is opened.
      link.connection.leave();
      this.#link = undefined;
    }
  }

  #lostError(link: Link, code: number | undefined): GrpcError {
    const isReset = code !== undefined && code !== errorCode.noError;
    const cause = isReset ? new Error(`the stream was reset with code ${code}`) : link.connection.reason;
    const why = cause?.message ?? "the connection was closed";
    // A stream that is refused was not looked at (RFC 9113, section 8.7).
    const isSent = link.isConnected && code !== errorCode.refusedStream;
    return new GrpcError(grpcCode.unavailable, `${this.endpoint.host}: ${why}`, { cause, isSent });
  }

  #callBegins(): void {
    this.#calls += 1;
    if (this.#calls === 1) {
      this.#link?.socket.ref();
      this.#watchLiveness();
    }
  }

  #callEnds(): void {
    this.#calls -= 1;
    if (this.#calls > 0) return;
    this.#link?.socket.unref();
    this.#keepalive?.[Symbol.dispose]();
    this.#keepalive = undefined;
  }

  #watchLiveness(): void {
    this.#isHeard = false;
    this.#keepalive = this.#clock.after(KEEPALIVE_MS, () => {
      const link = this.#link;
      if (link === undefined || this.#isHeard || !link.isConnected) {
        this.#watchLiveness();
        return;
      }
      this.#keepalive = this.#clock.after(KEEPALIVE_TIMEOUT_MS, () => {
        link.connection.destroy(new Error("keepalive ping failed to receive an answer in time"));
        if (this.#calls > 0) this.#watchLiveness();
      });
      link.connection.ping(() => {
        this.#keepalive?.[Symbol.dispose]();
        if (this.#calls > 0) this.#watchLiveness();
      });
    });
  }
}
