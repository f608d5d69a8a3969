import { createServer as createHttpServer } from "node:http";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { createHttp2Server, StreamDuplex, type Http2Connection, type Http2Stream } from "@coracle/http2";

/** The server's certificate and, to ask clients for theirs, who signs them. */
export interface ListenerTls {
  readonly cert: string;
  readonly key: string;
  /** Given: clients must show a certificate of this authority. */
  readonly clientCa?: string | undefined;
  /** Whether the common name of a client's certificate says who it is. */
  readonly usesCertificates?: boolean | undefined;
  /** Certificates of clients that are no longer good. */
  readonly clientCrl?: string | undefined;
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
}

/** A plain HTTP request, of whichever version. */
export interface HttpExchange {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
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
  readonly grpc: (stream: Http2Stream, socket: Socket) => void;
  readonly http: (exchange: HttpExchange) => void;
}

/** An open port for clients: gRPC over HTTP/2 and plain HTTP/1.1, with or without TLS. */
export interface ClientListener extends AsyncDisposable {
  readonly port: number;
}

const PREFACE = "PRI * HTTP/2.0";
const WINDOW_BYTES = 1024 * 1024;
const LIMITS = {
  maxStreams: 2 ** 31 - 1,
  streamWindowBytes: WINDOW_BYTES,
  connectionWindowBytes: 16 * WINDOW_BYTES,
};

export async function listenForClients(options: ClientListenerOptions): Promise<ClientListener> {
  const sockets = new Set<Socket>();
  const accept = protocols(options);
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
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Takes a connection whose protocol is known. */
type Accept = (socket: Socket, isHttp2: boolean) => void;

function protocols(options: ClientListenerOptions): Accept {
  const sockets = new WeakMap<Http2Connection, Socket>();
  const http2 = createHttp2Server({
    limits: LIMITS,
    onStream(stream, connection) {
      const { head } = stream;
      if (head.get("content-type")?.startsWith("application/grpc") === true) {
        options.grpc(stream, sockets.get(connection)!);
        return;
      }
      const body = new StreamDuplex(stream);
      body.on("error", () => body.destroy());
      options.http({
        method: head.method,
        url: head.path === "" ? "/" : head.path,
        headers: head.record(),
        body,
        onClose: (listener) => void body.once("close", listener),
        respond(code, contentType) {
          stream.respond(code, { "content-type": contentType });
          return body;
        },
      });
    },
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
  return (socket, isHttp2) => {
    if (isHttp2) sockets.set(http2.accept(socket), socket);
    else http1.emit("connection", socket);
  };
}

/** With TLS the client says beforehand which protocol it speaks. */
function secure(tls: ListenerTls, accept: Accept): Server {
  const server = createTlsServer(
    {
      cert: tls.cert,
      key: tls.key,
      ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
      ...(tls.clientCrl === undefined ? {} : { crl: tls.clientCrl }),
      ...(tls.minVersion === undefined ? {} : { minVersion: tls.minVersion }),
      ...(tls.maxVersion === undefined ? {} : { maxVersion: tls.maxVersion }),
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
      accept(socket, PREFACE.startsWith(first.toString("latin1", 0, PREFACE.length)));
      socket.resume();
    });
  });
}
