import { readFileSync } from "node:fs";
import { connect as connectPlain, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { systemClock, type Clock } from "@coracle/base";
import { createHttp2Client, type Http2Connection } from "@coracle/http2";
import { ConnectionLostError, HttpExchange } from "./http-exchange.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

export interface HttpTransportOptions {
  /** `https://HOST:PORT`. */
  readonly server: string;
  /** PEM of the authorities to trust; absent: those of the host. */
  readonly ca?: string | Buffer | undefined;
  /** PEM client certificate and its key. */
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** Bearer token. */
  readonly token?: string | undefined;
  /** File with a bearer token; read again once a minute at most. */
  readonly tokenFile?: string | undefined;
  /** Name to expect in the server's certificate instead of the host in `server`. */
  readonly serverName?: string | undefined;
  readonly insecureSkipTlsVerify?: boolean | undefined;
  readonly clock?: Clock | undefined;
}

const TOKEN_TTL_MS = 60_000;
const STREAM_WINDOW = 1 << 20;
const SESSION_WINDOW = 1 << 23;
const KEEP_ALIVE_MS = 30_000;
/** What a server that has not said it yet is taken to allow. */
const USUAL_STREAMS = 100;

const LIMITS = { streamWindowBytes: STREAM_WINDOW, connectionWindowBytes: SESSION_WINDOW };

/**
 * HTTP/2 over TLS. One connection as long as the server allows enough streams on it; a lost or refused connection is
 * replaced on the next request. Requests that never got out reject with the socket's error.
 */
export function createHttpTransport(options: HttpTransportOptions): Transport {
  const clock = options.clock ?? systemClock;
  const url = new URL(options.server);
  const connections = new Map<Http2Connection, Socket>();
  const http2 = createHttp2Client({ limits: LIMITS });
  const readToken = tokenReader(options, clock);

  function open(): Http2Connection {
    const socket = connectTo(url, options);
    const retire = (): void => void connections.delete(connection);
    const connection = http2.begin(socket, { onGoaway: retire, onClose: retire });
    connections.set(connection, socket);
    return connection;
  }

  function pick(): Http2Connection {
    for (const connection of connections.keys()) {
      const { maxStreams } = connection;
      const limit = maxStreams === Number.POSITIVE_INFINITY ? USUAL_STREAMS : maxStreams;
      if (!connection.isClosing && connection.streamCount < limit) return connection;
    }
    return open();
  }

  return {
    request(request: TransportRequest): Promise<TransportResponse> {
      return new Promise((resolve, reject) => {
        const { signal, method, path } = request;
        if (signal?.aborted) {
          reject(signal.reason as Error);
          return;
        }
        const connection = pick();
        const token = readToken();
        const exchange = new HttpExchange(options.server, () => connection.reason, resolve, reject);
        const stream = connection.request(
          { ":method": method, ":scheme": url.protocol.slice(0, -1), ":authority": url.host, ":path": path },
          token === undefined ? request.headers : { ...request.headers, authorization: `Bearer ${token}` },
          request.body === undefined,
          exchange,
        );
        if (stream === undefined) reject(new ConnectionLostError(`connection to ${options.server} was lost`));
        else exchange.start(stream, request);
      });
    },
    async [Symbol.asyncDispose]() {
      const open = [...connections];
      await Promise.all(
        open.map(([connection, socket]) => {
          const closed = new Promise<void>((resolve) => (socket.closed ? resolve() : socket.once("close", resolve)));
          connection.destroy();
          return closed;
        }),
      );
    },
  };
}

function connectTo(url: URL, options: HttpTransportOptions): Socket {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const isPlain = url.protocol === "http:";
  const port = url.port === "" ? (isPlain ? 80 : 443) : Number(url.port);
  const socket = isPlain ? connectPlain({ host, port }) : secure(host, port, options);
  socket.setNoDelay(true);
  // The kernel finds out that a peer vanished; no timer here.
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
}

function secure(host: string, port: number, options: HttpTransportOptions): TLSSocket {
  const { ca, cert, key, serverName } = options;
  const servername = serverName ?? (isIP(host) === 0 ? host : undefined);
  const socket = connectTls({
    host,
    port,
    ALPNProtocols: ["h2"],
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
    rejectUnauthorized: options.insecureSkipTlsVerify !== true,
  });
  socket.once("secureConnect", () => {
    if (socket.alpnProtocol !== "h2") socket.destroy(new ConnectionLostError(`${host}:${port} does not speak HTTP/2`));
  });
  return socket;
}

function tokenReader(options: HttpTransportOptions, clock: Clock): () => string | undefined {
  const { tokenFile } = options;
  if (tokenFile === undefined) return () => options.token;
  let token: string | undefined;
  let readAt = 0;
  return () => {
    const now = clock.now();
    if (token === undefined || now - readAt >= TOKEN_TTL_MS) {
      token = readFileSync(tokenFile, "utf8").trim();
      readAt = now;
    }
    return token;
  };
}
