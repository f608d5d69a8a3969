import { loadEtcdCodec } from "@coracle/api";
import type { AuthState, Permission, User } from "../auth/auth-state.ts";

/** A row of a bucket. */
export interface AuthRow {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** Users, roles and whether they count, as etcd's data file has them: in three buckets, each in order of keys. */
export interface AuthRows {
  readonly auth: readonly AuthRow[];
  readonly authRoles: readonly AuthRow[];
  readonly authUsers: readonly AuthRow[];
}

const ENABLED = "authEnabled";
const REVISION = "authRevision";

/** Undefined: nothing was ever said about users. */
export function fromAuthRows({ auth, authRoles, authUsers }: AuthRows): AuthState | undefined {
  if (auth.length + authRoles.length + authUsers.length === 0) return undefined;
  const codec = loadEtcdCodec();
  const settings = new Map(auth.map(({ key, value }) => [key.toString(), value]));
  const users = authUsers.map(({ key, value }): readonly [string, User] => {
    const { password, roles = [], options } = codec.decode("authpb.User", value);
    const noPassword = options?.noPassword === true ? { noPassword: true } : {};
    const hash = password === undefined || password.length === 0 ? {} : { password: password.toString() };
    return [key.toString(), { ...hash, ...noPassword, roles }];
  });
  const roles = authRoles.map(({ key, value }): readonly [string, readonly Permission[]] => {
    const { keyPermission = [] } = codec.decode("authpb.Role", value);
    const permissions = keyPermission.map(({ permType, key: first, rangeEnd }) => ({
      access: permType === "WRITE" || permType === "READWRITE" ? permType : ("READ" as const),
      key: (first ?? NOTHING).toString("base64"),
      end: (rangeEnd ?? NOTHING).toString("base64"),
    }));
    return [key.toString(), permissions];
  });
  const revision = settings.get(REVISION);
  return {
    enabled: settings.get(ENABLED)?.[0] === 1,
    revision: revision?.length === 8 ? Number(revision.readBigUInt64BE()) : 1,
    users: Object.fromEntries(users),
    roles: Object.fromEntries(roles),
  };
}

/** The same the other way. etcd knows no other hashes than bcrypt's: users with older ones of ours cannot log in there. */
export function toAuthRows(state: AuthState): AuthRows {
  const codec = loadEtcdCodec();
  const revision = Buffer.alloc(8);
  revision.writeBigUInt64BE(BigInt(state.revision));
  const rows = <Value>(
    table: Readonly<Record<string, Value>>,
    encode: (name: string, value: Value) => Buffer,
  ): AuthRow[] =>
    Object.entries(table)
      .map(([name, value]) => ({ key: Buffer.from(name), value: encode(name, value) }))
      .toSorted((a, b) => Buffer.compare(a.key, b.key));
  return {
    auth: [
      { key: Buffer.from(ENABLED), value: Buffer.of(state.enabled ? 1 : 0) },
      { key: Buffer.from(REVISION), value: revision },
    ],
    authRoles: rows(state.roles, (name, permissions) =>
      codec.encode("authpb.Role", {
        name: Buffer.from(name),
        keyPermission: permissions.map(({ access, key, end }) => ({
          permType: access,
          key: Buffer.from(key, "base64"),
          rangeEnd: Buffer.from(end, "base64"),
        })),
      }),
    ),
    authUsers: rows(state.users, (name, { password = "", noPassword = false, roles }) =>
      codec.encode("authpb.User", {
        name: Buffer.from(name),
        password: Buffer.from(password),
        roles,
        options: { noPassword },
      }),
    ),
  };
}

const NOTHING = Buffer.alloc(0);
