import type { ApiObject, StrategyContext } from "../../registry/resource-definition.ts";
import { describe, expect, it } from "vitest";
import { storageVersionMigration } from "./storage-version-migration.ts";

const DNS_1035 =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const migration = (resource: object, status: object = {}): ApiObject =>
  ({ metadata: { name: "m", resourceVersion: "1" }, spec: { resource }, status }) as unknown as ApiObject;
const context = {} as StrategyContext;
const told = (errors: readonly { readonly field: string; readonly message: string }[] | undefined): string[] =>
  (errors ?? []).map(({ field, message }) => `${field}: ${message}`);

// As upstream's server said of the same objects.
describe("an order to migrate", () => {
  it.each<[string, object, string[]]>([
    ["names a resource", { group: "apps", resource: "deployments" }, []],
    ["not none", { group: "" }, ["spec.resource.resource: Required value: resource is required to be set"]],
    ["with a name", { resource: "1A" }, [`spec.resource.resource: Invalid value: "1A": ${DNS_1035}`]],
  ])("%s", (_what, resource, expected) => {
    expect(told(storageVersionMigration.validate?.(migration(resource), context))).toEqual(expected);
  });

  it("does not change", () => {
    const [before, after] = [migration({ resource: "pods" }), migration({ group: "", resource: "secrets" })];
    expect(told(storageVersionMigration.update?.validate?.(after, before, context))).toEqual([
      'spec: Invalid value: {"Resource":{"group":"","resource":"secrets"}}: field is immutable',
    ]);
  });

  const is = (type: string, status = "True", reason = "R") => ({
    type,
    status,
    reason,
    lastTransitionTime: "2026-01-01T00:00:00Z",
    message: "",
  });
  const check = (status: object, before: object = {}): string[] =>
    told(
      storageVersionMigration.subresources?.["status"]?.validate?.(
        migration({ resource: "pods" }, status),
        migration({ resource: "pods" }, before),
        context,
      ),
    ).map((text) => text.replace(/\[\{.*\}\]/, "…"));

  it.each<[string, object, object, string[]]>([
    ["begins at a moment", { resourceVersion: "12" }, {}, []],
    ...["abc", "012", ""].map((resourceVersion): [string, object, object, string[]] => [
      `not at "${resourceVersion}"`,
      { resourceVersion },
      {},
      [
        `status.resourceVersion: Invalid value: "${resourceVersion}": resource version is not well formed: ${resourceVersion}`,
      ],
    ]),
    [
      "that stays",
      { resourceVersion: "13" },
      { resourceVersion: "12" },
      ['status.resourceVersion: Invalid value: "13": field is immutable'],
    ],
    [
      "is in one state",
      { resourceVersion: "12", conditions: [is("Running"), is("Succeeded"), is("Failed")] },
      {},
      [
        "status.conditions: Invalid value: …: Both success and failed conditions cannot be true at the same time",
        "status.conditions: Invalid value: …: Running condition cannot be true when success condition is true",
        "status.conditions: Invalid value: …: Running condition cannot be true when failed condition is true",
      ],
    ],
    [
      "and over for good",
      { resourceVersion: "12", conditions: [is("Succeeded", "False")] },
      { resourceVersion: "12", conditions: [is("Succeeded")] },
      ["status.conditions: Invalid value: …: Success condition cannot be set to false once it is true"],
    ],
    [
      "says it as conditions do",
      { resourceVersion: "12", conditions: [{ type: "Running", status: "Maybe", reason: "" }] },
      {},
      [
        'status.conditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
        "status.conditions[0].lastTransitionTime: Required value",
        "status.conditions[0].reason: Required value",
      ],
    ],
  ])("%s", (_what, status, before, expected) => {
    expect(check(status, before)).toEqual(expected);
  });
});
