import { request as httpRequest, type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { gunzipSync, inflateRawSync, inflateSync } from "node:zlib";
import { badRequest, serviceUnavailable, statusError, type StatusError } from "@coracle/apimachinery";
import type { ApiRequest } from "../server/api-request.ts";
import type { ResponseHeaders } from "../server/exchange.ts";
import {
  dialErrorText,
  dialTimeout,
  forwardedHeaders,
  hostOf,
  tlsOptions,
  type Backend,
  type ForwardedHeaders,
} from "./backend.ts";
import { proxiedUrl, withProxiedLinks, type ProxiedPage } from "./proxied-links.ts";

const HOP_HEADERS = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
/** What a backend allows other origins is no say in what this server allows them. */
const CORS_HEADERS = [
  "access-control-allow-credentials",
  "access-control-allow-headers",
  "access-control-allow-methods",
  "access-control-allow-origin",
];
const ERROR_BODY_LIMIT = 64 * 1024;
const PAGE_LIMIT = 64 * 1024 * 1024;
const DIAL_TIMEOUT_MS = 30_000;

export interface ProxyOptions {
  readonly method?: string;
  /** Answers of the backend that are failures become a Status of this server. */
  readonly turnsErrorsIntoStatus?: boolean;
  /** What the client is told about the body's type, whatever the backend says. */
  readonly contentType?: string;
  /** Path of this server that stands for the backend's root: its pages' links and redirects are led through it. */
  readonly linkPrefix?: string;
  /** What goes before the path of such links. */
  readonly linkOrigin?: string;
  /** A redirect is answered with 502 instead of passed on. */
  readonly refusesRedirects?: boolean;
  /** What is thrown when the backend cannot be reached, by the reason in words. Absent: 503. */
  readonly unreachable?: (why: string) => Error;
  /** Ends the exchange with the backend. Absent: only the client's leaving does. */
  readonly signal?: AbortSignal | undefined;
}

function hopFree(headers: ForwardedHeaders): ForwardedHeaders {
  const acceptsTrailers = String(headers["te"] ?? "").includes("trailers");
  for (const name of HOP_HEADERS) delete headers[name];
  if (acceptsTrailers) headers["te"] = "trailers";
  return headers;
}

/** A body whose beginning is known: undefined where there is none. */
async function bodyOf(request: ApiRequest): Promise<AsyncIterable<Buffer> | undefined> {
  const { exchange } = request;
  const length = exchange.header("content-length");
  const isPlain = exchange.method === "GET" || exchange.method === "HEAD";
  if (length === "0") return undefined;
  if (length !== undefined || exchange.header("transfer-encoding") !== undefined) return exchange.bodyStream();
  if (isPlain) return undefined;
  // HTTP/2 says no length: whether there is a body is known when it begins.
  const source = exchange.bodyStream()[Symbol.asyncIterator]();
  const first = await source.next();
  if (first.done === true) return undefined;
  return (async function* () {
    yield first.value;
    for (;;) {
      const next = await source.next();
      if (next.done === true) return;
      yield next.value;
    }
  })();
}

const isReset = (error: NodeJS.ErrnoException): boolean => error.code === "ECONNRESET" || error.code === "EPIPE";

async function ask(request: ApiRequest, backend: Backend, options: ProxyOptions): Promise<IncomingMessage> {
  const headers = hopFree(forwardedHeaders(request, backend));
  if (options.linkPrefix !== undefined)
    headers["x-forwarded-uri"] = options.linkPrefix + backend.path.replace(/\?.*$/, "");
  const body = await bodyOf(request);
  if (body !== undefined && headers["content-length"] === undefined) headers["transfer-encoding"] = "chunked";
  const settings: RequestOptions = {
    host: backend.host,
    port: backend.port,
    path: backend.path,
    method: options.method ?? request.exchange.method,
    headers: headers as Record<string, string>,
    agent: backend.agent ?? false,
    ...(backend.isTls ? tlsOptions(backend) : {}),
  };
  const once = (): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const outgoing: ClientRequest = backend.isTls ? httpsRequest(settings) : httpRequest(settings);
      const signals = [request.signal, options.signal].filter((signal) => signal !== undefined);
      const onAbort = (): void => void outgoing.destroy();
      for (const signal of signals) {
        if (signal.aborted) onAbort();
        signal.addEventListener("abort", onAbort, { once: true });
      }
      outgoing.once("close", () => {
        for (const signal of signals) signal.removeEventListener("abort", onAbort);
      });
      outgoing.once("socket", (socket) => limitDialing(socket, backend));
      outgoing.once("response", resolve);
      outgoing.on("error", (error) => reject(Object.assign(error, { wasReused: outgoing.reusedSocket })));
      void sendBody(body, outgoing);
    });
  const unreachable = (error: unknown): Error => {
    const why = dialErrorText(error, backend);
    return options.unreachable?.(why) ?? serviceUnavailable(`error trying to reach service: ${why}`);
  };
  try {
    return await once();
  } catch (error) {
    const failure = error as NodeJS.ErrnoException & { readonly wasReused?: boolean };
    const isGone = failure.wasReused === true && isReset(failure) && body === undefined;
    // A kept connection that the backend closed meanwhile says nothing about the backend.
    if (isGone && !request.signal.aborted) {
      try {
        return await once();
      } catch (again) {
        throw unreachable(again);
      }
    }
    throw unreachable(error);
  }
}

