import { authError } from "./auth-error.ts";
import { isCovered, type ByteRange } from "./byte-range.ts";

export type Access = "READ" | "WRITE" | "READWRITE";

/** Keys from `key` (to `end`, when there is one) and what may be done with them. Bytes are in base64: the state is kept as JSON. */
export interface Permission {
  readonly access: Access;
  readonly key: string;
  readonly end: string;
}

export interface User {
  /** As `hashPassword` made it; absent: this user cannot log in by password. */
  readonly password?: string | undefined;
  readonly noPassword?: boolean | undefined;
  /** In order. */
  readonly roles: readonly string[];
}

/** Users, roles and whether they count. */
export interface AuthState {
  readonly enabled: boolean;
  /** Raised by each change of users or roles. */
  readonly revision: number;
  readonly users: Readonly<Record<string, User>>;
  readonly roles: Readonly<Record<string, readonly Permission[]>>;
}

const ROOT = "root";

export const EMPTY_AUTH: AuthState = { enabled: false, revision: 1, users: {}, roles: {} };

type Table<Row> = Readonly<Record<string, Row>>;

const find = <Row>(table: Table<Row>, name: string): Row | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;
const set = <Row>(table: Table<Row>, name: string, row: Row): Table<Row> => ({ ...without(table, name), [name]: row });
const without = <Row>(table: Table<Row>, name: string): Table<Row> =>
  Object.fromEntries(Object.entries(table).filter(([each]) => each !== name));
const raised = (state: AuthState, change: Partial<AuthState>): AuthState => ({
  ...state,
  ...change,
  revision: state.revision + 1,
});

export function userOf(state: AuthState, name: string): User {
  const user = find(state.users, name);
  if (user === undefined) throw authError.userNotFound();
  return user;
}

export function roleOf(state: AuthState, name: string): readonly Permission[] {
  const role = find(state.roles, name);
  if (role === undefined) throw authError.roleNotFound();
  return role;
}

export function enable(state: AuthState): AuthState {
  if (state.enabled) return state;
  const root = find(state.users, ROOT);
  if (root === undefined) throw authError.rootUserNotExist();
  if (!root.roles.includes(ROOT)) throw authError.rootRoleNotExist();
  return { ...state, enabled: true };
}

export function disable(state: AuthState): AuthState {
  return state.enabled ? raised(state, { enabled: false }) : state;
}

export function addUser(state: AuthState, name: string, user: Omit<User, "roles">): AuthState {
  if (name === "") throw authError.userEmpty();
  if (find(state.users, name) !== undefined) throw authError.userAlreadyExist();
  return raised(state, { users: set(state.users, name, { ...user, roles: [] }) });
}

export function deleteUser(state: AuthState, name: string): AuthState {
  if (state.enabled && name === ROOT) throw authError.invalidAuthManagement();
  userOf(state, name);
  return raised(state, { users: without(state.users, name) });
}

export function changePassword(state: AuthState, name: string, password: string | undefined): AuthState {
  return raised(state, { users: set(state.users, name, { ...userOf(state, name), password }) });
}

export function grantRole(state: AuthState, name: string, role: string): AuthState {
  const user = userOf(state, name);
  if (role !== ROOT) roleOf(state, role);
  if (user.roles.includes(role)) return state;
  return raised(state, { users: set(state.users, name, { ...user, roles: [...user.roles, role].toSorted() }) });
}

export function revokeRole(state: AuthState, name: string, role: string): AuthState {
  if (state.enabled && name === ROOT && role === ROOT) throw authError.invalidAuthManagement();
  const user = userOf(state, name);
  if (!user.roles.includes(role)) throw authError.roleNotGranted();
  return raised(state, {
    users: set(state.users, name, { ...user, roles: user.roles.filter((each) => each !== role) }),
  });
}

export function addRole(state: AuthState, name: string): AuthState {
  if (name === "") throw authError.roleEmpty();
  if (find(state.roles, name) !== undefined) throw authError.roleAlreadyExist();
  return raised(state, { roles: set(state.roles, name, []) });
}

export function deleteRole(state: AuthState, name: string): AuthState {
  if (state.enabled && name === ROOT) throw authError.invalidAuthManagement();
  roleOf(state, name);
  const users = Object.entries(state.users).map(([user, row]): [string, User] => [
    user,
    { ...row, roles: row.roles.filter((each) => each !== name) },
  ]);
  return raised(state, { roles: without(state.roles, name), users: Object.fromEntries(users) });
}

const isSame = (a: Pick<Permission, "key" | "end">, b: Pick<Permission, "key" | "end">): boolean =>
  a.key === b.key && a.end === b.end;

export function grantPermission(state: AuthState, name: string, permission: Permission | undefined): AuthState {
  if (permission === undefined) throw authError.permissionNotGiven();
  if (!isValidRange(permission)) throw authError.invalidAuthManagement();
  const others = roleOf(state, name).filter((each) => !isSame(each, permission));
  const order = ({ key }: Permission): string => Buffer.from(key, "base64").toString("latin1");
  const role = [...others, permission].toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
  return raised(state, { roles: set(state.roles, name, role) });
}

export function revokePermission(state: AuthState, name: string, range: Pick<Permission, "key" | "end">): AuthState {
  const role = roleOf(state, name);
  const rest = role.filter((each) => !isSame(each, range));
  if (rest.length === role.length) throw authError.permissionNotGranted();
  return raised(state, { roles: set(state.roles, name, rest) });
}

/** Whether the user may read (or write) all of the range. */
export function isPermitted(state: AuthState, name: string, range: ByteRange, access: "READ" | "WRITE"): boolean {
  const user = find(state.users, name);
  if (user === undefined) return false;
  if (user.roles.includes(ROOT)) return true;
  const granted = user.roles
    .flatMap((role) => find(state.roles, role) ?? [])
    .filter((permission) => permission.access === access || permission.access === "READWRITE");
  return isCovered(range, granted.map(rangeOf));
}

export function isAdministrator(state: AuthState, name: string): boolean {
  return userOf(state, name).roles.includes(ROOT);
}

const bytes = (base64: string): string => Buffer.from(base64, "base64").toString("latin1");

/** A key of no bytes with an end of one zero byte stands for all keys. */
const rangeOf = ({ key, end }: Permission): ByteRange => ({ key: bytes(key), end: bytes(end) });

function isValidRange(permission: Permission): boolean {
  const { key, end } = rangeOf(permission);
  if (key === "") return end !== "";
  return end === "" || end === "\0" || key < end;
}
