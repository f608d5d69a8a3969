import { describe, expect, it } from "vitest";
import { compareVersions, sortedGroups } from "./api-service.ts";
import { escapedHeaderKey, frontProxyHeaders } from "./front-proxy.ts";

const ranked = (name: string, groupPriority: number, versionPriority: number) => {
  const [version = "", ...group] = name.split(".");
  return { name, version, group: group.join("."), groupPriority, versionPriority };
};

describe("order of groups and versions", () => {
  it("versions of the same priority: stable, beta, alpha, higher first, then others by name", () => {
    const versions = ["v1alpha1", "foo10", "v1", "v12alpha1", "v2beta1", "v10", "v3beta1", "foo1", "v11alpha2", "v2"];
    expect(versions.toSorted(compareVersions)).toEqual([
      "v10",
      "v2",
      "v1",
      "v3beta1",
      "v2beta1",
      "v12alpha1",
      "v11alpha2",
      "v1alpha1",
      "foo1",
      "foo10",
    ]);
  });

  it("a group ranks by the highest priority of its versions, equal ones by name", () => {
    const groups = sortedGroups([
      ranked("v1.zoo", 1000, 15),
      ranked("v1.ant", 1000, 15),
      ranked("v1.cat", 500, 10),
      ranked("v2.cat", 2000, 5),
    ]);
    expect(groups.map((versions) => versions.map(({ name }) => name))).toEqual([
      ["v1.cat", "v2.cat"],
      ["v1.ant"],
      ["v1.zoo"],
    ]);
  });
});

describe("for whom a front proxy asks", () => {
  it("name, uid, each group, each extra value", () => {
    const user = { name: "ann", uid: "7", groups: ["a", "b"], extra: { "example.com/Scope": ["x", "y"] } };
    expect(frontProxyHeaders(user)).toEqual({
      "x-remote-user": "ann",
      "x-remote-uid": "7",
      "x-remote-group": ["a", "b"],
      "x-remote-extra-example.com%2fscope": ["x", "y"],
    });
  });

  it("a name with a line break begins no header of its own; others travel as UTF-8", () => {
    expect(frontProxyHeaders({ name: "a\r\nx-remote-group: b", groups: [] })).toEqual({
      "x-remote-user": "a  x-remote-group: b",
    });
    const { "x-remote-user": name } = frontProxyHeaders({ name: "Ève", groups: [] });
    expect(Buffer.from(name as string, "latin1").toString("utf8")).toBe("Ève");
  });

  it.each([
    ["scopes", "scopes"],
    ["a/b", "a%2Fb"],
    ["100%", "100%25"],
    ["é", "%C3%A9"],
  ])("the key %s is %s", (key, escaped) => {
    expect(escapedHeaderKey(key)).toBe(escaped);
  });
});
