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
import type { DetailedPeerCertificate, SecureContextOptions, TLSSocket } from "node:tls";
import type { Logger } from "@coracle/base";
import type { Exchange, Peer } from "./exchange.ts";
import { Http1Exchange } from "./http1-exchange.ts";
import { Http2Exchange, type ConnectionUse } from "./http2-exchange.ts";

export interface TlsMaterial {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** PEM of the authorities that client certificates are asked for from. */
  readonly clientCa: readonly string[];
}

export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

/** A certificate (PEM) for clients that ask for one of these names. */
export interface NamedCertificate {
  readonly names: readonly string[];
  readonly cert: string;
  readonly key: string;
}

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly tls: TlsMaterial;
  readonly handle: (exchange: Exchange) => void;
  readonly logger: Logger;
  /** Absent: 1000. */
  readonly maxStreamsPerConnection?: number | undefined;
  /** Asked once a request of HTTP/2: whether its connection shall end after it. */
  readonly endsConnection?: (() => boolean) | undefined;
  /** Absent: TLS 1.2. */
  readonly minTlsVersion?: TlsVersion | undefined;
  /** Cipher suites below TLS 1.3, under OpenSSL's names. */
  readonly ciphers?: readonly string[] | undefined;
  /** Offers HTTP/1.1 alone. */
  readonly http1Only?: boolean | undefined;
  /** Certificates for clients that ask for these names. */
  readonly namedCertificates?: readonly NamedCertificate[] | undefined;
}

/** A listening HTTPS server. */
export interface Listener {
  readonly port: number;
  /** Asks clients for certificates of these authorities (PEM) from the next connection on. */
  setClientCa(pems: readonly string[]): void;
  /** Shows this certificate from the next connection on; `names`: to who asks for one of these alone. */
  setCertificate(pair: { readonly cert: string; readonly key: string }, names?: readonly string[]): void;
  /** Takes no new connections, and tells clients to make no new requests on theirs. */
  drain(): void;
  /** The same; lets what is in progress end for `graceMs`, then cuts the rest off. */
  close(graceMs: number): Promise<void>;
}

