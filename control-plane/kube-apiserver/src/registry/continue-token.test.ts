import { describe, expect, it } from "vitest";
import { decodeContinue, encodeContinue } from "./continue-token.ts";

describe("a continue token", () => {
  it("is what upstream writes", () => {
    const token = encodeContinue({ revision: 42, start: "name\0" });
    expect(token).toBe("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NDIsInN0YXJ0IjoibmFtZVx1MDAwMCJ9");
    expect(decodeContinue(token)).toEqual({ revision: 42, start: "name\0" });
  });

  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  it.each([
    ["no base64", "§"],
    ["no JSON", Buffer.from("x").toString("base64url")],
    ["another version", encode({ v: "v9", rv: 1, start: "a" })],
    ["no revision", encode({ v: "meta.k8s.io/v1", start: "a" })],
    ["no start", encode({ v: "meta.k8s.io/v1", rv: 1 })],
    ["a start that climbs", encode({ v: "meta.k8s.io/v1", rv: 1, start: "../secrets/a" })],
  ])("is refused with %s", (_what, token) => {
    expect(() => decodeContinue(token)).toThrow("continue key is not valid");
  });
});
