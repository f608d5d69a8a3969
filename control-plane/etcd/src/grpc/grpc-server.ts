import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { encodeGrpcMessage, GrpcError, grpcCode } from "./grpc-error.ts";
import { frameMessage, MessageReader } from "./message-reader.ts";

/** What a request brings along. */
export interface CallContext {
  readonly headers: IncomingHttpHeaders;
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

/** Serves one HTTP/2 request that speaks gRPC. */
export function serveGrpc(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, options: GrpcServerOptions): void {
  stream.on("error", () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  const path = headers[":path"] ?? "";
  const handler = options.handlers.get(path);
  if (handler === undefined) {
    const [, service = "", method = ""] = path.split("/");
    endWith(stream, new GrpcError(grpcCode.unimplemented, `unknown service ${service} or method ${method}`));
    stream.resume();
    return;
  }
  const gone = new AbortController();
  stream.once("close", () => gone.abort(new DOMException("the call is over", "AbortError")));
  const context: CallContext = {
    headers,
    signal: gone.signal,
    get certificateUser() {
      return commonNameOf(stream);
    },
    get peer() {
      const socket = stream.session?.socket;
      return `${socket?.remoteAddress ?? ""}:${socket?.remotePort ?? 0}`;
    },
  };
  const reader = new MessageReader(options.maxReceivedBytes);
  if (handler.type === "unary") serveUnary(stream, handler, reader, context, options.toStatus);
  else serveStream(stream, handler, reader, context, options.toStatus);
}

function serveUnary(
  stream: ServerHttp2Stream,
  handler: GrpcHandler & { readonly type: "unary" },
  reader: MessageReader,
  context: CallContext,
  toStatus: (error: unknown) => GrpcError,
): void {
  const messages: Buffer[] = [];
  let failure: GrpcError | undefined;
  stream.on("data", (chunk: Buffer) => {
    if (failure !== undefined) return;
    try {
      for (const message of reader.push(chunk)) messages.push(message);
    } catch (error) {
      failure = toStatus(error);
      endWith(stream, failure);
    }
  });
  stream.once("end", () => {
    if (failure !== undefined) return;
    const [message] = messages;
    if (message === undefined || messages.length > 1) {
      endWith(stream, new GrpcError(grpcCode.internal, "a call of this method has one message"));
      return;
    }
    handler.handle(message, context).then(
      (answer) => endWith(stream, undefined, answer),
      (error: unknown) => endWith(stream, toStatus(error)),
    );
  });
}

function serveStream(
  stream: ServerHttp2Stream,
  handler: GrpcHandler & { readonly type: "stream" },
  reader: MessageReader,
  context: CallContext,
  toStatus: (error: unknown) => GrpcError,
): void {
  let isOver = false;
  const end = (error?: GrpcError): void => {
    if (isOver) return;
    isOver = true;
    endWith(stream, error);
  };
  // Not spread: reading `peer` is left to those who want it.
  const call: ServerCall = {
    headers: context.headers,
    signal: context.signal,
    get certificateUser() {
      return context.certificateUser;
    },
    get peer() {
      return context.peer;
    },
    send(message) {
      if (isOver || stream.destroyed) return true;
      if (!stream.headersSent) stream.respond(HEAD, { waitForTrailers: true });
      return stream.write(frameMessage(message));
    },
    end,
  };
  const sink = handler.handle(call);
  const guard = (action: () => void): void => {
    try {
      action();
    } catch (error) {
      end(toStatus(error));
    }
  };
  stream.on("data", (chunk: Buffer) => {
    if (!isOver) guard(() => reader.push(chunk).forEach((message) => sink.message(message)));
  });
  stream.once("end", () => guard(() => sink.ended()));
  stream.on("drain", () => guard(() => sink.drained?.()));
}

function commonNameOf(stream: ServerHttp2Stream): string | undefined {
  if (stream.session?.encrypted !== true) return undefined;
  const secured = stream.session.socket as TLSSocket;
  if (!secured.authorized) return undefined;
  const name: unknown = secured.getPeerCertificate().subject?.CN;
  return typeof name === "string" ? name : undefined;
}

const HEAD = { ":status": 200, "content-type": "application/grpc" } as const;

function endWith(stream: ServerHttp2Stream, error: GrpcError | undefined, answer?: Uint8Array): void {
  if (stream.destroyed || stream.closed) return;
  const status = {
    "grpc-status": String(error?.code ?? grpcCode.ok),
    ...(error === undefined ? {} : { "grpc-message": encodeGrpcMessage(error.message) }),
  };
  if (!stream.headersSent && answer === undefined) {
    stream.respond({ ...HEAD, ...status }, { endStream: true });
    return;
  }
  if (!stream.headersSent) stream.respond(HEAD, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers(status));
  if (answer === undefined) stream.end();
  else stream.end(frameMessage(answer));
}
