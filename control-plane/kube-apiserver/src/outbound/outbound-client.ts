import { connect as connectHttp2, constants, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Readable } from "node:stream";
import { linkSignal, onAbort, type Clock } from "@coracle/base";
import { dial } from "./dial.ts";
import { describeFailure, OutboundError } from "./outbound-error.ts";
import type { OutboundTarget } from "./target.ts";

/** Header names are lower case. */
export type OutboundHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface OutboundRequest {
  readonly method: string;
  /** Below the target's path: `""` or `/…`, with the query. */
  readonly path: string;
  readonly headers: OutboundHeaders;
  readonly body?: Buffer | Readable | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An answer whose head has come. The body must be read to its end, or destroyed. */
export interface OutboundResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Buffer> & { destroy(error?: Error): unknown };
}

/** An answer as a whole. */
export interface OutboundAnswer {
  readonly status: number;
  readonly headers: OutboundHeaders;
  readonly body: Buffer;
}

/** A connection that speaks another protocol from here on. */
export interface OutboundTunnel {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly socket: Socket;
  /** Bytes of the new protocol that came with the head. */
  readonly head: Buffer;
}

/**
 * The one way this server calls out. Connections are kept and shared between requests to equal targets; at most
 * `maxCalls` calls of one target run at a time, others wait for them; what is sent on for a client is not held back. Failures are OutboundErrors.
 */
export interface OutboundClient extends AsyncDisposable {
  /** Resolves when the head of the answer has come. */
  send(target: OutboundTarget, request: OutboundRequest): Promise<OutboundResponse>;
  /** Reads the whole answer, of `maxBytes` at most, within `timeoutMs`. */
  call(
    target: OutboundTarget,
    request: OutboundRequest & { readonly timeoutMs?: number | undefined; readonly maxBytes?: number | undefined },
  ): Promise<OutboundAnswer>;
  /** Asks for another protocol (`upgrade` is among the headers). An answer other than 101 comes as a response. */
  upgrade(target: OutboundTarget, request: OutboundRequest): Promise<OutboundTunnel | OutboundResponse>;
}

export interface OutboundClientOptions {
  readonly clock: Clock;
  /** To one target at a time. */
  readonly maxCalls?: number | undefined;
}

const MAX_CALLS = 256;
const MAX_FREE_CONNECTIONS = 25;
const IDLE_MS = 90_000;
/** Of a whole answer. */
export const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/** Connections to one kind of target. */
interface Pool {
  readonly agent: Agent;
  /** Connections that were made to find out what the peer speaks. */
  readonly ready: Socket[];
  /** What the peer speaks, once known. */
  protocol: "unknown" | "http1" | "http2";
  session: ClientHttp2Session | undefined;
  lastUse: number;
  /** Calls under way, and those that wait for one of them to end. */
  active: number;
  readonly waiting: Set<() => void>;
}

const MAX_POOLS = 64;

