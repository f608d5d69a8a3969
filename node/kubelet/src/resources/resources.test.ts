import { describe, expect, it } from "vitest";
import { podOf } from "../pod/pod-fixture.ts";
import { quantityMillis, quantityUnits } from "./quantity.ts";
import { cpuQuota, cpuShares, oomScoreAdj, podRequest, qosClass } from "./qos.ts";

const withResources = (...all: readonly object[]): ReturnType<typeof podOf> =>
  podOf({ containers: all.map((resources, index) => ({ name: `c${index}`, image: "i", resources })) });

describe("quantities", () => {
  it.each([
    ["100m", 100],
    ["1", 1000],
    ["0.1", 100],
    ["1e1", 10_000],
  ])("%s is %d thousandths", (text, millis) => expect(quantityMillis(text)).toBe(millis));
  it.each([
    ["64Mi", 67_108_864],
    ["1k", 1000],
    ["1.5Gi", 1_610_612_736],
    ["nonsense", 0],
  ])("%s is %d bytes", (text, units) => expect(quantityUnits(text)).toBe(units));
});

describe("quality of service", () => {
  it.each([
    ["BestEffort", [{}]],
    ["Burstable", [{ requests: { cpu: "1" } }]],
    ["Burstable", [{ limits: { cpu: "1", memory: "1" } }, {}]],
    ["Guaranteed", [{ limits: { cpu: "1", memory: "1Gi" } }]],
    ["Guaranteed", [{ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1000m", memory: "1024Mi" } }]],
    ["Burstable", [{ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "500m" } }]],
  ])("is %s for %j", (expected, all) => expect(qosClass(withResources(...all))).toBe(expected));

  it("asks for the larger of the init phase and the running phase, with sidecars in both", () => {
    const cpu = (value: string): object => ({ resources: { requests: { cpu: value } } });
    const pod = podOf({
      initContainers: [
        { name: "s", restartPolicy: "Always", ...cpu("1") },
        { name: "i", ...cpu("4") },
      ],
      containers: [{ name: "c", ...cpu("2") }],
    });
    expect(podRequest(pod, "cpu")).toBe(5);
  });

  it("turns into the kernel's shares, quota and order of killing", () => {
    expect([0, 1, 250, 1000].map(cpuShares)).toEqual([2, 2, 256, 1024]);
    expect([0, 5, 500].map((millis) => cpuQuota(millis, 100_000))).toEqual([0, 1000, 50_000]);
    const container = { name: "c", resources: { requests: { memory: "1Gi" } } };
    expect(oomScoreAdj(withResources({}), { name: "c" }, 4 * 2 ** 30)).toBe(1000);
    expect(oomScoreAdj(withResources({ requests: { memory: "1Gi" } }), container, 4 * 2 ** 30)).toBe(750);
  });
});
