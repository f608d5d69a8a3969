import { describe, expect, it } from "vitest";
import { isCovered } from "./byte-range.ts";
import {
  addRole,
  addUser,
  deleteRole,
  EMPTY_AUTH,
  enable,
  grantPermission,
  grantRole,
  isPermitted,
} from "./auth-state.ts";

const range = (text: string): { key: string; end: string } => {
  const [key = "", end = ""] = text.split("..");
  return { key, end: end === "∞" ? "\0" : end };
};

describe("ranges that cover a range", () => {
  it.each([
    ["a", ["a"], true],
    ["a", ["b"], false],
    ["a", [], false],
    ["a", ["a..b"], true],
    ["b", ["a..b"], false],
    ["a..c", ["a..b", "b..c"], true],
    ["a..d", ["c..d", "a..c"], true],
    ["a..c", ["a..b", "b\u0001..c"], false],
    ["a..a\0", ["a"], true],
    ["a..∞", ["a..∞"], true],
    ["a..∞", ["a..z"], false],
    ["x", ["..∞"], true],
  ])("%s by %j: %s", (wanted, granted, expected) => {
    expect(isCovered(range(wanted), granted.map(range))).toBe(expected);
  });
});

describe("users and roles", () => {
  const permission = { access: "READ", key: Buffer.from("a").toString("base64"), end: "" } as const;

  it("each change raises the revision; enabling needs root with the role root", () => {
    expect(() => enable(EMPTY_AUTH)).toThrow("root user does not exist");
    const withRoot = addUser(EMPTY_AUTH, "root", {});
    expect(() => enable(withRoot)).toThrow("root user does not have root role");
    const ready = grantRole(withRoot, "root", "root");
    expect([withRoot.revision, ready.revision, enable(ready).revision]).toEqual([2, 3, 3]);
  });

  it("a role that is deleted is taken from its users; names of JavaScript's own are names as others", () => {
    let state = addRole(addUser(EMPTY_AUTH, "constructor", {}), "toString");
    state = grantRole(grantPermission(state, "toString", permission), "constructor", "toString");
    expect(isPermitted(state, "constructor", range("a"), "READ")).toBe(true);
    expect(isPermitted(state, "constructor", range("a"), "WRITE")).toBe(false);
    state = deleteRole(state, "toString");
    expect(isPermitted(state, "constructor", range("a"), "READ")).toBe(false);
    expect(state.users["constructor"]?.roles).toEqual([]);
  });
});