export function createOutboundClient(options: OutboundClientOptions): OutboundClient {
  const { clock, maxCalls = MAX_CALLS } = options;
  const pools = new Map<string, Pool>();

  function poolOf(target: OutboundTarget): Pool {
    const { identity } = target;
    const key = [target.origin, target.serverName, target.ca, identity?.cert, identity?.key, target.mayHttp2].join("|");
    let pool = pools.get(key);
    if (pool === undefined) {
      forgetOldest();
      pool = createPool(target);
      pools.set(key, pool);
    }
    pool.lastUse = clock.monotonicMs();
    return pool;
  }

  function createPool(target: OutboundTarget): Pool {
    const limits = { maxFreeSockets: MAX_FREE_CONNECTIONS, timeout: IDLE_MS };
    const agent = new Agent({ keepAlive: true, scheduling: "lifo", ...limits });
    const ready: Socket[] = [];
    agent.createConnection = (_options, done) => {
      const known = ready.pop();
      if (known !== undefined) return known;
      dial(target, clock, undefined, ["http/1.1"]).then(
        (socket) => done?.(null, socket),
        (error: Error) => done?.(error, undefined as unknown as Socket),
      );
      return undefined;
    };
    return {
      agent,
      ready,
      protocol: target.mayHttp2 ? "unknown" : "http1",
      session: undefined,
      lastUse: 0,
      active: 0,
      waiting: new Set(),
    };
  }

  /** Configurations come and go: what was not used for longest makes room. */
  function forgetOldest(): void {
    if (pools.size < MAX_POOLS) return;
    const [oldest] = [...pools].toSorted((a, b) => a[1].lastUse - b[1].lastUse);
    if (oldest === undefined) return;
    pools.delete(oldest[0]);
    oldest[1].session?.close();
    oldest[1].agent.destroy();
  }

  const fail = (target: OutboundTarget, request: OutboundRequest, error: unknown): OutboundError => {
    const verb = request.method.charAt(0) + request.method.slice(1).toLowerCase();
    const url = `${verb} "${target.origin}${target.path}${request.path}"`;
    const { signal } = request;
    if (signal?.aborted === true) {
      const isLate = signal.reason instanceof OutboundError && signal.reason.failure === "deadline";
      const why = isLate ? "context deadline exceeded" : "context canceled";
      return new OutboundError(isLate ? "deadline" : "canceled", `${url}: ${why}`, { cause: error });
    }
    const known = error instanceof OutboundError ? error : describeFailure(error);
    return new OutboundError(known.failure, `${url}: ${known.message}`, { cause: error });
  };

  /** Waits for a place among the calls to a target. */
  async function enter(pool: Pool, signal: AbortSignal): Promise<void> {
    if (pool.active < maxCalls) {
      pool.active++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const link = onAbort(signal, () => {
        pool.waiting.delete(take);
        reject(signal.reason as Error);
      });
      const take = (): void => {
        link[Symbol.dispose]();
        resolve();
      };
      if (!signal.aborted) pool.waiting.add(take);
    });
  }

  /** Hands the place on to who waits for longest. */
  function leave(pool: Pool): void {
    const [next] = pool.waiting;
    if (next === undefined) pool.active--;
    else {
      pool.waiting.delete(next);
      next();
    }
  }

  async function readAll(target: OutboundTarget, request: OutboundRequest, maxBytes: number): Promise<OutboundAnswer> {
    const response = await send(target, request);
    const parts: Buffer[] = [];
    let size = 0;
    try {
      for await (const part of response.body) {
        size += part.length;
        if (size > maxBytes) throw new OutboundError("tooLarge", `response is longer than ${maxBytes} bytes`);
        parts.push(part);
      }
      request.signal?.throwIfAborted();
    } catch (error) {
      response.body.destroy();
      if (error instanceof OutboundError && error.failure === "tooLarge") throw readFailure(error);
      const failed = fail(target, request, error);
      if (failed.failure !== "broken") throw failed;
      throw readFailure(new OutboundError("broken", "unexpected EOF", { cause: error }));
    }
    return { status: response.status, headers: response.headers, body: Buffer.concat(parts, size) };
  }

  async function send(target: OutboundTarget, request: OutboundRequest): Promise<OutboundResponse> {
    if (target.self !== undefined) return sendToSelf(target, request);
    try {
      request.signal?.throwIfAborted();
      const pool = poolOf(target);
      const live = pool.session;
      if (live !== undefined && !live.closed && !live.destroyed) return await sendHttp2(live, target, request);
      if (pool.protocol !== "http1") {
        const probe = await dial(target, clock, request.signal, ["h2", "http/1.1"]);
        if ((probe as TLSSocket).alpnProtocol === "h2") {
          return await sendHttp2(adopt(pool, target, probe), target, request);
        }
        pool.protocol = "http1";
        pool.ready.push(probe);
        const answer = sendHttp1(pool.agent, target, request);
        // Another connection had become free meanwhile: this one would only grow old.
        const unused = pool.ready.indexOf(probe);
        if (unused !== -1) pool.ready.splice(unused, 1)[0]?.destroy();
        return await answer;
      }
      return await sendHttp1(pool.agent, target, request);
    } catch (error) {
      throw fail(target, request, error);
    }
  }

  return {
    send,
    async call(target, request) {
      using link = linkSignal(request.signal);
      const { timeoutMs, maxBytes = MAX_ANSWER_BYTES } = request;
      using _timer =
        timeoutMs === undefined
          ? undefined
          : clock.after(timeoutMs, () => link.abort(new OutboundError("deadline", "context deadline exceeded")));
      const linked = { ...request, signal: link.signal };
      if (target.self !== undefined) return readAll(target, linked, maxBytes);
      const pool = poolOf(target);
      try {
        await enter(pool, link.signal);
      } catch (error) {
        throw fail(target, linked, error);
      }
      try {
        return await readAll(target, linked, maxBytes);
      } finally {
        leave(pool);
      }
    },
    async upgrade(target, request) {
      try {
        request.signal?.throwIfAborted();
        return await upgradeHttp1(target, request, await dial(target, clock, request.signal, ["http/1.1"]));
      } catch (error) {
        throw fail(target, request, error);
      }
    },
    async [Symbol.asyncDispose]() {
      const closing = [...pools.values()].map((pool) => {
        pool.agent.destroy();
        const { session } = pool;
        if (session === undefined || session.destroyed) return Promise.resolve();
        return new Promise<void>((resolve) => {
          session.once("close", () => resolve());
          session.destroy();
        });
      });
      pools.clear();
      await Promise.all(closing);
    },
  };
}

