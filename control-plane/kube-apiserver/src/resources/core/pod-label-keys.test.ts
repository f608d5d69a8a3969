import { describe, expect, it } from "vitest";
import type { ApiDraft } from "../../registry/resource-definition.ts";
import { mergeLabelKeys } from "./pod-label-keys.ts";

const labels = { app: "web", hash: "h1" };

/** A pod with one term of each kind, and one constraint, that have these members. */
function podWith(member: object): ApiDraft {
  const terms = {
    requiredDuringSchedulingIgnoredDuringExecution: [structuredClone(member)],
    preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: structuredClone(member) }],
  };
  const affinity = { podAffinity: terms, podAntiAffinity: structuredClone(terms) };
  const spec = { affinity, topologySpreadConstraints: [structuredClone(member)] };
  return { metadata: { labels }, spec } as unknown as ApiDraft;
}

describe("what keys of labels stand for goes into the selector beside them", () => {
  const h1 = (operator: string) => ({ key: "hash", operator, values: ["h1"] });
  it.each([
    ["matchLabelKeys", { labelSelector: {}, matchLabelKeys: ["hash"] }, [h1("In")]],
    ["mismatchLabelKeys", { labelSelector: {}, mismatchLabelKeys: ["hash"] }, [h1("NotIn")]],
    [
      "after what is there",
      { labelSelector: { matchExpressions: [{ key: "app", operator: "Exists" }] }, matchLabelKeys: ["hash"] },
      [{ key: "app", operator: "Exists" }, h1("In")],
    ],
    ["not a label that the pod does not have", { labelSelector: {}, matchLabelKeys: ["tier"] }, undefined],
  ])("%s", (_, member, matchExpressions) => {
    const pod = podWith(member);
    mergeLabelKeys(pod);
    const selector = matchExpressions === undefined ? {} : { matchExpressions };
    expect(pod).toEqual(podWith({ ...member, labelSelector: selector }));
  });

  it("not where there is none", () => {
    const pod = podWith({ matchLabelKeys: ["hash"] });
    mergeLabelKeys(pod);
    expect(pod).toEqual(podWith({ matchLabelKeys: ["hash"] }));
  });
});
