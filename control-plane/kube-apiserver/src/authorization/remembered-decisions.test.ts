import { describe, expect, it } from "vitest";
import type { AuthorizationAttributes } from "./authorizer.ts";
import { keyOfQuestion } from "./rbac.ts";

const question = (change: Partial<AuthorizationAttributes>): AuthorizationAttributes => ({
  user: { name: "u", groups: [] },
  verb: "get",
  isResource: true,
  group: "",
  version: "v1",
  resource: "secrets",
  subresource: "",
  namespace: "kube-system",
  name: "",
  path: "",
  ...change,
});

describe("what decisions are remembered by", () => {
  it("no path is taken for a resource", () => {
    const key = keyOfQuestion(question({}));
    for (const path of ["/secrets/ kube-system", "\nsecrets\n\nkube-system", " secrets  kube-system"])
      expect(keyOfQuestion(question({ isResource: false, path }))).not.toBe(key);
  });

  it("no part is taken for two", () => {
    const whole = { verb: "get\n", group: "\nsecrets", resource: "", subresource: "", namespace: "kube-system" };
    expect(keyOfQuestion(question(whole))).toBeUndefined();
    expect(keyOfQuestion(question({ resource: "secrets\n", subresource: "" }))).toBeUndefined();
    expect(keyOfQuestion(question({ resource: "a/b" }))).not.toBe(
      keyOfQuestion(question({ resource: "a", subresource: "b" })),
    );
  });

  it("long names, which a review may ask about by the thousand, are not remembered", () => {
    expect(keyOfQuestion(question({ resource: "x".repeat(1_000_000) }))).toBeUndefined();
    expect(keyOfQuestion(question({ isResource: false, path: `/${"x".repeat(1_000_000)}` }))).toBeUndefined();
  });
});
