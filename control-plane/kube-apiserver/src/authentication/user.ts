/** Who asks, as authentication found out. The same object for the same credential, so that decisions can be kept with it. */
export interface UserInfo {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export const ANONYMOUS_USER = "system:anonymous";
export const AUTHENTICATED_GROUP = "system:authenticated";
export const UNAUTHENTICATED_GROUP = "system:unauthenticated";
/** Members are not asked for permissions. */
export const MASTERS_GROUP = "system:masters";
export const SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:";

export const anonymous: UserInfo = { name: ANONYMOUS_USER, groups: [UNAUTHENTICATED_GROUP] };

/** The server's own identity, for what it does by itself. */
export const apiServerUser: UserInfo = {
  name: "system:apiserver",
  groups: [MASTERS_GROUP, AUTHENTICATED_GROUP],
};

/** Adds `system:authenticated`, once. */
export function withAuthenticatedGroup(user: UserInfo): UserInfo {
  if (user.groups.includes(AUTHENTICATED_GROUP) || user.groups.includes(UNAUTHENTICATED_GROUP)) return user;
  return { ...user, groups: [...user.groups, AUTHENTICATED_GROUP] };
}

/** `system:serviceaccount:NAMESPACE:NAME` taken apart. */
export function parseServiceAccountUser(
  name: string,
): { readonly namespace: string; readonly name: string } | undefined {
  if (!name.startsWith(SERVICE_ACCOUNT_PREFIX)) return undefined;
  const parts = name.slice(SERVICE_ACCOUNT_PREFIX.length).split(":");
  const [namespace, account] = parts;
  if (parts.length !== 2 || !namespace || !account) return undefined;
  return { namespace, name: account };
}

/** The user name and groups of a service account. */
export function serviceAccountUser(
  namespace: string,
  name: string,
  uid: string,
  extra: Readonly<Record<string, readonly string[]>> = {},
): UserInfo {
  return {
    name: `${SERVICE_ACCOUNT_PREFIX}${namespace}:${name}`,
    uid,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, AUTHENTICATED_GROUP],
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}
