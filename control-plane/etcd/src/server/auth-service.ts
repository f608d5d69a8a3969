import type * as etcd from "@coracle/api/etcd";
import { authError } from "../auth/auth-error.ts";
import type { AuthStore } from "../auth/auth-store.ts";
import * as rules from "../auth/auth-state.ts";
import type { CallContext, GrpcHandler } from "../grpc/grpc-server.ts";
import { callerOf } from "./access.ts";
import { headerOf, type EtcdContext } from "./etcd-context.ts";
import { unary } from "./unary.ts";

type Rows = readonly (readonly [string, GrpcHandler])[];
type Short = {
  [
    Name in keyof etcd.EtcdMessages as Name extends `etcdserverpb.${infer Rest}` ? Rest : never
  ]: etcd.EtcdMessages[Name];
};

/** Service etcdserverpb.Auth. */
export function authService(context: EtcdContext): Rows {
  const { auth, store } = context;
  const header = async (): Promise<etcd.ResponseHeader> => headerOf(context, await store.revision());
  const administrator = (call: CallContext): void => auth.checkAdministrator(callerOf(context, call));

  /** A method that only administrators may call, and that answers with a header. */
  const change = <Name extends keyof Short & `${string}Request`>(
    method: string,
    request: Name,
    apply: (message: Short[Name]) => Promise<void>,
  ): readonly [string, GrpcHandler] => {
    const response = request.replace(/Request$/, "Response") as "AuthRoleAddResponse";
    const handler = unary(`etcdserverpb.${request}`, `etcdserverpb.${response}`, async (message, call) => {
      administrator(call);
      await apply(message as Short[Name]);
      return { header: await header() };
    });
    return [`/etcdserverpb.Auth/${method}`, handler];
  };

  return [
    change("AuthEnable", "AuthEnableRequest", () => auth.change(rules.enable)),
    change("AuthDisable", "AuthDisableRequest", () => auth.change(rules.disable)),
    change("UserAdd", "AuthUserAddRequest", async ({ name = "", password = "", hashedPassword = "", options }) => {
      if (name === "") throw authError.userEmpty();
      const noPassword = options?.noPassword === true;
      const hash = noPassword ? undefined : await kept(auth, password, hashedPassword);
      await auth.change((state) => rules.addUser(state, name, { noPassword, password: hash }));
    }),
    change("UserDelete", "AuthUserDeleteRequest", async ({ name = "" }) => {
      await auth.change((state) => rules.deleteUser(state, name));
      auth.forgetTokensOf(name);
    }),
    change(
      "UserChangePassword",
      "AuthUserChangePasswordRequest",
      async ({ name = "", password = "", hashedPassword = "" }) => {
        const { noPassword } = rules.userOf(auth.state, name);
        const hash = noPassword === true ? undefined : await kept(auth, password, hashedPassword);
        await auth.change((state) => rules.changePassword(state, name, hash));
        auth.forgetTokensOf(name);
      },
    ),
    change("UserGrantRole", "AuthUserGrantRoleRequest", ({ user = "", role = "" }) =>
      auth.change((state) => rules.grantRole(state, user, role)),
    ),
    change("UserRevokeRole", "AuthUserRevokeRoleRequest", ({ name = "", role = "" }) =>
      auth.change((state) => rules.revokeRole(state, name, role)),
    ),
    change("RoleAdd", "AuthRoleAddRequest", ({ name = "" }) => auth.change((state) => rules.addRole(state, name))),
    change("RoleDelete", "AuthRoleDeleteRequest", ({ role = "" }) =>
      auth.change((state) => rules.deleteRole(state, role)),
    ),
    change("RoleGrantPermission", "AuthRoleGrantPermissionRequest", ({ name = "", perm }) =>
      auth.change((state) => rules.grantPermission(state, name, perm === undefined ? undefined : fromWire(perm))),
    ),
    change("RoleRevokePermission", "AuthRoleRevokePermissionRequest", ({ role = "", key, rangeEnd }) =>
      auth.change((state) => rules.revokePermission(state, role, fromWire({ key, rangeEnd }))),
    ),
    ...queries(context, header, administrator),
  ];
}

function queries(
  context: EtcdContext,
  header: () => Promise<etcd.ResponseHeader>,
  administrator: (call: CallContext) => void,
): Rows {
  const { auth } = context;
  return [
    [
      "/etcdserverpb.Auth/AuthStatus",
      unary("etcdserverpb.AuthStatusRequest", "etcdserverpb.AuthStatusResponse", async (_, call) => {
        administrator(call);
        const { enabled, revision } = auth.state;
        return { header: await header(), enabled, authRevision: BigInt(revision) };
      }),
    ],
    [
      "/etcdserverpb.Auth/Authenticate",
      unary(
        "etcdserverpb.AuthenticateRequest",
        "etcdserverpb.AuthenticateResponse",
        async ({ name = "", password = "" }) => ({
          token: await auth.authenticate(name, password),
          header: await header(),
        }),
      ),
    ],
    [
      "/etcdserverpb.Auth/UserGet",
      unary("etcdserverpb.AuthUserGetRequest", "etcdserverpb.AuthUserGetResponse", async ({ name = "" }, call) => {
        if (callerOf(context, call)?.user !== name) administrator(call);
        return { header: await header(), roles: rules.userOf(auth.state, name).roles };
      }),
    ],
    [
      "/etcdserverpb.Auth/UserList",
      unary("etcdserverpb.AuthUserListRequest", "etcdserverpb.AuthUserListResponse", async (_, call) => {
        administrator(call);
        return { header: await header(), users: Object.keys(auth.state.users).toSorted() };
      }),
    ],
    [
      "/etcdserverpb.Auth/RoleGet",
      unary("etcdserverpb.AuthRoleGetRequest", "etcdserverpb.AuthRoleGetResponse", async ({ role = "" }, call) => {
        const caller = callerOf(context, call);
        if (!auth.hasRole(caller, role)) administrator(call);
        return { header: await header(), perm: rules.roleOf(auth.state, role).map(toWire) };
      }),
    ],
    [
      "/etcdserverpb.Auth/RoleList",
      unary("etcdserverpb.AuthRoleListRequest", "etcdserverpb.AuthRoleListResponse", async (_, call) => {
        administrator(call);
        return { header: await header(), roles: Object.keys(auth.state.roles).toSorted() };
      }),
    ],
  ];
}

/** Members of a cluster hand hashes to each other; clients have no business with them. */
async function kept(auth: AuthStore, password: string, hashedPassword: string): Promise<string> {
  if (hashedPassword !== "" && password === "") throw authError.invalidAuthManagement();
  return await auth.hash(password);
}

const fromWire = ({ permType, key, rangeEnd }: etcd.Permission): rules.Permission => ({
  access: permType === "WRITE" || permType === "READWRITE" ? permType : "READ",
  key: (key ?? NOTHING).toString("base64"),
  end: (rangeEnd ?? NOTHING).toString("base64"),
});

const toWire = ({ access, key, end }: rules.Permission): etcd.Permission => ({
  permType: access,
  key: Buffer.from(key, "base64"),
  rangeEnd: Buffer.from(end, "base64"),
});

const NOTHING = Buffer.alloc(0);
