import { getServers } from "node:dns";
import type { PeerCertificate } from "node:tls";

/** What went wrong on the way: `deadline` and `canceled` are the caller's, the others the network's or the peer's. */
export type OutboundFailure = "deadline" | "canceled" | "resolve" | "connect" | "tls" | "broken" | "tooLarge";

/** A request that got no answer. Its message reads as upstream's: `Post "https://…": dial tcp …`. */
export class OutboundError extends Error {
  readonly failure: OutboundFailure;

  constructor(failure: OutboundFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "OutboundError";
    this.failure = failure;
  }
}

const CONNECT_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ETIMEDOUT: "connection timed out",
  EACCES: "permission denied",
  EADDRNOTAVAIL: "cannot assign requested address",
};

const UNKNOWN_AUTHORITY = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "INVALID_CA",
]);

interface SystemError extends Error {
  readonly code?: string;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
  readonly hostname?: string;
  readonly cert?: PeerCertificate;
  readonly host?: string;
  readonly reason?: string;
}

/** Where a failed connection was meant to go. */
export interface DialedAddress {
  readonly host: string;
  readonly port: number;
  /** The name that the certificate must carry. */
  readonly serverName: string;
  /** The moment of the attempt, for messages about validity. */
  readonly now: number;
}

/** `HOST:PORT`, with brackets where they are needed. */
export const hostPort = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

const utc = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

function listNames(cert: PeerCertificate, prefix: string): string[] {
  const names = (cert.subjectaltname ?? "").split(", ").filter((name) => name.startsWith(prefix));
  return names.map((name) => name.slice(prefix.length));
}

/** Why a certificate is not one for that name. */
function nameMismatch(error: SystemError, serverName: string): string {
  const { cert } = error;
  if (cert === undefined) return `certificate is not valid for ${serverName}`;
  if (/^[\d.]+$|:/.test(serverName)) {
    const addresses = listNames(cert, "IP Address:");
    return addresses.length === 0
      ? `cannot validate certificate for ${serverName} because it doesn't contain any IP SANs`
      : `certificate is valid for ${addresses.join(", ")}, not ${serverName}`;
  }
  const names = listNames(cert, "DNS:");
  const addresses = listNames(cert, "IP Address:");
  if (names.length === 0 && addresses.length === 0) {
    return "certificate relies on legacy Common Name field, use SANs instead";
  }
  return names.length === 0
    ? `certificate is not valid for any names, but wanted to match ${serverName}`
    : `certificate is valid for ${names.join(", ")}, not ${serverName}`;
}

function tlsText(error: SystemError, at: DialedAddress): string | undefined {
  const code = error.code ?? "";
  const verify = (why: string): string => `tls: failed to verify certificate: x509: ${why}`;
  if (UNKNOWN_AUTHORITY.has(code)) return verify("certificate signed by unknown authority");
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return verify(nameMismatch(error, at.serverName));
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    const isLate = code === "CERT_HAS_EXPIRED";
    const { cert } = error;
    const limit = cert === undefined ? undefined : Date.parse(isLate ? cert.valid_to : cert.valid_from);
    const when =
      limit === undefined || Number.isNaN(limit)
        ? ""
        : `: current time ${utc(at.now)} is ${isLate ? "after" : "before"} ${utc(limit)}`;
    return verify(`certificate has expired or is not yet valid${when}`);
  }
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG") {
    return "http: server gave HTTP response to HTTPS client";
  }
  const alert = /^ERR_SSL_(?:TLSV1|SSLV3|TLSV13)_ALERT_(.+)$/.exec(code)?.[1];
  if (alert !== undefined) return `remote error: tls: ${alert.toLowerCase().replaceAll("_", " ")}`;
  if (code.startsWith("ERR_SSL_")) return `tls: ${code.slice("ERR_SSL_".length).toLowerCase().replaceAll("_", " ")}`;
  return undefined;
}

/** What Node says of a failed exchange on a connection, in upstream's words. */
export function describeFailure(error: unknown, at?: DialedAddress): OutboundError {
  const { failure, text } = describe(error, at ?? { host: "", port: 0, serverName: "", now: 0 });
  return new OutboundError(failure, text, { cause: error });
}

function describe(error: unknown, at: DialedAddress): { failure: OutboundFailure; text: string } {
  const failed = error as SystemError;
  const code = failed.code ?? "";
  const { syscall } = failed;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "ENODATA") {
    const [server = ""] = getServers();
    const on = server === "" ? "" : ` on ${/:\d+$/.test(server) ? server : `${server}:53`}`;
    const why = code === "EAI_AGAIN" ? "server misbehaving" : "no such host";
    return { failure: "connect", text: `dial tcp: lookup ${failed.hostname ?? at.host}${on}: ${why}` };
  }
  if (syscall === "connect" || (error instanceof AggregateError && code in CONNECT_ERRORS)) {
    const why = CONNECT_ERRORS[code] ?? failed.message;
    const address = hostPort(failed.address ?? at.host, failed.port ?? at.port);
    return { failure: "connect", text: `dial tcp ${address}: connect: ${why}` };
  }
  const tls = tlsText(failed, at);
  if (tls !== undefined) return { failure: "tls", text: tls };
  if (code === "EPROTO") return { failure: "tls", text: `tls: ${failed.reason ?? failed.message}` };
  if (code === "ECONNRESET" && syscall === "read") {
    return { failure: "broken", text: "read: connection reset by peer" };
  }
  if (code === "EPIPE") {
    return { failure: "broken", text: "write: broken pipe" };
  }
  if (code === "ECONNRESET") return { failure: "broken", text: "EOF" };
  if (code.startsWith("HPE_")) {
    const head = "net/http: HTTP/1.x transport connection broken: malformed HTTP response";
    return { failure: "broken", text: head };
  }
  return { failure: "broken", text: failed.message ?? String(error) };
}
