import { badRequest, isStatusError } from "@coracle/apimachinery";
import { mustBeAllowed, type Authorizer } from "../authorization/authorizer.ts";
import type { ApiRequest } from "../server/api-request.ts";
import { extraFromHeaders, headerValues } from "./request-header.ts";
import {
  ANONYMOUS_USER,
  AUTHENTICATED_GROUP,
  parseServiceAccountUser,
  UNAUTHENTICATED_GROUP,
  type UserInfo,
} from "./user.ts";

const PREFIX = "impersonate-";
const EXTRA_PREFIX = "impersonate-extra-";

/** Makes the request one of the user named in Impersonate-* headers, when the asking user may impersonate that one. */
export function authenticateImpersonation(request: ApiRequest, authorizer: Authorizer): void | Promise<void> {
  const { exchange } = request;
  // Few requests have any of them.
  if (exchange.hasHeaderLike?.(PREFIX) === false) return undefined;
  const name = exchange.header("impersonate-user");
  if (name === undefined || name === "") {
    const wishes = wishesIn(exchange);
    if (wishes.length > 0) throw badRequest(`requested [${wishes.join(" ")}] without impersonating a user`);
    return undefined;
  }
  return impersonate(request, authorizer, name).catch((error: unknown) => {
    request.isRefused = isStatusError(error) && error.code === 403;
    throw error;
  });
}

/** What is asked for beside a user, as references are printed: kind, namespace, name, uid, version, and so on. */
function wishesIn(exchange: ApiRequest["exchange"]): string[] {
  const version = "authentication.k8s.io/v1";
  const uid = exchange.header("impersonate-uid");
  return [
    ...headerValues(exchange, "impersonate-group").map((group) => `{Group  ${group}    }`),
    ...Object.entries(extraFromHeaders(exchange, [EXTRA_PREFIX])).flatMap(([key, values]) =>
      values.map((value) => `{UserExtra  ${value}  ${version}  ${key}}`),
    ),
    ...(uid === undefined ? [] : [`{UID  ${uid}  ${version}  }`]),
  ];
}

async function impersonate(request: ApiRequest, authorizer: Authorizer, name: string): Promise<void> {
  const { exchange } = request;
  const by = request.user;
  const may = (
    resource: string,
    what: string,
    where: { namespace?: string; group?: string; subresource?: string } = {},
  ): Promise<void> =>
    mustBeAllowed(authorizer, {
      user: by,
      verb: "impersonate",
      isResource: true,
      group: where.group ?? "",
      version: "v1",
      resource,
      subresource: where.subresource ?? "",
      namespace: where.namespace ?? "",
      name: what,
      path: "",
    });
  let groups = headerValues(exchange, "impersonate-group");
  const account = parseServiceAccountUser(name);
  if (account !== undefined) await may("serviceaccounts", account.name, { namespace: account.namespace });
  else await may("users", name);
  for (const group of groups) await may("groups", group);
  const extra = extraFromHeaders(exchange, [EXTRA_PREFIX]);
  for (const [key, values] of Object.entries(extra)) {
    if (key === "") throw badRequest("impersonation of an extra without a key");
    for (const value of values) await may("userextras", value, { group: "authentication.k8s.io", subresource: key });
  }
  const uid = exchange.header("impersonate-uid");
  if (uid !== undefined) await may("uids", uid, { group: "authentication.k8s.io" });

  if (account !== undefined && groups.length === 0) {
    groups = ["system:serviceaccounts", `system:serviceaccounts:${account.namespace}`];
  }
  const last = name === ANONYMOUS_USER ? UNAUTHENTICATED_GROUP : AUTHENTICATED_GROUP;
  const isKnown = name !== ANONYMOUS_USER && groups.includes(AUTHENTICATED_GROUP);
  if (!isKnown && !groups.includes(UNAUTHENTICATED_GROUP)) groups = [...groups, last];
  const user: UserInfo = {
    name,
    groups,
    ...(uid === undefined ? {} : { uid }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
  request.user = user;
}
