import { badRequest, internalError, isObject, type Draft, type JsonObject } from "@coracle/apimachinery";
import type { Clock } from "@coracle/base";
import type { ApiRequest } from "../server/api-request.ts";
import type { VirtualResource } from "../server/resource-routes.ts";
import { joinErrors, type TokenAuthenticator } from "./authenticator.ts";
import type { UserInfo } from "./user.ts";

/** A user as the API shows it. */
export function userToJson(user: UserInfo): JsonObject {
  return {
    ...(user.name === "" ? {} : { username: user.name }),
    ...(user.uid === undefined || user.uid === "" ? {} : { uid: user.uid }),
    ...(user.groups.length === 0 ? {} : { groups: user.groups }),
    ...(user.extra === undefined ? {} : { extra: user.extra }),
  };
}

const INVALID_TOKEN = new Error("invalid bearer token");

async function statusOf(tokens: TokenAuthenticator, token: string, wanted: readonly string[]): Promise<JsonObject> {
  let verdict;
  try {
    verdict = await tokens.authenticateToken(token, wanted);
  } catch (error) {
    return { user: {}, error: joinErrors([INVALID_TOKEN, error]).message };
  }
  if (verdict === undefined) return { user: {}, error: INVALID_TOKEN.message };
  const { user, audiences } = verdict;
  if (wanted.length > 0 && !audiences.some((audience) => wanted.includes(audience))) {
    throw internalError("error validating audiences");
  }
  return { authenticated: true, user: userToJson(user), ...(audiences.length === 0 ? {} : { audiences }) };
}

/** TokenReview: whether a token holds, and whose it is. */
export function tokenReview(tokens: TokenAuthenticator, apiAudiences: readonly string[]): VirtualResource {
  return async (_request: ApiRequest, body: Draft) => {
    const spec = isObject(body["spec"]) ? body["spec"] : {};
    // Without a blank at either end, as a header would carry it.
    const token = typeof spec["token"] === "string" ? spec["token"] : "";
    if (token === "") throw badRequest("token is required for TokenReview in authentication");
    const audiences = Array.isArray(spec["audiences"]) ? spec["audiences"].map(String) : [];
    return {
      kind: "TokenReview",
      apiVersion: "authentication.k8s.io/v1",
      metadata: {},
      spec: spec as JsonObject,
      status: await statusOf(tokens, token.trim(), audiences.length === 0 ? apiAudiences : audiences),
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
