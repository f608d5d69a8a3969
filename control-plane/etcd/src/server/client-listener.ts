import { createServer as createHttpServer } from "node:http";
import {
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { createServer as createTlsServer } from "node:tls";

/** The server's certificate and, to ask clients for theirs, who signs them. */
export interface ListenerTls {
  readonly cert: string;
  readonly key: string;
  /** Given: clients must show a certificate of this authority. */
  readonly clientCa?: string | undefined;
  /** Whether the common name of a client's certificate says who it is. */
  readonly usesCertificates?: boolean | undefined;
}

/** A plain HTTP request, of whichever version. */
export interface HttpExchange {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
  /** Called once, when the answer is complete or the client is gone. */
  onClose(listener: () => void): void;
  /** Sends the head; the body is written to the result. */
  respond(code: number, contentType: string): Writable;
}

export interface ClientListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: ListenerTls | undefined;
  readonly grpc: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
  readonly http: (exchange: HttpExchange) => void;
}

/** An open port for clients: gRPC over HTTP/2 and plain HTTP/1.1, with or without TLS. */
export interface ClientListener extends AsyncDisposable {
  readonly port: number;
}

const PREFACE = "PRI * HTTP/2.0";
const WINDOW_BYTES = 1024 * 1024;
const SETTINGS = { initialWindowSize: WINDOW_BYTES, maxConcurrentStreams: 2 ** 31 - 1 };

export async function listenForClients(options: ClientListenerOptions): Promise<ClientListener> {
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const accept = protocols(options, sessions);
  const server = options.tls === undefined ? plain(accept) : secure(options.tls, accept);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  });
  server.listen(options.port, options.host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Takes a connection whose protocol is known. */
type Accept = (socket: Socket, isHttp2: boolean) => void;

function protocols(options: ClientListenerOptions, sessions: Set<ServerHttp2Session>): Accept {
  const http2 = createHttp2Server({ maxSessionMemory: 1_000, settings: SETTINGS });
  http2.on("session", (session) => remember(session, sessions));
  http2.on("stream", (stream, headers) => {
    if ((headers["content-type"] ?? "").startsWith("application/grpc")) {
      options.grpc(stream, headers);
      return;
    }
    stream.on("error", () => stream.destroy());
    options.http({
      method: headers[":method"] ?? "GET",
      url: headers[":path"] ?? "/",
      headers,
      body: stream,
      onClose: (listener) => void stream.once("close", listener),
      respond(code, contentType) {
        stream.respond({ ":status": code, "content-type": contentType });
        return stream;
      },
    });
  });
  const http1 = createHttpServer((request, response) =>
    options.http({
      method: request.method ?? "GET",
      url: request.url ?? "/",
      headers: request.headers,
      body: request,
      onClose: (listener) => void response.once("close", listener),
      respond(code, contentType) {
        response.writeHead(code, { "content-type": contentType });
        return response;
      },
    }),
  );
  return (socket, isHttp2) => (isHttp2 ? http2 : http1).emit("connection", socket);
}

/** With TLS the client says beforehand which protocol it speaks. */
function secure(tls: ListenerTls, accept: Accept): Server {
  const server = createTlsServer(
    {
      cert: tls.cert,
      key: tls.key,
      ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
      ALPNProtocols: ["h2", "http/1.1"],
    },
    (socket) => {
      socket.on("error", () => socket.destroy());
      accept(socket, socket.alpnProtocol === "h2");
    },
  );
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server;
}

/** Without TLS nothing says which protocol follows but its first bytes. */
function plain(accept: Accept): Server {
  return createServer((socket) => {
    socket.once("data", (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      const isHttp2 = PREFACE.startsWith(first.toString("latin1", 0, PREFACE.length));
      accept(socket, isHttp2);
      // The HTTP/1 parser waits for the socket; HTTP/2 takes its handle over.
      if (!isHttp2) socket.resume();
    });
  });
}

function remember(session: ServerHttp2Session, sessions: Set<ServerHttp2Session>): void {
  sessions.add(session);
  session.once("close", () => sessions.delete(session));
  session.on("error", () => session.destroy());
  session.setLocalWindowSize(WINDOW_BYTES);
}