const readFailure = (error: OutboundError): OutboundError =>
  new OutboundError(
    error.failure,
    `unexpected error when reading response body. Please retry. Original error: ${error.message}`,
    { cause: error },
  );

/** Makes an HTTP/2 session of a connection, shared by all requests that follow. */
function adopt(pool: Pool, target: OutboundTarget, socket: Socket): ClientHttp2Session {
  const session = connectHttp2(target.origin, { createConnection: () => socket, settings: { enablePush: false } });
  pool.protocol = "http2";
  pool.session = session;
  const retire = (): void => {
    if (pool.session === session) pool.session = undefined;
    if (!session.closed) session.close();
  };
  session.on("error", retire);
  session.on("goaway", retire);
  session.on("close", retire);
  // An idle connection keeps no process alive.
  session.unref();
  return session;
}

function headersFor(target: OutboundTarget, request: OutboundRequest): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { "user-agent": "kube-apiserver-admission" };
  for (const [name, value] of Object.entries(request.headers)) {
    if (typeof value === "string") headers[name] = value;
    else if (value !== undefined) headers[name] = [...value];
  }
  const authorization = target.identity?.authorization?.();
  if (authorization !== undefined) headers["authorization"] = authorization;
  Object.assign(headers, target.identity?.headers);
  if (Buffer.isBuffer(request.body)) headers["content-length"] = String(request.body.length);
  return headers;
}

const pathOf = (target: OutboundTarget, request: OutboundRequest): string => {
  const path = encodeURI(target.path) + request.path;
  return path.startsWith("/") ? path : `/${path}`;
};

const hostOf = ({ origin }: OutboundTarget): string => origin.replace(/^https?:\/\//, "");

function sendHttp1(
  agent: Agent,
  target: OutboundTarget,
  request: OutboundRequest,
  isRetry = false,
): Promise<OutboundResponse> {
  return new Promise((resolve, reject) => {
    const { signal, body } = request;
    const sent = httpRequest({
      // The agent makes the connection, encrypted where it must be.
      method: request.method,
      path: pathOf(target, request),
      headers: { ...headersFor(target, request), host: hostOf(target) },
      agent,
    });
    const link =
      signal === undefined
        ? undefined
        : onAbort(signal, () => {
            sent.destroy(signal.reason as Error | undefined);
            // A request that still waits for its connection does not say that it ended.
            reject(signal.reason as Error);
          });
    sent.once("close", () => link?.[Symbol.dispose]());
    sent.once("response", (response: IncomingMessage) => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response });
    });
    sent.once("error", (error: NodeJS.ErrnoException) => {
      // The peer closed an idle connection the moment it was taken again: nothing was asked yet.
      const isStale = sent.reusedSocket && error.code === "ECONNRESET" && !isRetry && signal?.aborted !== true;
      if (isStale && (body === undefined || Buffer.isBuffer(body))) {
        resolve(sendHttp1(agent, target, request, true));
      } else reject(error);
    });
    if (body === undefined || Buffer.isBuffer(body)) sent.end(body);
    else body.pipe(sent);
  });
}

