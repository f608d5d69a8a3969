import { gzip } from "node:zlib";
import { promisify } from "node:util";
import { StatusError } from "@coracle/apimachinery";
import type { ApiRequest } from "./api-request.ts";
import type { ResponseHeaders } from "./exchange.ts";
import { CONTENT_TYPES, wantsPretty, type MediaType } from "./negotiation.ts";

/** Below this a compressed answer is not worth its CPU time. */
export const GZIP_THRESHOLD_BYTES = 128 * 1024;
const gzipAsync = promisify(gzip);

/** Quotes and backslashes are escaped, control characters left out: what a quoted string in a header may hold. */
function warningText(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/["\\]/g, "\\$&").replace(/[^ -~]/g, " ");
}

/** Headers that every answer carries. */
export function baseHeaders(request: ApiRequest, contentType: string): ResponseHeaders {
  const headers: ResponseHeaders = {
    "audit-id": request.auditId,
    "cache-control": "no-cache, private",
    "content-type": contentType,
  };
  if (request.extraHeaders !== undefined) Object.assign(headers, request.extraHeaders);
  if (request.flow !== undefined) {
    headers["x-kubernetes-pf-flowschema-uid"] = request.flow.uid;
    headers["x-kubernetes-pf-prioritylevel-uid"] = request.flow.level.uid;
  }
  if (request.warnings.length > 0) {
    headers["warning"] = [...new Set(request.warnings)].map((text) => `299 - "${warningText(text)}"`);
  }
  return headers;
}

export function acceptsGzip(request: ApiRequest): boolean {
  const accept = request.exchange.header("accept-encoding");
  // Weights are not read: upstream takes the bare word only.
  return accept !== undefined && accept.split(",").some((word) => word.trim() === "gzip");
}

/** Writes ready bytes. */
export async function sendBytes(
  request: ApiRequest,
  status: number,
  contentType: string,
  body: Buffer,
  more: ResponseHeaders = {},
): Promise<void> {
  const headers = Object.assign(baseHeaders(request, contentType), more);
  if (body.length >= GZIP_THRESHOLD_BYTES && acceptsGzip(request)) {
    headers["content-encoding"] = "gzip";
    headers["vary"] = "Accept-Encoding";
    request.exchange.send(status, headers, await gzipAsync(body, { level: 1 }));
    return;
  }
  request.exchange.send(status, headers, body);
}

/** JSON text: a line, or indented when asked, without a last line end. */
export function jsonBytes(request: ApiRequest, value: unknown): Buffer {
  const isPretty = wantsPretty(request.query, request.userAgent);
  return Buffer.from(isPretty ? JSON.stringify(value, undefined, 2) : `${JSON.stringify(value)}\n`);
}

/** Writes a value that no resource stands behind: discovery, version. */
export function sendJson(
  request: ApiRequest,
  status: number,
  value: unknown,
  contentType = "application/json",
): Promise<void> {
  return sendBytes(request, status, contentType, jsonBytes(request, value));
}

export function sendText(request: ApiRequest, status: number, text: string, more: ResponseHeaders = {}): void {
  const headers = Object.assign(baseHeaders(request, "text/plain; charset=utf-8"), more);
  headers["x-content-type-options"] = "nosniff";
  request.exchange.send(status, headers, Buffer.from(text));
}

/** What the server says about a path that it does not have. */
export function sendNotFoundPage(request: ApiRequest): void {
  sendText(request, 404, "404 page not found\n");
}

/** Writes a failure as a Status. Statuses are JSON whatever was asked for, unless `encode` knows better. */
export function sendError(
  request: ApiRequest,
  error: unknown,
  encode?: (status: unknown) => { readonly media: MediaType; readonly body: Buffer },
): number {
  const failure = StatusError.from(error);
  const { exchange } = request;
  if (exchange.isStarted) return failure.code;
  const encoded = encode?.(failure.status) ?? { media: "json" as const, body: jsonBytes(request, failure.status) };
  const headers = baseHeaders(request, CONTENT_TYPES[encoded.media]);
  if (request.isRefused) headers["x-content-type-options"] = "nosniff";
  if (failure.code === 401 && request.challenge !== undefined) headers["www-authenticate"] = request.challenge;
  const retry = failure.status.details?.retryAfterSeconds;
  if (retry !== undefined && retry > 0) headers["retry-after"] = retry;
  exchange.send(failure.code, headers, encoded.body);
  return failure.code;
}
