import { badRequest, isObject, type Draft, type JsonObject } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import type { ApiRequest } from "../server/api-request.ts";
import type { VirtualResource } from "../server/resource-routes.ts";
import type { TokenAuthenticator } from "./authenticator.ts";
import type { UserInfo } from "./user.ts";

/** A user as the API shows it. */
export function userToJson(user: UserInfo): JsonObject {
  return {
    username: user.name,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    ...(user.groups.length === 0 ? {} : { groups: user.groups }),
    ...(user.extra === undefined ? {} : { extra: user.extra }),
  };
}

/** TokenReview: whether a token holds, and whose it is. */
export function tokenReview(tokens: TokenAuthenticator, apiAudiences: readonly string[]): VirtualResource {
  return async (_request: ApiRequest, body: Draft) => {
    const spec = isObject(body["spec"]) ? body["spec"] : {};
    const { token } = spec;
    if (typeof token !== "string" || token === "")
      throw badRequest("token is required for TokenReview in authentication");
    const audiences = Array.isArray(spec["audiences"]) ? spec["audiences"].map(String) : [];
    const wanted = audiences.length === 0 ? apiAudiences : audiences;
    let status: JsonObject;
    try {
      const verdict = await tokens.authenticateToken(token, wanted);
      status =
        verdict === undefined
          ? { user: {}, error: "invalid bearer token" }
          : {
              authenticated: true,
              user: userToJson(verdict.user),
              audiences: audiences.length === 0 && verdict.audiences.length === 0 ? wanted : verdict.audiences,
            };
    } catch (error) {
      status = { user: {}, error: (error as Error).message };
    }
    return {
      kind: "TokenReview",
      apiVersion: "authentication.k8s.io/v1",
      metadata: {},
      spec: spec as JsonObject,
      status,
    };
  };
}

/** SelfSubjectReview: who am I. */
export const selfSubjectReview =
  (clock: Clock): VirtualResource =>
  (request) =>
    Promise.resolve({
      kind: "SelfSubjectReview",
      apiVersion: "authentication.k8s.io/v1",
      metadata: { creationTimestamp: new Date(clock.now()).toISOString().replace(/\.\d+Z$/, "Z") },
      status: { userInfo: userToJson(request.user) },
    });
