import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Http2Stream, StreamListener } from "@coracle/http2";
import { encodeGrpcMessage, GrpcError, grpcCode } from "./grpc-error.ts";
import { frameMessage, MessageReader } from "./message-reader.ts";

/** What a request brings along. */
export interface CallContext {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Aborts when the client is gone or has cancelled. */
  readonly signal: AbortSignal;
  /** `ADDRESS:PORT` of the client. */
  readonly peer: string;
  /** Common name of the client's certificate, where it showed one that was checked. */
  readonly certificateUser: string | undefined;
}

/** The server's side of a streaming call. */
export interface ServerCall extends CallContext {
  /** False: the client does not read as fast as it is written to; go on when `drained` was called. */
  send(message: Uint8Array): boolean;
  /** Ends the call: with status OK, or with an error. */
  end(error?: GrpcError): void;
}

/** Takes the messages of a streaming call. */
export interface ServerSink {
  message(bytes: Buffer): void;
  /** The client will send no more. */
  ended(): void;
  drained?(): void;
}

/** A method, by how many messages go which way. */
export type GrpcHandler =
  | { readonly type: "unary"; handle(message: Buffer, context: CallContext): Promise<Uint8Array> }
  | { readonly type: "stream"; handle(call: ServerCall): ServerSink };

/** Paths such as `/etcdserverpb.KV/Range`. */
export type GrpcHandlers = ReadonlyMap<string, GrpcHandler>;

export interface GrpcServerOptions {
  readonly handlers: GrpcHandlers;
  readonly maxReceivedBytes: number;
  /** Turns what a handler throws into a status. */
  readonly toStatus: (error: unknown) => GrpcError;
}

/** Serves one HTTP/2 request that speaks gRPC; `socket`: that it came by. */
export function serveGrpc(stream: Http2Stream, socket: Socket, options: GrpcServerOptions): void {
  const { path } = stream.head;
  const handler = options.handlers.get(path);
  if (handler === undefined) {
    const [, service = "", method = ""] = path.split("/");
    stream.listener = { data() {}, ended() {}, closed() {} };
    stream.flow();
    endWith(stream, new GrpcError(grpcCode.unimplemented, `unknown service ${service} or method ${method}`));
    return;
  }
  const { maxReceivedBytes, toStatus } = options;
  stream.listener =
    handler.type === "unary"
      ? new UnaryCall(stream, socket, maxReceivedBytes, toStatus, handler)
      : new OpenCall(stream, socket, maxReceivedBytes, toStatus, handler);
  stream.flow();
}

/** What calls have in common. Nothing is made that nobody asks for: most calls are short. */
abstract class Call implements CallContext, StreamListener {
  readonly #socket: Socket;
  readonly stream: Http2Stream;
  readonly reader: MessageReader;
  readonly toStatus: (error: unknown) => GrpcError;
  #headers: CallContext["headers"] | undefined;
  #gone: AbortController | undefined;

  constructor(stream: Http2Stream, socket: Socket, maxReceivedBytes: number, toStatus: Call["toStatus"]) {
    this.stream = stream;
    this.#socket = socket;
    this.reader = new MessageReader(maxReceivedBytes);
    this.toStatus = toStatus;
  }

  get headers(): CallContext["headers"] {
    return (this.#headers ??= this.stream.head.record());
  }

  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      this.#gone = new AbortController();
      if (this.stream.isClosed) this.#abort();
    }
    return this.#gone.signal;
  }

  get peer(): string {
    return `${this.#socket.remoteAddress ?? ""}:${this.#socket.remotePort ?? 0}`;
  }

  get certificateUser(): string | undefined {
    const secured = this.#socket as TLSSocket;
    if (secured.encrypted !== true || !secured.authorized) return undefined;
    const name: unknown = secured.getPeerCertificate().subject?.CN;
    return typeof name === "string" ? name : undefined;
  }

  abstract data(chunk: Buffer): void;
  abstract ended(): void;

  closed(): void {
    this.#abort();
  }

  #abort(): void {
    this.#gone?.abort(new DOMException("the call is over", "AbortError"));
  }
}

class UnaryCall extends Call {
  readonly #handler: GrpcHandler & { readonly type: "unary" };
  readonly #messages: Buffer[] = [];
  #isOver = false;

  constructor(
    stream: Http2Stream,
    socket: Socket,
    maxReceivedBytes: number,
    toStatus: Call["toStatus"],
    handler: GrpcHandler & { readonly type: "unary" },
  ) {
    super(stream, socket, maxReceivedBytes, toStatus);
    this.#handler = handler;
  }

  override data(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      for (const message of this.reader.push(chunk)) this.#messages.push(message);
    } catch (error) {
      this.#isOver = true;
      endWith(this.stream, this.toStatus(error));
    }
  }

  override ended(): void {
    if (this.#isOver) return;
    const { stream } = this;
    const [message] = this.#messages;
    if (message === undefined || this.#messages.length > 1) {
      endWith(stream, new GrpcError(grpcCode.internal, "a call of this method has one message"));
      return;
    }
    this.#handler.handle(message, this).then(
      (answer) => endWith(stream, undefined, answer),
      (error: unknown) => endWith(stream, this.toStatus(error)),
    );
  }
}

class OpenCall extends Call implements ServerCall {
  readonly #sink: ServerSink;
  #isOver = false;

  constructor(
    stream: Http2Stream,
    socket: Socket,
    maxReceivedBytes: number,
    toStatus: Call["toStatus"],
    handler: GrpcHandler & { readonly type: "stream" },
  ) {
    super(stream, socket, maxReceivedBytes, toStatus);
    this.#sink = handler.handle(this);
  }

  send(message: Uint8Array): boolean {
    const { stream } = this;
    if (this.#isOver || stream.isClosed) return true;
    stream.respond(200, HEAD);
    return stream.write(frameMessage(message));
  }

  end(error?: GrpcError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    endWith(this.stream, error);
  }

  override data(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#guard(() => this.reader.push(chunk).forEach((message) => this.#sink.message(message)));
  }

  override ended(): void {
    this.#guard(() => this.#sink.ended());
  }

  drained(): void {
    this.#guard(() => this.#sink.drained?.());
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.end(this.toStatus(error));
    }
  }
}

const HEAD = { "content-type": "application/grpc" } as const;
const FINE = { "grpc-status": "0" } as const;

function endWith(stream: Http2Stream, error: GrpcError | undefined, answer?: Uint8Array): void {
  if (stream.isClosed || stream.isEnding) return;
  const status =
    error === undefined
      ? FINE
      : { "grpc-status": String(error.code), "grpc-message": encodeGrpcMessage(error.message) };
  if (!stream.isHeadSent && answer === undefined) {
    stream.respond(200, { ...HEAD, ...status }, true);
    return;
  }
  stream.respond(200, HEAD);
  if (answer !== undefined) stream.write(frameMessage(answer));
  stream.end(status);
}
