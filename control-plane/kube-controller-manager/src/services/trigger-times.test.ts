import type { Pod, Service } from "@coracle/api/core/v1";
import { expect, it } from "vitest";
import { TriggerTimes } from "./trigger-times.ts";

const service: Service = { metadata: { name: "s", creationTimestamp: "2026-01-01T00:00:05Z" }, spec: {} };
const pod = (name: string, second: number): Pod => ({
  metadata: { name },
  spec: { containers: [] },
  status: { conditions: [{ type: "Ready", status: "True", lastTransitionTime: `2026-01-01T00:00:0${second}Z` }] },
});

it("endpoints are as new as the service at first, then as the earliest of the pods that changed since", () => {
  const times = new TriggerTimes();
  const at = (...pods: readonly Pod[]): string | undefined => times.changedAt("n/s", service, pods)?.slice(-3, -1);
  expect(at(pod("a", 1), pod("b", 2))).toBe("05");
  expect(at(pod("a", 1), pod("b", 2))).toBeUndefined();
  expect(at(pod("a", 8), pod("b", 7))).toBe("07");
  expect(at(pod("a", 8))).toBeUndefined();
  expect(at(pod("a", 8), pod("c", 3))).toBe("03");
  times.forget("n/s");
  expect(at(pod("a", 9))).toBe("05");
});
