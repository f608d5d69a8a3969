import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";

export interface HttpRequest {
  readonly method?: "GET" | "HEAD" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Further authorities to trust, PEM. */
  readonly ca?: string | undefined;
  readonly skipVerify?: boolean | undefined;
}

const MOST_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** One HTTP request that follows redirects; credentials are not carried to another host. The caller reads the body to its end or destroys it. */
export async function httpFetch(url: string, options: HttpRequest = {}): Promise<IncomingMessage> {
  let at = new URL(url);
  let headers: Record<string, string> = { ...options.headers };
  for (let hop = 0; ; hop++) {
    const response = await send(at, { ...options, headers });
    const location = response.headers.location;
    if (!REDIRECTS.has(response.statusCode ?? 0) || location === undefined) return response;
    response.resume();
    if (hop === MOST_REDIRECTS) throw new Error(`${options.method ?? "GET"} "${url}": stopped after ${hop} redirects`);
    const next = new URL(location, at);
    if (next.host !== at.host) headers = withoutCredentials(headers);
    at = next;
  }
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== "authorization"));
}

const IDLE_LIMIT_MS = 60_000;

function send(url: URL, options: HttpRequest): Promise<IncomingMessage> {
  const { method = "GET", headers = {}, body, signal, ca, skipVerify } = options;
  return new Promise((resolve, reject) => {
    const isTls = url.protocol === "https:";
    const outgoing = (isTls ? httpsRequest : httpRequest)(
      url,
      {
        method,
        headers: { "user-agent": "coracle", ...headers },
        ...(signal === undefined ? {} : { signal }),
        ...(isTls && ca !== undefined ? { ca } : {}),
        ...(isTls && skipVerify === true ? { rejectUnauthorized: false } : {}),
        timeout: IDLE_LIMIT_MS,
      },
      resolve,
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error("i/o timeout")));
    outgoing.on("error", (cause: NodeJS.ErrnoException) => {
      reject(
        new Error(
          `failed to do request: ${method === "HEAD" ? "Head" : "Get"} "${url.href}": ${describe(cause, url)}`,
          { cause },
        ),
      );
    });
    outgoing.end(body);
  });
}

function describe(
  error: NodeJS.ErrnoException & { readonly address?: string; readonly port?: number },
  url: URL,
): string {
  const first = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error;
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  const target = `${error.address ?? url.hostname}:${error.port ?? port}`;
  if (first.code === "ECONNREFUSED") return `dial tcp ${target}: connect: connection refused`;
  if (first.code === "ENOTFOUND" || first.code === "EAI_AGAIN") return `dial tcp: lookup ${url.hostname}: no such host`;
  if (first.code === "ENETUNREACH") return `dial tcp ${target}: connect: network is unreachable`;
  return first.message;
}

/** The whole body as text; refuses more than `limit` bytes. */
export async function readBody(response: IncomingMessage, limit = 8 << 20): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) {
      response.destroy();
      throw new Error(`answer is larger than ${limit} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
