import { statusError } from "@coracle/apimachinery";
import type { ApiRequest } from "./api-request.ts";
import type { ResourceRoutes } from "./resource-routes.ts";
import { sendNotFoundPage } from "./responder.ts";

/** Answers some paths; undefined: not its business. */
export type PathRoutes = (request: ApiRequest) => Promise<void> | undefined;

/** Paths that look at the method; the others answer whatever it is. */
const READ_ONLY =
  /^\/(api(\/[^/]*)?|apis\/[^/]+\/[^/]+|version|metrics|openid\/v1\/jwks|\.well-known\/openid-configuration)\/?$/;

/** Resources go to their routes, other paths to the first that knows them. */
export function createDispatch(
  resources: ResourceRoutes,
  paths: readonly PathRoutes[],
): (request: ApiRequest) => Promise<void> {
  return (request) => {
    if (request.info.isResource) return resources.serve(request);
    const { method } = request.exchange;
    if (method !== "GET" && READ_ONLY.test(request.info.path)) {
      throw statusError("MethodNotAllowed", "the server does not allow this method on the requested resource", {});
    }
    for (const routes of paths) {
      const answer = routes(request);
      if (answer !== undefined) return answer;
    }
    sendNotFoundPage(request);
    return Promise.resolve();
  };
}
