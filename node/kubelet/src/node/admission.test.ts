import type { Node, Pod } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { admitPod } from "./admission.ts";

const node = (allocatable: Record<string, string>): Node => ({
  metadata: { name: "n" },
  spec: {},
  status: { allocatable: { pods: "10", cpu: "2", ...allocatable } },
});
const pod = (requests: Record<string, string>): Pod => ({
  metadata: { name: "p" },
  spec: { containers: [{ name: "c", resources: { requests } }] },
});

describe("a pod is let in", () => {
  it.each<[string, Record<string, string>, Record<string, string>, string | undefined]>([
    ["when its requests fit", { cpu: "1" }, {}, undefined],
    ["but not when they do not", { cpu: "3" }, {}, "OutOfcpu"],
    ["when an extended resource fits", { "example.com/foo": "2" }, { "example.com/foo": "2" }, undefined],
    ["but not when it does not", { "example.com/foo": "3" }, { "example.com/foo": "2" }, "OutOfexample.com/foo"],
    ["when somebody else counts an extended resource", { "example.com/foo": "3" }, {}, undefined],
  ])("%s", (_, requests, allocatable, reason) => {
    expect(admitPod(pod(requests), [], node(allocatable))?.reason).toBe(reason);
  });
});