const MAX_CONCURRENT_STREAMS = 1000;
/** They cannot be chosen. */
const TLS_13_CIPHERS = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
const STREAM_WINDOW_BYTES = 256 * 1024;
const SESSION_WINDOW_BYTES = 4 * 1024 * 1024;
const MAX_HEADER_BYTES = 1 << 20;
/** Whoever needs longer to say what he wants is cut off. */
const HEADER_TIMEOUT_MS = 32_000;
/** A connection that nobody uses is closed. */
const IDLE_TIMEOUT_MS = 90_000;

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
  let pair = { cert: options.tls.cert, key: options.tls.key };
  let { clientCa } = options.tls;
  const contextOf = (authorities: readonly string[]): SecureContextOptions => ({
    ...pair,
    ca: [...authorities],
    minVersion: options.minTlsVersion ?? "TLSv1.2",
    ...(options.ciphers === undefined ? {} : { ciphers: [...options.ciphers, ...TLS_13_CIPHERS].join(":") }),
  });
  const server: Http2SecureServer = createSecureServer({
    ...contextOf(options.tls.clientCa),
    allowHTTP1: true,
    requestCert: options.tls.clientCa.length > 0,
    // A certificate we do not know is answered with 401, not with a broken connection.
    rejectUnauthorized: false,
    handshakeTimeout: HEADER_TIMEOUT_MS,
    maxSessionMemory: 100,
    maxHeaderListPairs: 2000,
    settings: {
      maxConcurrentStreams: options.maxStreamsPerConnection ?? MAX_CONCURRENT_STREAMS,
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxHeaderListSize: MAX_HEADER_BYTES,
      enablePush: false,
    },
  });
  // Asked for by its length and name; the server's own choice cannot be told otherwise.
  if (options.http1Only === true) Object.assign(server, { ALPNProtocols: Buffer.from("\bhttp/1.1") });
  // The types know them of servers of HTTP/1.1 only, which this is too.
  Object.assign(server, { headersTimeout: HEADER_TIMEOUT_MS, keepAliveTimeout: IDLE_TIMEOUT_MS });
  for (const { names, cert, key } of options.namedCertificates ?? []) {
    const context = { cert, key, ca: [...options.tls.clientCa] };
    for (const name of names) server.addContext(name, context);
  }
  const sessions = new Set<ServerHttp2Session>();
  /** Connections of HTTP/1.1 that serve a request. */
  const busy = new Map<object, number>();
  const sockets = new Set<Socket>();
  const peers = new WeakMap<object, Peer & ConnectionUse>();
  const peerOf = (socket: TLSSocket): Peer & ConnectionUse => {
    let peer = peers.get(socket);
    if (peer === undefined) {
      peer = { address: socket.remoteAddress ?? "", certificates: certificatesOf(socket), openBodies: 0 };
      peers.set(socket, peer);
    }
    return peer;
  };

  let isDraining = false;
  const secured = new Set<Socket>();
  server.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    session.on("error", (error) => logger.debug("connection failed", { error: error.message }));
    session.once("close", () => sessions.delete(session));
    const { socket } = session;
    // Found once a session: the session's socket is a proxy, which is no key.
    const peer = {
      address: socket.remoteAddress ?? "",
      certificates: certificatesOf(socket as TLSSocket),
      openBodies: 0,
    };
    peers.set(session, peer);
    session.setTimeout(IDLE_TIMEOUT_MS, () => {
      if (peer.openBodies > 0 || session.destroyed) return;
      session.goaway();
      // Not closed in good order: that waits for the other end, which may never answer.
      setImmediate(() => session.destroy());
    });
  });
  // The headers as they were sent come too, though the types do not say so.
  const onStream = (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    _flags: number,
    rawHeaders: readonly string[],
  ): void => {
    const { session } = stream;
    const peer = session === undefined ? undefined : peers.get(session);
    if (peer === undefined) {
      stream.destroy();
      return;
    }
    // CONNECT asks for a tunnel and names no path.
    if (headers[":path"] === undefined) {
      stream.on("error", () => {});
      stream.respond({ ":status": 400 }, { endStream: true });
      stream.close();
      return;
    }
    handle(new Http2Exchange(stream, headers, peer, rawHeaders));
    if (options.endsConnection?.() === true) bidFarewell(session as ServerHttp2Session);
  };
  server.on("stream", onStream as never);
  // Registered past the hook that would put the compatibility layer under every HTTP/2 request too.
  server.removeAllListeners("newListener");
  server.on("request", ((request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    busy.set(socket, (busy.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const left = busy.get(socket)! - 1;
      if (left > 0) busy.set(socket, left);
      else busy.delete(socket);
      if (isDraining && left === 0) socket.destroySoon();
    });
    handle(new Http1Exchange(request, response, peerOf(socket as TLSSocket), undefined));
  }) as never);
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const protocol = request.headers.upgrade ?? "";
    const peer = peerOf(request.socket as TLSSocket);
    busy.set(request.socket, 1);
    socket.once("close", () => busy.delete(request.socket));
    handle(new Http1Exchange(request, undefined, peer, { protocol, socket, head }));
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    sockets.add(socket);
    if (socket.alpnProtocol !== "h2") secured.add(socket);
    socket.setNoDelay(true);
    socket.once("close", () => {
      sockets.delete(socket);
      secured.delete(socket);
    });
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
  let closed: Promise<void> | undefined;
  const drain = (): void => {
    if (closed !== undefined) return;
    isDraining = true;
    closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const session of sessions) bidFarewell(session);
    for (const socket of secured) if (!busy.has(socket)) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    setClientCa(pems) {
      clientCa = pems;
      server.setSecureContext(contextOf(pems));
    },
    setCertificate(changed, names) {
      // Of several for a name the latest counts.
      for (const name of names ?? []) server.addContext(name, { ...changed, ca: [...clientCa] });
      if (names !== undefined) return;
      const before = pair;
      pair = changed;
      try {
        server.setSecureContext(contextOf(clientCa));
      } catch (error) {
        pair = before;
        throw error;
      }
    },
    drain,
    async close(graceMs) {
      drain();
      const cut = setImmediateAfter(graceMs, () => {
        for (const session of sessions) session.destroy();
        for (const socket of sockets) socket.destroy();
      });
      await closed;
      cut();
    },
  };
}

/** Tells the client that the connection takes no more requests; it ends with its last one. */
function bidFarewell(session: ServerHttp2Session): void {
  if (session.destroyed || session.closed) return;
  session.goaway();
  session.close();
}

/** A timer of the transport itself: it must run when a test's clock stands still. */
function setImmediateAfter(ms: number, action: () => void): () => void {
  const timer = globalThis.setTimeout(action, ms);
  return () => clearTimeout(timer);
}