function limitDialing(socket: Socket, backend: Backend): void {
  if (!socket.connecting) return;
  const expire = (): void => void socket.destroy(dialTimeout(backend));
  socket.setTimeout(DIAL_TIMEOUT_MS, expire);
  const settle = (): void => {
    socket.removeListener("timeout", expire);
    socket.setTimeout(0);
  };
  socket.once("secureConnect", settle);
  socket.once("connect", () => {
    if (!("encrypted" in socket)) settle();
  });
}

async function sendBody(body: AsyncIterable<Buffer> | undefined, outgoing: ClientRequest): Promise<void> {
  try {
    if (body !== undefined) {
      for await (const chunk of body) {
        if (outgoing.destroyed) return;
        if (!outgoing.write(chunk))
          await new Promise((resolve) => outgoing.once("drain", resolve).once("close", resolve));
      }
    }
    outgoing.end();
  } catch {
    // The client left; so does its request.
    outgoing.destroy();
  }
}

async function failureOf(answer: IncomingMessage): Promise<StatusError> {
  let text = "";
  for await (const chunk of answer) {
    text += (chunk as Buffer).toString("utf8");
    if (text.length > ERROR_BODY_LIMIT) break;
  }
  const code = answer.statusCode ?? 500;
  const message = text.trim();
  if (code === 400) return badRequest(message);
  if (code === 404) return statusError("NotFound", "the server could not find the requested resource", {});
  return statusError(
    "InternalError",
    `an error on the server (${JSON.stringify(message)}) has prevented the request from succeeding`,
    {
      causes: [{ reason: "UnexpectedServerResponse", message }],
    },
    { code },
  );
}

/** Passes a request on and the answer back, as it comes. Throws 503 when the backend cannot be reached. */
export async function proxyRequest(request: ApiRequest, backend: Backend, options: ProxyOptions = {}): Promise<void> {
  const answer = await ask(request, backend, options);
  const status = answer.statusCode ?? 502;
  const { location } = answer.headers;
  if (options.turnsErrorsIntoStatus === true && status >= 400) throw await failureOf(answer);
  if (options.refusesRedirects === true && status >= 300 && status <= 399 && location !== undefined) {
    answer.destroy();
    const text = "the backend attempted to redirect this request, which is not permitted";
    const headers = { "audit-id": request.auditId, "content-type": "text/plain; charset=utf-8" };
    request.exchange.send(502, headers, Buffer.from(text));
    return;
  }
  const headers: ResponseHeaders = { "audit-id": request.auditId, "cache-control": "no-cache, private" };
  const named = (answer.headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value !== undefined && !HOP_HEADERS.has(name) && !named.includes(name)) headers[name] = value;
  }
  if (options.contentType !== undefined) headers["content-type"] = options.contentType;
  const { linkPrefix } = options;
  if (linkPrefix !== undefined) {
    for (const name of CORS_HEADERS) delete headers[name];
    const host = request.exchange.header("host") ?? request.exchange.header(":authority") ?? "";
    const page: ProxiedPage = {
      prefix: linkPrefix,
      origin: options.linkOrigin,
      hosts: [hostOf(backend), (backend.hostHeader ?? host).toLowerCase()],
    };
    if (location !== undefined) headers["location"] = proxiedUrl(location, page);
    else if (isPage(answer) && request.exchange.method !== "HEAD")
      return await sendPage(request, answer, status, headers, page);
  }
  const isEmpty = request.exchange.method === "HEAD" || status === 204 || status === 304;
  if (isEmpty) {
    answer.resume();
    request.exchange.send(status, headers, undefined);
    return;
  }
  const body = request.exchange.stream(status, headers);
  body.onClose(() => answer.destroy());
  try {
    for await (const chunk of answer) {
      if (!body.write(chunk as Buffer)) await body.drained();
      if (body.isClosed) return;
    }
    body.end();
  } catch {
    // Half an answer: the client must see that it was cut.
    body.abort();
  }
}

/** `deflate` is zlib's format by the letter and raw in practice. */
function inflate(bytes: Buffer): Buffer {
  try {
    return inflateSync(bytes, BOMB_LIMIT);
  } catch {
    return inflateRawSync(bytes, BOMB_LIMIT);
  }
}

const BOMB_LIMIT = { maxOutputLength: PAGE_LIMIT };
const DECODERS = {
  gzip: (bytes: Buffer): Buffer => gunzipSync(bytes, BOMB_LIMIT),
  deflate: inflate,
  "": (bytes: Buffer): Buffer => bytes,
} as const;
const encodingOf = (answer: IncomingMessage): string => answer.headers["content-encoding"] ?? "";

/** A page whose links can be read. */
function isPage(answer: IncomingMessage): boolean {
  const type = (answer.headers["content-type"] ?? "").replace(/;.*$/s, "").trim();
  const length = Number(answer.headers["content-length"] ?? 0);
  return type === "text/html" && length <= PAGE_LIMIT && Object.hasOwn(DECODERS, encodingOf(answer));
}

async function sendPage(
  request: ApiRequest,
  answer: IncomingMessage,
  status: number,
  headers: ResponseHeaders,
  page: ProxiedPage,
): Promise<void> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    parts.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > PAGE_LIMIT) throw serviceUnavailable("error trying to reach service: the page is too large");
  }
  const encoded = Buffer.concat(parts);
  const bytes = encoded.length === 0 ? encoded : DECODERS[encodingOf(answer) as keyof typeof DECODERS](encoded);
  // Latin-1 keeps every byte as it is, whatever the page's character set.
  const text = Buffer.from(withProxiedLinks(bytes.toString("latin1"), page), "latin1");
  delete headers["content-encoding"];
  headers["content-length"] = text.length;
  request.exchange.send(status, headers, text);
}
