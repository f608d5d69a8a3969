import { createPublicKey } from "node:crypto";
import type { ApiRequest } from "../server/api-request.ts";
import { refuseUnlessAccepted } from "../server/negotiation.ts";
import { jsonBytes, sendBytes } from "../server/responder.ts";
import type { TokenKey } from "./json-web-token.ts";

/** Others may keep these for an hour. */
const CACHED = { "cache-control": "public, max-age=3600" };

/** Whether others can find an issuer's keys by its name: OpenID Connect asks for an https URL without a query. */
export function isDiscoverable(issuer: string): boolean {
  if (!URL.canParse(issuer)) return false;
  const { protocol, search, hash } = new URL(issuer);
  return protocol === "https:" && search === "" && hash === "";
}

/** The documents by which others verify this cluster's service-account tokens. */
export function createOpenIdRoutes(options: {
  readonly issuer: string;
  readonly jwksUri: () => string;
  readonly keys: readonly TokenKey[];
}): (request: ApiRequest) => Promise<void> | undefined {
  const algorithms = [...new Set(options.keys.map((key) => key.algorithm))];
  const isServed = isDiscoverable(options.issuer) && options.keys.length > 0;
  return (request) => {
    if (!isServed) return undefined;
    const path = request.info.path.replace(/\/$/, "");
    if (path === "/.well-known/openid-configuration") {
      const document = {
        issuer: options.issuer,
        jwks_uri: options.jwksUri(),
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: algorithms,
      };
      return sendBytes(request, 200, "application/json", jsonBytes(request, document), CACHED);
    }
    if (path === "/openid/v1/jwks") {
      refuseUnlessAccepted(request.exchange.header("accept"), ["application/jwk-set+json"]);
      const keys = options.keys.map((key) => ({
        use: "sig",
        kid: key.id,
        alg: key.algorithm,
        ...(key.key.type === "private" ? createPublicKey(key.key) : key.key).export({ format: "jwk" }),
      }));
      return sendBytes(request, 200, "application/jwk-set+json", jsonBytes(request, { keys }), CACHED);
    }
    return undefined;
  };
}
