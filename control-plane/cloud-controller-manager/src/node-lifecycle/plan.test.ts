import type { Node } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { planTaints, SHUT_DOWN } from "./plan.ts";

const other = { key: "other", effect: "NoExecute" };
const node = (...taints: { key: string; effect: string }[]): Node => ({ metadata: { name: "a" }, spec: { taints } });

describe("the taint of machines that are off", () => {
  it.each([
    ["off", [], [SHUT_DOWN]],
    ["off", [other], [other, SHUT_DOWN]],
    ["off", [SHUT_DOWN], undefined],
    ["runs", [other, SHUT_DOWN], [other]],
    ["runs", [other], undefined],
    // It was started, and its kubelet has not said so yet.
    ["unknown", [SHUT_DOWN], undefined],
    ["unknown", [], undefined],
  ] as const)("%s, %j: %j", (machine, taints, planned) => {
    expect(planTaints(node(...taints), machine)).toEqual(planned);
  });
});