function upgradeHttp1(
  target: OutboundTarget,
  request: OutboundRequest,
  socket: Socket,
): Promise<OutboundTunnel | OutboundResponse> {
  return new Promise((resolve, reject) => {
    const { signal } = request;
    const sent = httpRequest({
      agent: false,
      createConnection: () => socket,
      method: request.method,
      path: pathOf(target, request),
      headers: { ...headersFor(target, request), host: hostOf(target) },
    });
    const link =
      signal === undefined
        ? undefined
        : onAbort(signal, () => {
            sent.destroy(signal.reason as Error | undefined);
            // A request that still waits for its connection does not say that it ended.
            reject(signal.reason as Error);
          });
    sent.once("close", () => link?.[Symbol.dispose]());
    sent.once("upgrade", (response: IncomingMessage, stream: Socket, head: Buffer) => {
      resolve({ status: response.statusCode ?? 101, headers: response.headers, socket: stream, head });
    });
    sent.once("response", (response: IncomingMessage) => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response });
    });
    sent.once("error", reject);
    sent.end();
  });
}

const CONNECTION_HEADERS = new Set(["connection", "host", "keep-alive", "transfer-encoding", "upgrade"]);

function sendHttp2(
  session: ClientHttp2Session,
  target: OutboundTarget,
  request: OutboundRequest,
): Promise<OutboundResponse> {
  return new Promise((resolve, reject) => {
    const { signal, body } = request;
    const headers = Object.entries(headersFor(target, request)).filter(([name]) => !CONNECTION_HEADERS.has(name));
    const stream = session.request(
      { ...Object.fromEntries(headers), ":method": request.method, ":path": pathOf(target, request) },
      { endStream: body === undefined },
    );
    session.ref();
    const link =
      signal === undefined
        ? undefined
        : onAbort(signal, () => {
            stream.close(constants.NGHTTP2_CANCEL);
            stream.destroy(signal.reason as Error | undefined);
            reject(signal.reason as Error);
          });
    stream.on("error", reject);
    stream.once("close", () => {
      link?.[Symbol.dispose]();
      if (!session.destroyed) session.unref();
      reject(Object.assign(new Error("EOF"), { code: "ECONNRESET" }));
    });
    stream.once("response", (head) => resolve({ status: head[":status"] ?? 0, headers: head, body: stream }));
    if (body === undefined) return;
    if (Buffer.isBuffer(body)) stream.end(body);
    else body.pipe(stream);
  });
}

/** A request of this server to itself: through all its filters, without a socket. */
async function sendToSelf(target: OutboundTarget, request: OutboundRequest): Promise<OutboundResponse> {
  const { body } = request;
  const parts: Buffer[] = [];
  if (body !== undefined && !Buffer.isBuffer(body)) for await (const part of body) parts.push(part as Buffer);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = typeof value === "string" ? value : value.join(", ");
  }
  const answer = await target.self!().request({
    method: request.method,
    path: pathOf(target, request),
    headers,
    body: Buffer.isBuffer(body) ? body : body === undefined ? undefined : Buffer.concat(parts),
    signal: request.signal,
  });
  return {
    status: answer.status,
    headers: answer.headers as IncomingHttpHeaders,
    body: Object.assign(answer.body, { destroy: () => undefined }),
  };
}
