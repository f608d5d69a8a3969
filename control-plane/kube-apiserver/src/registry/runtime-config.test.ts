import { describe, expect, it } from "vitest";
import type { ResourceEntry } from "./resource-catalog.ts";
import { parseRuntimeConfig } from "./runtime-config.ts";

const entry = (group: string, version: string, plural: string, enabledByDefault: boolean): ResourceEntry =>
  ({ group, version, plural, enabledByDefault }) as ResourceEntry;
const beta = entry("admissionregistration.k8s.io", "v1beta1", "mutatingadmissionpolicies", false);
const pods = entry("", "v1", "pods", true);

describe("--runtime-config", () => {
  it.each([
    [[], beta, false],
    [[], pods, true],
    [["admissionregistration.k8s.io/v1beta1=true"], beta, true],
    [["admissionregistration.k8s.io/v1beta1"], beta, true],
    [["admissionregistration.k8s.io/v1beta1/mutatingadmissionpolicies=true"], beta, true],
    [["admissionregistration.k8s.io/v1beta1/other=true"], beta, false],
    [["api/beta=true"], beta, true],
    [["api/alpha=true"], beta, false],
    [["api/all=true"], beta, true],
    [["api/all=true", "api/beta=false"], beta, false],
    [["api/all=true", "admissionregistration.k8s.io/v1beta1=false"], beta, false],
    [["api/v1=false"], pods, false],
  ] as const)("%j", (items, resource, isServed) => {
    expect(parseRuntimeConfig(items)(resource)).toBe(isServed);
  });

  it.each(["nonsense", "a/b/c/d", "apps/v1=maybe"])("refuses %s", (item) => {
    expect(() => parseRuntimeConfig([item])).toThrow();
  });
});
