import { request as httpRequest, type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { gunzipSync, inflateSync } from "node:zlib";
import { badRequest, serviceUnavailable, statusError, type StatusError } from "@coracle/apimachinery";
import type { ApiRequest } from "../server/api-request.ts";
import type { ResponseHeaders } from "../server/exchange.ts";
import { proxiedLocation, withProxiedLinks } from "./proxied-links.ts";
import { forwardedHeaders, type Backend } from "./tunnel.ts";

const HOP_HEADERS = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const ERROR_BODY_LIMIT = 64 * 1024;

export interface ProxyOptions {
  readonly method?: string;
  /** Answers of the backend that are failures become a Status of this server. */
  readonly turnsErrorsIntoStatus?: boolean;
  /** What the client is told about the body's type, whatever the backend says. */
  readonly contentType?: string;
  /** Path of this server that stands for the backend's root: its pages' links and redirects are led through it. */
  readonly linkPrefix?: string;
}

function ask(request: ApiRequest, backend: Backend, options: ProxyOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = forwardedHeaders(request);
    for (const name of HOP_HEADERS) delete headers[name];
    const settings: RequestOptions & { rejectUnauthorized?: boolean; cert?: string; key?: string; ca?: string } = {
      host: backend.host,
      port: backend.port,
      path: backend.path,
      method: options.method ?? request.exchange.method,
      headers: headers as Record<string, string>,
      agent: false,
    };
    if (backend.isTls) {
      const { tls } = backend;
      if (tls?.cert !== undefined) Object.assign(settings, { cert: tls.cert, key: tls.key });
      if (tls?.ca === undefined) settings.rejectUnauthorized = false;
      else settings.ca = tls.ca;
    }
    const outgoing: ClientRequest = backend.isTls ? httpsRequest(settings) : httpRequest(settings);
    const onAbort = (): void => void outgoing.destroy();
    request.signal.addEventListener("abort", onAbort, { once: true });
    outgoing.once("response", resolve);
    outgoing.once("error", (error) =>
      reject(serviceUnavailable(`error trying to reach service: ${error.message}`, { cause: error })),
    );
    void sendBody(request, outgoing);
  });
}

async function sendBody(request: ApiRequest, outgoing: ClientRequest): Promise<void> {
  const { method } = request.exchange;
  try {
    if (method !== "GET" && method !== "HEAD") {
      for await (const chunk of request.exchange.bodyStream()) {
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

/** Passes a request on and the answer back, as it comes. */
export async function proxyRequest(request: ApiRequest, backend: Backend, options: ProxyOptions = {}): Promise<void> {
  const answer = await ask(request, backend, options);
  const status = answer.statusCode ?? 502;
  if (options.turnsErrorsIntoStatus === true && status >= 400) throw await failureOf(answer);
  const headers: ResponseHeaders = { "audit-id": request.auditId };
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value !== undefined && !HOP_HEADERS.has(name)) headers[name] = value;
  }
  if (options.contentType !== undefined) headers["content-type"] = options.contentType;
  const { linkPrefix } = options;
  if (linkPrefix !== undefined) {
    const { location } = answer.headers;
    const host = `${backend.host}:${backend.port}`;
    if (location !== undefined) headers["location"] = proxiedLocation(location, linkPrefix, host);
    if (isPage(answer) && request.exchange.method !== "HEAD")
      return await sendPage(request, answer, status, headers, linkPrefix);
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

const DECODERS = { gzip: gunzipSync, deflate: inflateSync, "": (bytes: Buffer): Buffer => bytes } as const;
const encodingOf = (answer: IncomingMessage): string => answer.headers["content-encoding"] ?? "";

/** A page whose links can be read. */
function isPage(answer: IncomingMessage): boolean {
  return /^text\/html\b/i.test(answer.headers["content-type"] ?? "") && Object.hasOwn(DECODERS, encodingOf(answer));
}

async function sendPage(
  request: ApiRequest,
  answer: IncomingMessage,
  status: number,
  headers: ResponseHeaders,
  linkPrefix: string,
): Promise<void> {
  const parts: Buffer[] = [];
  for await (const chunk of answer) parts.push(chunk as Buffer);
  const encoded = Buffer.concat(parts);
  const bytes = encoded.length === 0 ? encoded : DECODERS[encodingOf(answer) as keyof typeof DECODERS](encoded);
  // Latin-1 keeps every byte as it is, whatever the page's character set.
  const page = Buffer.from(withProxiedLinks(bytes.toString("latin1"), linkPrefix), "latin1");
  delete headers["content-encoding"];
  headers["content-length"] = page.length;
  request.exchange.send(status, headers, page);
}
