import { X509Certificate } from "node:crypto";
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { Logger } from "@coracle/base";
import type { Exchange, Peer } from "./exchange.ts";
import { Http1Exchange } from "./http1-exchange.ts";
import { Http2Exchange } from "./http2-exchange.ts";

export interface TlsMaterial {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** PEM of the authorities that client certificates are asked for from. */
  readonly clientCa: readonly string[];
}

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly tls: TlsMaterial;
  readonly handle: (exchange: Exchange) => void;
  readonly logger: Logger;
}

/** A listening HTTPS server. */
export interface Listener {
  readonly port: number;
  /** Asks clients for certificates of these authorities (PEM) from the next connection on. */
  setClientCa(pems: readonly string[]): void;
  /** Takes no new connections, lets requests in progress end for `graceMs`, then cuts the rest off. */
  close(graceMs: number): Promise<void>;
}

const MAX_CONCURRENT_STREAMS = 1000;
const STREAM_WINDOW_BYTES = 256 * 1024;
const SESSION_WINDOW_BYTES = 4 * 1024 * 1024;
const MAX_HEADER_BYTES = 1 << 20;

/** The certificates that the other end has proved to hold; empty when it showed none. */
function certificatesOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let detail: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  const seen = new Set<string>();
  while (detail?.raw !== undefined && !seen.has(detail.fingerprint256)) {
    seen.add(detail.fingerprint256);
    chain.push(new X509Certificate(detail.raw));
    detail = detail.issuerCertificate;
  }
  return chain;
}

/** Listens with HTTP/2 and HTTP/1.1 on one port. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { handle, logger } = options;
  const server: Http2SecureServer = createSecureServer({
    cert: options.tls.cert,
    key: options.tls.key,
    ca: [...options.tls.clientCa],
    allowHTTP1: true,
    requestCert: options.tls.clientCa.length > 0,
    // A certificate we do not know is answered with 401, not with a broken connection.
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
    maxSessionMemory: 100,
    maxHeaderListPairs: 2000,
    settings: {
      maxConcurrentStreams: MAX_CONCURRENT_STREAMS,
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxHeaderListSize: MAX_HEADER_BYTES,
      enablePush: false,
    },
  });
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  const peers = new WeakMap<object, Peer>();
  const peerOf = (socket: TLSSocket): Peer => {
    let peer = peers.get(socket);
    if (peer === undefined) {
      peer = { address: socket.remoteAddress ?? "", certificates: certificatesOf(socket) };
      peers.set(socket, peer);
    }
    return peer;
  };

  server.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    session.on("error", (error) => logger.debug("connection failed", { error: error.message }));
    session.once("close", () => sessions.delete(session));
    const { socket } = session;
    // Found once a session: the session's socket is a proxy, which is no key.
    peers.set(session, {
      address: socket.remoteAddress ?? "",
      certificates: certificatesOf(socket as TLSSocket),
    });
  });
  // The headers as they were sent come too, though the types do not say so.
  const onStream = (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    _flags: number,
    rawHeaders: readonly string[],
  ): void => {
    const peer = stream.session === undefined ? undefined : peers.get(stream.session);
    if (peer === undefined) stream.destroy();
    else handle(new Http2Exchange(stream, headers, peer, rawHeaders));
  };
  server.on("stream", onStream as never);
  // Registered past the hook that would put the compatibility layer under every HTTP/2 request too.
  server.removeAllListeners("newListener");
  server.on("request", ((request: IncomingMessage, response: ServerResponse) => {
    handle(new Http1Exchange(request, response, peerOf(request.socket as TLSSocket), undefined));
  }) as never);
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const protocol = request.headers.upgrade ?? "";
    const peer = peerOf(request.socket as TLSSocket);
    handle(new Http1Exchange(request, undefined, peer, { protocol, socket, head }));
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", (error: Error) => logger.debug("TLS handshake failed", { error: error.message }));
  server.on("sessionError", (error: Error) => logger.debug("connection failed", { error: error.message }));
  server.setTimeout(0);

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.host, port: options.port, backlog: 1024 }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    setClientCa(pems) {
      const { cert, key } = options.tls;
      server.setSecureContext({ cert, key, ca: [...pems], minVersion: "TLSv1.2" });
    },
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.close();
      const cut = setImmediateAfter(graceMs, () => {
        for (const session of sessions) session.destroy();
        for (const socket of sockets) socket.destroy();
      });
      await closed;
      cut();
    },
  };
}

/** A timer of the transport itself: it must run when a test's clock stands still. */
function setImmediateAfter(ms: number, action: () => void): () => void {
  const timer = globalThis.setTimeout(action, ms);
  return () => clearTimeout(timer);
}
