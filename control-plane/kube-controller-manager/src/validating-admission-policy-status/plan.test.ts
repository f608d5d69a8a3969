import { describe, expect, it } from "vitest";
import { resourcesToCheck } from "./plan.ts";

describe("the resources whose types a policy is checked against", () => {
  it("are those that rules name", () => {
    const rule = {
      apiGroups: ["apps"],
      apiVersions: ["v1"],
      resources: ["deployments/status", "statefulsets", "deployments"],
    };
    expect(resourcesToCheck([rule])).toEqual([
      { group: "apps", version: "v1", resource: "deployments" },
      { group: "apps", version: "v1", resource: "statefulsets" },
    ]);
  });

  it.each([
    { apiGroups: ["*"], apiVersions: ["v1"], resources: ["pods"] },
    { apiGroups: [""], apiVersions: ["*"], resources: ["pods"] },
    { apiGroups: [""], apiVersions: ["v1"], resources: ["*"] },
  ])("are none where a rule is about all: %j", (rule) => {
    expect(resourcesToCheck([rule])).toEqual([]);
  });
});
