import { describe, expect, it } from "vitest";
import { celProblem } from "./cel-check.ts";

const declared = { self: new Set(["size", "mode", "items"]), oldSelf: true, object: true } as const;

describe("the check of CEL expressions", () => {
  it.each([
    'self.size < 9 || self.mode == "a"',
    "has(self.mode) ? self.items.all(i, i.name != '' && i.port in [80, 443]) : true",
    "self == oldSelf",
    "self.items.map(i, i.name).exists_one(n, n.matches(r'^[a-z]+$'))",
    "self.items.all(i, v, i >= 0 && v.size() > 0)",
    "cel.bind(x, self.size, x > 1)",
    "self.?mode.orValue('') != 'b'",
    "duration('1s') < duration('1h') && type(self.mode) == string",
    "{'a': 1}['a'] == 1 && -self.size < 0",
    'object.metadata.name.startsWith("x") && !(object.spec.replicas > 5)',
  ])("takes %s", (expression) => {
    expect(celProblem(expression, declared)).toBeUndefined();
  });

  it.each([
    "Nope",
    "a b",
    "Bad_Name!",
    "self.",
    "self.absent > 1",
    "(self.size",
    "'open",
    "self.items.all(i, j.name == '')",
    "nothing(self)",
  ])("refuses %s", (expression) => {
    expect(celProblem(expression, declared)).toContain("compilation failed");
  });
});
