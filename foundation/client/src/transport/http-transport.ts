import { readFileSync } from "node:fs";
import { connect, constants, type ClientHttp2Session, type SecureClientSessionOptions } from "node:http2";
import { onAbort, systemClock, type Clock } from "@coracle/base";
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

interface Session {
  readonly http2: ClientHttp2Session;
  usable: boolean;
  streams: number;
}

/**
 * HTTP/2 over TLS. One connection as long as the server allows enough streams on it; a lost or refused connection is
 * replaced on the next request. Requests that never got out reject with the socket's error.
 */
export function createHttpTransport(options: HttpTransportOptions): Transport {
  const clock = options.clock ?? systemClock;
  const sessions = new Set<Session>();
  const readToken = tokenReader(options, clock);

  function open(): Session {
    const tls: SecureClientSessionOptions & { keepAlive: boolean; keepAliveInitialDelay: number } = {
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      ...(options.cert === undefined ? {} : { cert: options.cert }),
      ...(options.key === undefined ? {} : { key: options.key }),
      ...(options.serverName === undefined ? {} : { servername: options.serverName }),
      rejectUnauthorized: options.insecureSkipTlsVerify !== true,
      settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
      // The kernel finds out that a peer vanished; no timer here.
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    };
    const http2 = connect(options.server, tls);
    const session: Session = { http2, usable: true, streams: 0 };
    const retire = (): void => {
      session.usable = false;
      sessions.delete(session);
      if (!http2.closed) http2.close();
    };
    http2.on("connect", () => http2.setLocalWindowSize(SESSION_WINDOW));
    http2.on("error", retire); // every stream on it reports the error itself
    http2.on("goaway", retire);
    http2.on("close", retire);
    sessions.add(session);
    return session;
  }

  function pick(): Session {
    for (const session of sessions) {
      const limit = session.http2.connecting ? 100 : (session.http2.remoteSettings.maxConcurrentStreams ?? 100);
      if (session.usable && !session.http2.closed && !session.http2.destroyed && session.streams < limit)
        return session;
    }
    return open();
  }

  return {
    request(request: TransportRequest): Promise<TransportResponse> {
      return new Promise((resolve, reject) => {
        const { signal } = request;
        if (signal?.aborted) {
          reject(signal.reason as Error);
          return;
        }
        const session = pick();
        const token = readToken();
        const stream = session.http2.request(
          {
            ":method": request.method,
            ":path": request.path,
            ...request.headers,
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
          { endStream: request.body === undefined },
        );
        session.streams++;
        const link =
          signal === undefined
            ? undefined
            : onAbort(signal, () => {
                stream.close(constants.NGHTTP2_CANCEL);
                stream.destroy(signal.reason as Error);
                reject(signal.reason as Error);
              });
        // Until someone iterates the body, errors land here; `reject` after the answer came does nothing.
        stream.on("error", reject);
        stream.once("close", () => {
          session.streams--;
          link?.[Symbol.dispose]();
          reject(new ConnectionLostError(`connection to ${options.server} was lost`));
        });
        stream.once("response", (headers) => {
          resolve({ status: headers[":status"] ?? 0, headers, body: stream as AsyncIterable<Buffer> });
        });
        if (request.body !== undefined) stream.end(request.body);
      });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(
        [...sessions].map(
          (session) =>
            new Promise<void>((resolve) => {
              if (session.http2.destroyed) resolve();
              else {
                session.http2.once("close", () => resolve());
                session.http2.destroy();
              }
            }),
        ),
      );
    },
  };
}

/** The connection ended before the answer came. */
class ConnectionLostError extends Error {
  readonly code = "ECONNRESET";
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
