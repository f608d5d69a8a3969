import type { ApiRequest } from "./api-request.ts";
import type { ResponseHeaders } from "./exchange.ts";

const METHODS = "POST, GET, OPTIONS, PUT, DELETE, PATCH";
const HEADERS =
  "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since";

/** Headers that answers carry beside their own: for browsers' pages of other origins, and for encrypted transport. */
export interface ExtraHeaders {
  /** Sets them. True: the request was a browser's question about them, and is answered. */
  apply(request: ApiRequest): boolean;
}

/** Undefined where there is nothing to add. */
export function createExtraHeaders(options: {
  /** Patterns of origins whose pages may ask. */
  readonly allowedOrigins: readonly string[];
  readonly transportSecurity: readonly string[];
}): ExtraHeaders | undefined {
  const patterns = options.allowedOrigins.map((origin) => new RegExp(origin, "u"));
  const security = options.transportSecurity.join("; ");
  if (patterns.length === 0 && security === "") return undefined;
  return {
    apply(request) {
      const headers: ResponseHeaders = {};
      if (security !== "") headers["strict-transport-security"] = security;
      request.extraHeaders = headers;
      const origin = request.exchange.header("origin") ?? "";
      if (origin === "" || !patterns.some((pattern) => pattern.test(origin))) return false;
      headers["access-control-allow-origin"] = origin;
      headers["access-control-allow-methods"] = METHODS;
      headers["access-control-allow-headers"] = HEADERS;
      headers["access-control-expose-headers"] = "Date";
      headers["access-control-allow-credentials"] = "true";
      if (request.exchange.method !== "OPTIONS") return false;
      request.exchange.send(204, { ...headers }, undefined);
      return true;
    },
  };
}
