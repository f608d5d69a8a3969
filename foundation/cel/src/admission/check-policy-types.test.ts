import { describe, expect, it } from "vitest";
import type { OpenApiSchema } from "../schema/schema-type.ts";
import { checkPolicyTypes, type TypedKind } from "./check-policy-types.ts";

const SPEC: OpenApiSchema = {
  type: "object",
  properties: {
    replicas: { type: "integer" },
    names: { type: "array", items: { type: "string" } },
    labels: { type: "object", additionalProperties: { type: "string" } },
    port: { "x-kubernetes-int-or-string": true },
    "a-b": { type: "boolean" },
    parent: { $ref: "#/spec" },
  },
};
const deployment: TypedKind = {
  group: "apps",
  version: "v1",
  kind: "Deployment",
  schema: { type: "object", properties: { spec: { $ref: "#/spec" } } },
};
const resolve = (ref: string): OpenApiSchema | undefined => (ref === "#/spec" ? SPEC : undefined);

describe("the types of a policy's expressions", () => {
  it.each([
    "object.spec.replicas > 1 && object.spec.names.all(n, n.startsWith('a'))",
    "object.metadata.name == oldObject.metadata.name && object.kind == 'Deployment'",
    "object.spec.labels['a'] == 'b' && object.spec.a__dash__b",
    "object.spec.port == 1 || object.spec.port == 'http'",
    "object.spec.parent.parent.replicas == variables.wanted",
    "request.operation == 'CREATE' && authorizer.path('/x').check('get').allowed()",
  ])("fit: %s", (expression) => {
    const policy = {
      variables: [{ name: "wanted", expression: "object.spec.replicas" }],
      validations: [{ expression }],
    };
    expect(checkPolicyTypes(policy, [deployment], undefined, resolve)).toEqual([]);
  });

  it("are told by kind where they do not fit", () => {
    const policy = {
      validations: [
        { expression: "object.spec.replicas > '1'" },
        { expression: "object.foo", messageExpression: "1 +" },
      ],
    };
    expect(checkPolicyTypes(policy, [deployment], undefined, resolve)).toEqual([
      {
        fieldRef: "spec.validations[0].expression",
        warning:
          "apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'\n | object.spec.replicas > '1'\n | .....................^\n",
      },
      {
        fieldRef: "spec.validations[1].expression",
        warning:
          "apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:7: undefined field 'foo'\n | object.foo\n | ......^\n",
      },
      { fieldRef: "spec.validations[1].messageExpression", warning: expect.stringContaining("Syntax error") as string },
    ]);
  });

  it("are not checked against kinds that nothing is known of", () => {
    const policy = { validations: [{ expression: "object.foo.bar" }] };
    expect(checkPolicyTypes(policy, [], undefined, resolve)).toEqual([]);
  });
});
