import type { CustomResourceDefinition } from "@coracle/api/apiextensions/v1";
import { describe, expect, it } from "vitest";
import { compareVersions, setCondition } from "./definition.ts";
import { planApproval } from "./status-plan.ts";

describe("definitions", () => {
  it("versions: GA before beta before alpha, newer first, other names last", () => {
    const names = ["foo10", "v1alpha1", "v1", "v10", "v2beta1", "v2", "bar", "v11alpha2", "v2beta10"];
    expect(names.sort(compareVersions)).toEqual([
      "v10",
      "v2",
      "v1",
      "v2beta10",
      "v2beta1",
      "v11alpha2",
      "v1alpha1",
      "bar",
      "foo10",
    ]);
  });

  it("a condition's time changes with its status alone", () => {
    const first = setCondition([], { type: "A", status: "True", reason: "R", message: "m" }, 0);
    const same = setCondition(first, { type: "A", status: "True", reason: "S", message: "n" }, 5_000);
    expect(same[0]).toMatchObject({ reason: "S", lastTransitionTime: "1970-01-01T00:00:00Z" });
    const other = setCondition(same, { type: "A", status: "False", reason: "S", message: "n" }, 5_000);
    expect(other[0]).toMatchObject({ status: "False", lastTransitionTime: "1970-01-01T00:00:05Z" });
  });

  it.each([
    ["example.com", undefined, undefined],
    ["x.k8s.io", undefined, "MissingAnnotation"],
    ["x.kubernetes.io", "unapproved, for now", "UnapprovedAnnotation"],
    ["k8s.io", "https://github.com/kubernetes/kubernetes/pull/1", "ApprovedAnnotation"],
    ["x.k8s.io", "somewhere", "InvalidAnnotation"],
  ])("approval in %s with %s: %s", (group, annotation, reason) => {
    const annotations = annotation === undefined ? {} : { "api-approved.kubernetes.io": annotation };
    const crd = { metadata: { annotations }, spec: { group } } as unknown as CustomResourceDefinition;
    expect(planApproval(crd)?.reason).toBe(reason);
  });
});
