import { describe, expect, it } from "vitest";
import type { Container, Pod } from "@coracle/api/core/v1";
import { podRequests } from "./pod-resources.ts";

const container = (cpu: string, extra: Partial<Container> = {}): Container => ({
  name: "c",
  resources: { requests: { cpu } },
  ...extra,
});
const pod = (spec: Partial<Pod["spec"]>): Pod => ({ metadata: { name: "p" }, spec: { containers: [], ...spec } });
const cpu = (spec: Partial<Pod["spec"]>) => podRequests(pod(spec)).get("cpu");

describe("what a pod needs at any one time", () => {
  it("containers run together: their sum", () =>
    expect(cpu({ containers: [container("100m"), container("1")] })).toBe(1100));
  it("init containers run one after the other: the largest, if it is more", () => {
    expect(cpu({ containers: [container("100m")], initContainers: [container("300m"), container("200m")] })).toBe(300);
  });
  it("restartable init containers stay: they count with what follows them", () => {
    const sidecar = container("200m", { restartPolicy: "Always" });
    expect(cpu({ containers: [container("100m")], initContainers: [sidecar] })).toBe(300);
    expect(cpu({ containers: [container("100m")], initContainers: [sidecar, container("500m")] })).toBe(700);
    expect(cpu({ containers: [container("100m")], initContainers: [container("500m"), sidecar] })).toBe(500);
  });
  it("overhead is added; requests of the pod as a whole replace the sum", () => {
    expect(cpu({ containers: [container("100m")], overhead: { cpu: "50m" } })).toBe(150);
    expect(
      cpu({ containers: [container("100m")], resources: { requests: { cpu: "400m" } }, overhead: { cpu: "50m" } }),
    ).toBe(450);
  });
});
