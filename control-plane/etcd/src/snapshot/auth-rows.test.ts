import { expect, it } from "vitest";
import type { AuthState } from "../auth/auth-state.ts";
import { fromAuthRows, toAuthRows } from "./auth-rows.ts";

const STATE: AuthState = {
  enabled: true,
  revision: 12,
  users: {
    alice: { password: "$2a$10$abcdefghijklmnopqrstuuJ1oZ6vN3vX1pQ0w8Yk2s4u6w8y0A2C4", roles: ["reader"] },
    bob: { noPassword: true, roles: [] },
    root: { password: "$2a$10$abcdefghijklmnopqrstuuJ1oZ6vN3vX1pQ0w8Yk2s4u6w8y0A2C4", roles: ["reader", "root"] },
  },
  roles: {
    reader: [
      { access: "READ", key: "YQ==", end: "Yg==" },
      { access: "READWRITE", key: "Yw==", end: "" },
    ],
    root: [],
  },
};

it("users and roles are the same after they went through etcd's form", () => {
  expect(fromAuthRows(toAuthRows(STATE))).toEqual(STATE);
});

it("the rows of a bucket are in order of their keys", () => {
  const { authUsers, authRoles, auth } = toAuthRows(STATE);
  expect(authUsers.map(({ key }) => key.toString())).toEqual(["alice", "bob", "root"]);
  expect(authRoles.map(({ key }) => key.toString())).toEqual(["reader", "root"]);
  expect(auth.map(({ key }) => key.toString())).toEqual(["authEnabled", "authRevision"]);
});

it("no rows: nothing was said about users", () => {
  expect(fromAuthRows({ auth: [], authRoles: [], authUsers: [] })).toBeUndefined();
});
