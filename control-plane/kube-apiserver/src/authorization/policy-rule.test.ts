import { describe, expect, it } from "vitest";
import type { AuthorizationAttributes } from "./authorizer.ts";
import { allows, printRule, uncovered } from "./policy-rule.ts";

const ask = (verb: string, resource: string, more: Partial<AuthorizationAttributes> = {}): AuthorizationAttributes => {
  const [plural = "", subresource = ""] = resource.split("/");
  return {
    user: { name: "u", groups: [] },
    verb,
    isResource: true,
    group: "",
    version: "v1",
    resource: plural,
    subresource,
    namespace: "n",
    name: "",
    path: "",
    ...more,
  };
};
const rule = { verbs: ["get"], apiGroups: [""], resources: ["pods"] };

describe("a policy rule", () => {
  it.each([
    [rule, ask("get", "pods"), true],
    [rule, ask("list", "pods"), false],
    [rule, ask("get", "pods/log"), false],
    [{ ...rule, resources: ["pods/log"] }, ask("get", "pods/log"), true],
    [{ ...rule, resources: ["*/log"] }, ask("get", "pods/log"), true],
    [{ ...rule, resources: ["*"] }, ask("get", "pods/log"), true],
    [{ ...rule, apiGroups: ["apps"] }, ask("get", "pods"), false],
    [{ ...rule, resourceNames: ["a"] }, ask("get", "pods", { name: "a" }), true],
    [{ ...rule, resourceNames: ["a"] }, ask("get", "pods", { name: "b" }), false],
    [{ ...rule, resourceNames: ["a"] }, ask("get", "pods"), false],
    [{ verbs: ["get"], nonResourceURLs: ["/health*"] }, ask("get", "", { isResource: false, path: "/healthz" }), true],
    [{ verbs: ["get"], nonResourceURLs: ["/health"] }, ask("get", "", { isResource: false, path: "/healthz" }), false],
  ])("%j", (given, attributes, expected) => {
    expect(allows(given, attributes)).toBe(expected);
  });

  it("covers what it grants and nothing more", () => {
    expect(uncovered([rule], [rule])).toEqual([]);
    expect(uncovered([rule], [{ ...rule, verbs: ["get", "list"] }])).toEqual([{ ...rule, verbs: ["list"] }]);
    expect(uncovered([{ ...rule, resourceNames: ["a"] }], [rule])).toHaveLength(1);
    expect(uncovered([rule], [{ ...rule, resourceNames: ["a"] }])).toEqual([]);
    expect(uncovered([{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }], [rule])).toEqual([]);
    expect(uncovered([{ ...rule, resources: ["*/log"] }], [{ ...rule, resources: ["pods/log"] }])).toEqual([]);
  });

  it("is printed as refusals print it", () => {
    expect(printRule({ ...rule, verbs: ["get", "list"] })).toBe(
      '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}',
    );
  });
});

describe("a rule whose lists multiply to millions", () => {
  it("is refused by its first pieces", () => {
    const list = (prefix: string): string[] => Array.from({ length: 1_000 }, (_, i) => `${prefix}${i}`);
    const wanted = [{ verbs: list("v"), apiGroups: list("g"), resources: list("r") }];
    expect(uncovered([{ verbs: ["get"], apiGroups: [""], resources: ["pods"] }], wanted)).toHaveLength(1_000);
  });
});
