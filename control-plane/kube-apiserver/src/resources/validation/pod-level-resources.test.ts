import type { PodSpec } from "@coracle/api/core/v1";
import type { FieldError } from "@coracle/apimachinery";
import { describe, expect, it } from "vitest";
import { defaultPodLevelResources, validatePodLevelResources } from "./pod-level-resources.ts";

const whyNot = (spec: Parameters<typeof validatePodLevelResources>[2]): string[] => {
  const errors: FieldError[] = [];
  validatePodLevelResources(errors, "spec", spec);
  return errors.map(({ field, message }) => `${field}: ${message}`);
};
const two = (resources: object): PodSpec["containers"] => ["a", "b"].map((name) => ({ name, resources }));

describe("what a pod asks for as a whole", () => {
  it("is no less than what its containers ask for together", () => {
    const containers = two({ requests: { cpu: "1", memory: "1Gi" } });
    expect(whyNot({ containers, resources: { requests: { cpu: "2" } }, overhead: { cpu: "1" } })).toEqual([]);
    expect(whyNot({ containers, resources: { requests: { cpu: "1500m", memory: "4Gi" } } })).toEqual([
      'spec.resources.requests[cpu]: Invalid value: "1500m": must be greater than or equal to aggregate container requests of 2',
    ]);
  });
  it("limits each container, and huge pages of all together", () => {
    const containers = two({ limits: { cpu: "2", "hugepages-2Mi": "4Mi" } });
    expect(whyNot({ containers, resources: { limits: { cpu: "1", "hugepages-2Mi": "4Mi" } } })).toEqual([
      'spec.resources.limits[hugepages-2Mi]: Invalid value: "4Mi": must be greater than or equal to aggregate container limits of 8Mi',
      'spec.resources.containers[0][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 1',
      'spec.resources.containers[1][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 1',
    ]);
  });
  it("is, where it says something, also what its containers ask for beside it", () => {
    const containers = two({ requests: { cpu: "1", memory: "1Gi" }, limits: { "hugepages-2Mi": "4Mi" } });
    const spec = { containers, resources: { requests: { cpu: "3" } } };
    defaultPodLevelResources(spec);
    expect(spec.resources).toEqual({
      requests: { cpu: "3", memory: "2Gi", "hugepages-2Mi": "8Mi" },
      limits: { "hugepages-2Mi": "8Mi" },
    });
    const silent = { containers, resources: {} };
    defaultPodLevelResources(silent);
    expect(silent.resources).toEqual({});
  });
});
