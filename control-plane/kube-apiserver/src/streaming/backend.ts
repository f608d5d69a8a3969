import type { Agent } from "node:https";
import type { ConnectionOptions } from "node:tls";
import { describeFailure } from "../outbound/outbound-error.ts";
import type { ApiRequest } from "../server/api-request.ts";

/** How a backend's certificate is looked at, and what it is shown. PEM texts. */
export interface BackendTls {
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Authorities that the certificate must come from; absent: see `verifies`. */
  readonly ca?: string | undefined;
  /** Without `ca`: true asks the host's own authorities, otherwise nobody is asked. */
  readonly verifies?: boolean | undefined;
  /** Name that the certificate must be for; absent: the host connected to. */
  readonly serverName?: string | undefined;
}

/** The other end of a tunnel or a proxied request. */
export interface Backend {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** Path with query. */
  readonly path: string;
  readonly tls?: BackendTls | undefined;
  /** Keeps connections for the next request; absent: one connection a request. */
  readonly agent?: Agent | undefined;
  /** What is said in the Host header; absent: what the client said. */
  readonly hostHeader?: string | undefined;
  /** Headers in place of the client's of the same names; undefined: none of that name goes on. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
  /** The moment of the attempt, for messages about a certificate's validity. */
  readonly now: number;
}

/** Why a backend could not be reached, in the words that users of a Kubernetes API server know. */
export function dialErrorText(error: unknown, { host, port, tls, now }: Backend): string {
  const isNoTls = error instanceof Error && error.message.includes("wrong version number");
  if (isNoTls) return "tls: first record does not look like a TLS handshake";
  return describeFailure(error, { host, port, serverName: tls?.serverName ?? host, now }).message;
}

/** The kernel would go on trying for minutes. */
export function dialTimeout({ host, port }: Backend): Error {
  return new Error(`dial tcp ${host.includes(":") ? `[${host}]` : host}:${port}: i/o timeout`);
}

export type ForwardedHeaders = Record<string, string | readonly string[]>;

/** Headers that are between a client and this server only. */
const PRIVATE_HEADERS = new Set([
  "host",
  "authorization",
  "http2-settings",
  "expect",
  "x-remote-user",
  "x-remote-group",
  "x-remote-uid",
]);
const PRIVATE_PREFIXES = ["impersonate-", "x-remote-extra-", ":"];
/** A bearer token dressed as a WebSocket protocol, as browsers must send it. */
const TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io.";

function withoutToken(protocols: string): string {
  if (!protocols.includes(TOKEN_PROTOCOL)) return protocols;
  return protocols
    .split(",")
    .map((name) => name.trim())
    .filter((name) => !name.startsWith(TOKEN_PROTOCOL))
    .join(", ");
}

/** Headers that a client says are for the next hop only. */
const namesInConnection = (connection: string | undefined): string[] =>
  connection === undefined ? [] : connection.split(",").map((name) => name.trim().toLowerCase());

/**
 * What is passed on of a request's headers, credentials left out; `Host` and `X-Forwarded-For` are set. What a client
 * declares to be for this hop only is gone before this server adds its own: nobody can have those taken away.
 */
export function forwardedHeaders(request: ApiRequest, backend: Backend): ForwardedHeaders {
  const { exchange, identityHeaders } = request;
  const incoming = exchange.headers();
  const dropped = new Set(namesInConnection(exchange.header("connection")));
  const isUpgrade = exchange.upgrade !== undefined;
  const prefixes = [...PRIVATE_PREFIXES, ...identityHeaders.prefixes];
  const out: ForwardedHeaders = {};
  for (const [name, value] of Object.entries(incoming)) {
    if (value === undefined || PRIVATE_HEADERS.has(name) || identityHeaders.names.has(name)) continue;
    if (prefixes.some((prefix) => name.startsWith(prefix))) continue;
    if (dropped.has(name) && !(isUpgrade && name === "upgrade")) continue;
    if (name === "sec-websocket-protocol") {
      const protocols = withoutToken(typeof value === "string" ? value : value.join(", "));
      if (protocols !== "") out[name] = protocols;
    } else out[name] = value;
  }
  if (isUpgrade) {
    out["connection"] = "Upgrade";
    // What follows the head is the new protocol's, once it is agreed upon: a body would be read as a request.
    delete out["transfer-encoding"];
    if (out["content-length"] !== undefined) out["content-length"] = "0";
  }
  out["host"] = backend.hostHeader ?? exchange.header("host") ?? exchange.header(":authority") ?? hostOf(backend);
  const before = exchange.header("x-forwarded-for");
  const address = exchange.peer.address.replace(/^::ffff:/, "");
  if (address !== "") out["x-forwarded-for"] = before === undefined ? address : `${before}, ${address}`;
  for (const [name, value] of Object.entries(backend.headers ?? {})) {
    if (value === undefined) delete out[name];
    else out[name] = value;
  }
  return out;
}

/** Host and port as a URL says them. */
export function hostOf({ host, port, isTls }: Pick<Backend, "host" | "port" | "isTls">): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === (isTls ? 443 : 80) ? name : `${name}:${port}`;
}

/** What Node's TLS is told about a backend. */
export function tlsOptions({ host, tls = {} }: Pick<Backend, "host" | "tls">): ConnectionOptions {
  const isName = !/^[\d.]+$|:/.test(host);
  const serverName = tls.serverName ?? (isName ? host : undefined);
  return {
    ...(tls.cert === undefined ? {} : { cert: tls.cert, key: tls.key }),
    ...(tls.ca === undefined
      ? { rejectUnauthorized: tls.verifies === true }
      : { ca: tls.ca, rejectUnauthorized: true }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}
