import { expect, it } from "vitest";
import { qosClass } from "./pod-qos.ts";

const pod = (...resources: readonly object[]) => ({
  containers: resources.map((r, i) => ({ name: `c${i}`, resources: r })),
});
const full = { requests: { cpu: "1", memory: "1Gi" }, limits: { cpu: "1000m", memory: "1024Mi" } };

it.each([
  ["BestEffort", pod({})],
  ["BestEffort", pod({ requests: { "ephemeral-storage": "1Gi" } })],
  ["Burstable", pod({ requests: { cpu: "100m" } })],
  ["Burstable", pod(full, {})],
  ["Burstable", pod({ limits: { cpu: "1" } })],
  ["Guaranteed", pod(full, full)],
  ["Guaranteed", pod({ limits: { cpu: "1", memory: "1Gi" } })],
])("a pod is %s by its cpu and memory alone", (expected, spec) => {
  expect(qosClass(spec)).toBe(expected);
});
