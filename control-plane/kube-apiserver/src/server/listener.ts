import { X509Certificate } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { DEFAULT_CIPHERS, type DetailedPeerCertificate, type SecureContextOptions, type TLSSocket } from "node:tls";
import type { Logger } from "@coracle/base";
import { createHttp2Server, type Http2Connection, type Http2Stream } from "@coracle/http2";
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
  /** Connections that came to nothing before they were secured. */
  readonly handshakeErrors: number;
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
/** They cannot be chosen. Upstream's order: the first costs least where it is computed by the processor. */
const TLS_13_CIPHERS = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
const OLDER_CIPHERS = DEFAULT_CIPHERS.split(":").filter((name) => !name.startsWith("TLS_"));
const STREAM_WINDOW_BYTES = 256 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
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
    ciphers: [...TLS_13_CIPHERS, ...(options.ciphers ?? OLDER_CIPHERS)].join(":"),
  });
  const server = createServer({
    ...contextOf(options.tls.clientCa),
    ALPNProtocols: options.http1Only === true ? ["http/1.1"] : ["h2", "http/1.1"],
    requestCert: options.tls.clientCa.length > 0,
    // A certificate we do not know is answered with 401, not with a broken connection.
    rejectUnauthorized: false,
    handshakeTimeout: HEADER_TIMEOUT_MS,
  });
  Object.assign(server, { headersTimeout: HEADER_TIMEOUT_MS, keepAliveTimeout: IDLE_TIMEOUT_MS });
  for (const { names, cert, key } of options.namedCertificates ?? []) {
    const context = { cert, key, ca: [...options.tls.clientCa] };
    for (const name of names) server.addContext(name, context);
  }
  const connections = new Set<Http2Connection>();
  /** Connections of HTTP/1.1 that serve a request. */
  const busy = new Map<object, number>();
  const sockets = new Set<Socket>();
  const peers = new WeakMap<object, Peer & ConnectionUse>();
  const peerOf = (connection: object, socket: TLSSocket): Peer & ConnectionUse => {
    let peer = peers.get(connection);
    if (peer === undefined) {
      peer = { address: socket.remoteAddress ?? "", certificates: certificatesOf(socket), openBodies: 0 };
      peers.set(connection, peer);
    }
    return peer;
  };

  let isDraining = false;
  let handshakeErrors = 0;
  const secured = new Set<Socket>();
  const http2 = createHttp2Server({
    limits: {
      maxStreams: options.maxStreamsPerConnection ?? MAX_CONCURRENT_STREAMS,
      streamWindowBytes: STREAM_WINDOW_BYTES,
      connectionWindowBytes: CONNECTION_WINDOW_BYTES,
      headerListBytes: MAX_HEADER_BYTES,
      headerTimeoutMs: HEADER_TIMEOUT_MS,
    },
    onStream(stream, connection) {
      // CONNECT asks for a tunnel and names no path.
      if (stream.head.path === "") {
        stream.listener = NOBODY;
        stream.respond(400, {}, true);
        return;
      }
      handle(new Http2Exchange(stream, peers.get(connection)!));
      if (options.endsConnection?.() === true) connection.leave();
    },
  });
  const acceptHttp2 = (socket: TLSSocket): void => {
    const connection = http2.accept(socket, (reason) => {
      connections.delete(connection);
      if (reason !== undefined) logger.debug("connection failed", { error: reason.message });
    });
    connections.add(connection);
    const peer = peerOf(connection, socket);
    socket.setTimeout(IDLE_TIMEOUT_MS, () => {
      if (peer.openBodies > 0) return;
      connection.leave();
      // Not waited for: the other end may never answer.
      setImmediate(() => connection.destroy());
    });
    if (isDraining) connection.leave();
  };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    busy.set(socket, (busy.get(socket) ?? 0) + 1);
    response.once("close", () => {
      const left = busy.get(socket)! - 1;
      if (left > 0) busy.set(socket, left);
      else busy.delete(socket);
      if (isDraining && left === 0) socket.destroySoon();
    });
    handle(new Http1Exchange(request, response, peerOf(socket, socket as TLSSocket), undefined));
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const protocol = request.headers.upgrade ?? "";
    const peer = peerOf(request.socket, request.socket as TLSSocket);
    busy.set(request.socket, 1);
    socket.once("close", () => busy.delete(request.socket));
    handle(new Http1Exchange(request, undefined, peer, { protocol, socket, head }));
  });
  // What the server does by itself with a connection is HTTP/1.1.
  const acceptHttp1 = server.listeners("secureConnection") as ((this: unknown, socket: TLSSocket) => void)[];
  server.removeAllListeners("secureConnection");
  server.on("secureConnection", (socket: TLSSocket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once("close", () => {
      sockets.delete(socket);
      secured.delete(socket);
    });
    if (socket.alpnProtocol === "h2") {
      acceptHttp2(socket);
      return;
    }
    secured.add(socket);
    for (const accept of acceptHttp1) accept.call(server, socket);
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", (error: Error) => {
    handshakeErrors += 1;
    logger.debug("TLS handshake failed", { error: error.message });
  });
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
    for (const connection of connections) connection.leave();
    for (const socket of secured) if (!busy.has(socket)) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    get handshakeErrors() {
      return handshakeErrors;
    },
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
        for (const connection of connections) connection.destroy();
        for (const socket of sockets) socket.destroy();
      });
      await closed;
      cut();
    },
  };
}

/** Hears of a stream that is answered already. */
const NOBODY: Http2Stream["listener"] = { data() {}, ended() {}, closed() {} };

/** A timer of the transport itself: it must run when a test's clock stands still. */
function setImmediateAfter(ms: number, action: () => void): () => void {
  const timer = globalThis.setTimeout(action, ms);
  return () => clearTimeout(timer);
}
