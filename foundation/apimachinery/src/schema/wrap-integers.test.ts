import { describe, expect, it } from "vitest";
import { builtInSchema } from "./schema-engine.ts";
import { wrapIntegers } from "./wrap-integers.ts";

describe("integers that are too large for their member", () => {
  const service = builtInSchema().findKind({ group: "", version: "v1", kind: "Service" })!;
  it.each([
    [80, 80],
    [4294967376, 80],
    [-9007199254740991, 1],
    [2147483648, -2147483648],
    [1e300, 1e300],
    ["80", "80"],
  ])("%j is applied as %j", (given, applied) => {
    const value = { metadata: { generation: given, labels: { a: "b" } }, spec: { ports: [{ port: given }] } };
    expect(wrapIntegers(service, value)).toEqual({
      metadata: { generation: given, labels: { a: "b" } },
      spec: { ports: [{ port: applied }] },
    });
  });
});
