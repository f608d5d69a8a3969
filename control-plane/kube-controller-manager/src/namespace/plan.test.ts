import { describe, expect, it } from "vitest";
import { isEmptied, namespaceConditions, type Emptying } from "./plan.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const emptying = (part: Partial<Emptying> = {}): Emptying => ({
  discoveryFailures: [],
  deletionFailures: [],
  remaining: new Map(),
  finalizers: new Map(),
  ...part,
});
const told = (result: Emptying): Record<string, string> =>
  Object.fromEntries(
    namespaceConditions([], result, NOW)
      .filter(({ status }) => status === "True")
      .map(({ type, reason, message }) => [type, `${reason}: ${message}`]),
  );

describe("what holds a namespace that is being deleted", () => {
  it("nothing", () => {
    expect(isEmptied(emptying())).toBe(true);
    expect(namespaceConditions([], emptying(), NOW).map(({ type, status }) => `${type}=${status}`)).toEqual([
      "NamespaceDeletionDiscoveryFailure=False",
      "NamespaceDeletionGroupVersionParsingFailure=False",
      "NamespaceDeletionContentFailure=False",
      "NamespaceContentRemaining=False",
      "NamespaceFinalizersRemaining=False",
    ]);
  });
  it("objects that are left, and their finalizers, in order of their names", () => {
    const result = emptying({
      remaining: new Map([
        ["pods.", 2],
        ["deployments.apps", 1],
      ]),
      finalizers: new Map([["example.com/hold", 2]]),
    });
    expect(isEmptied(result)).toBe(false);
    expect(told(result)).toEqual({
      NamespaceContentRemaining:
        "SomeResourcesRemain: Some resources are remaining: deployments.apps has 1 resource instances, pods. has 2 resource instances",
      NamespaceFinalizersRemaining:
        "SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances",
    });
  });
  it("kinds that could not be listed or deleted", () => {
    const result = emptying({
      discoveryFailures: ["metrics.k8s.io/v1beta1"],
      deletionFailures: ["b: no", "a: no"],
    });
    expect(isEmptied(result)).toBe(false);
    expect(told(result)).toMatchObject({
      NamespaceDeletionDiscoveryFailure:
        "DiscoveryFailed: Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: stale GroupVersion discovery: metrics.k8s.io/v1beta1",
      NamespaceDeletionContentFailure:
        "ContentDeletionFailed: Failed to delete all resource types, 2 remaining: a: no, b: no",
    });
  });
  it("times tell when that began, and others' conditions stay", () => {
    const first = namespaceConditions([{ type: "Other", status: "True" }], emptying(), NOW);
    const later = namespaceConditions(first, emptying({ remaining: new Map([["pods.", 1]]) }), NOW + 60_000);
    expect(later[0]).toEqual({ type: "Other", status: "True" });
    const timeOf = (type: string) => later.find((each) => each.type === type)?.lastTransitionTime;
    expect(timeOf("NamespaceContentRemaining")).toBe("2026-01-02T00:01:00Z");
    expect(timeOf("NamespaceDeletionContentFailure")).toBe("2026-01-02T00:00:00Z");
  });
});
