import type { Catalog } from "../discovery/catalog.ts";
import { versionInfo } from "../discovery/version.ts";
import type { ApiRequest } from "./api-request.ts";
import type { PathRoutes } from "./dispatch.ts";
import { isAskedFor, type HealthCheck, type HealthRoutes } from "./health.ts";
import { refuseUnlessAccepted } from "./negotiation.ts";
import { baseHeaders, sendJson } from "./responder.ts";

/** The first of several that knows a path. */
export function firstOf(routes: readonly PathRoutes[]): PathRoutes {
  return (request) => {
    for (const one of routes) {
      const answer = one(request);
      if (answer !== undefined) return answer;
    }
    return undefined;
  };
}

/** `/`: the paths there are. */
export function rootRoutes(catalog: Catalog, checks: readonly HealthCheck[]): PathRoutes {
  return (request) => {
    if (request.info.path !== "/" && request.info.path !== "/index.html") return undefined;
    const paths = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"];
    for (const group of catalog.groups) {
      if (group.name === "") continue;
      paths.push(`/apis/${group.name}`);
      for (const version of group.versions) paths.push(`/apis/${group.name}/${version}`);
    }
    paths.push(
      "/healthz",
      "/livez",
      "/metrics",
      "/metrics/slis",
      "/openapi/v2",
      "/openapi/v3",
      "/openapi/v3/",
      "/openid/v1/jwks",
      "/readyz",
      "/version",
    );
    for (const check of checks) {
      for (const endpoint of ["healthz", "livez", "readyz"] as const) {
        if (isAskedFor(check, endpoint)) paths.push(`/${endpoint}/${check.name}`);
      }
    }
    return sendJson(request, 200, { paths: paths.toSorted() });
  };
}

/** `/metrics/slis`. */
export async function sendSlis(request: ApiRequest, health: HealthRoutes): Promise<void> {
  const headers = baseHeaders(request, "text/plain; version=0.0.4; charset=utf-8");
  request.exchange.send(200, headers, Buffer.from(await health.metrics()));
}

/** `/version`, which comes as JSON only. */
export function sendVersion(request: ApiRequest): Promise<void> {
  refuseUnlessAccepted(request.exchange.header("accept"), ["application/json"]);
  return sendJson(request, 200, versionInfo());
}
