import { describe, expect, it } from "vitest";
import type { Container, Pod } from "@coracle/api/core/v1";
import { factsOf } from "./pod-facts.ts";
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
  it.each<[string, string, string, string, string | undefined, number]>([
    ["that is to grow counts as grown", "3", "1", "1", undefined, 3000],
    ["that is to shrink counts as it was until it has", "1", "1", "3", undefined, 3000],
    ["that may shrink counts as it was", "1", "3", "3", undefined, 3000],
    ["that can never grow so far counts as it is", "9", "1", "2", "Infeasible", 2000],
    ["that must wait for more counts as grown", "9", "1", "1", "Deferred", 9000],
  ])("a container %s", (_, asked, allocated, actual, reason, expected) => {
    const resized: Pod = {
      ...pod({ containers: [container(asked)] }),
      status: {
        containerStatuses: [
          {
            name: "c",
            allocatedResources: { cpu: allocated },
            resources: { requests: { cpu: actual } },
            image: "",
            imageID: "",
            ready: true,
            restartCount: 0,
          },
        ],
        ...(reason === undefined ? {} : { conditions: [{ type: "PodResizePending", status: "True", reason }] }),
      },
    };
    expect(podRequests(resized).get("cpu")).toBe(expected);
    expect(factsOf(resized).requests.get("cpu")).toBe(expected);
    expect(factsOf(pod({ containers: [container(asked)] })).requests.get("cpu")).toBe(Number(asked) * 1000);
  });
});
