import { systemClock, type Clock } from "@coracle/base";
import { createOpenApi, type OpenApi, type OpenApiDocument } from "@coracle/api";
import { notAcceptable } from "@coracle/apimachinery";
import type { ApiRequest } from "../server/api-request.ts";
import type { ResponseHeaders } from "../server/exchange.ts";
import { baseHeaders, sendBytes, sendNotFoundPage } from "../server/responder.ts";

const JSON_TYPES = ["application/json", "application/*", "*/*"];

/** As answered; clients ask with `@` before the version, which is no media type that they could parse. */
const V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

const YEAR_MS = 365 * 24 * 3_600_000;

/** `/openapi/v2` in JSON and protobuf, `/openapi/v3` and the documents under it in JSON. */
export function createOpenApiRoutes(
  openApi: OpenApi = createOpenApi(),
  clock: Clock = systemClock,
): (request: ApiRequest) => Promise<void> | undefined {
  async function send(
    request: ApiRequest,
    document: OpenApiDocument | undefined,
    more: ResponseHeaders = {},
  ): Promise<void> {
    if (document === undefined) return sendNotFoundPage(request);
    const accept = request.exchange.header("accept") ?? "";
    if (accept !== "" && !JSON_TYPES.some((type) => accept.includes(type))) throw notAcceptable(["application/json"]);
    const etag = `"${document.hash}"`;
    const headers = { etag, vary: "Accept", ...more };
    if (request.exchange.header("if-none-match") === etag) {
      request.exchange.send(304, { ...baseHeaders(request, "application/json"), ...headers }, undefined);
      return undefined;
    }
    return sendBytes(request, 200, "application/json", document.bytes, headers);
  }

  /** Clients that name the hash of the index may keep what they get; those with an old one are sent to the new. */
  function sendV3(request: ApiRequest, path: string): Promise<void> {
    const asked = request.query.get("hash");
    const hash = openApi.v3Hash(path);
    if (asked === null || asked === "" || hash === undefined) return send(request, openApi.v3(path));
    if (asked === hash) {
      const expires = new Date(clock.now() + YEAR_MS).toUTCString().replace("GMT", "UTC");
      return send(request, openApi.v3(path), { "cache-control": "public, immutable", expires });
    }
    const headers = { etag: `"${hash}"`, vary: "Accept", location: `/openapi/v3/${path}?hash=${hash}` };
    request.exchange.send(301, { ...baseHeaders(request, "application/json"), ...headers }, undefined);
    return Promise.resolve();
  }

  function sendV2(request: ApiRequest): Promise<void> {
    const accept = request.exchange.header("accept") ?? "";
    if (!accept.includes("proto-openapi.spec.v2")) return send(request, openApi.v2());
    const { bytes, hash } = openApi.v2Protobuf();
    const etag = `"${hash}"`;
    if (request.exchange.header("if-none-match") === etag) {
      request.exchange.send(304, { ...baseHeaders(request, V2_PROTOBUF), etag }, undefined);
      return Promise.resolve();
    }
    return sendBytes(request, 200, V2_PROTOBUF, bytes, { etag });
  }

  return (request) => {
    const path = request.info.path.replace(/\/$/, "");
    if (path === "/openapi/v2") return sendV2(request);
    if (path === "/openapi/v3") return send(request, openApi.v3Index());
    if (path.startsWith("/openapi/v3/")) return sendV3(request, path.slice("/openapi/v3/".length));
    return undefined;
  };
}
