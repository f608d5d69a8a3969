import type { ResourceSlice } from "@coracle/api/resource/v1";
import type { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import { describe, expect, it } from "vitest";
import { withRules } from "./device-taint-rules.ts";

const own = { key: "own", effect: "NoSchedule" };
const taint = { key: "ruled", effect: "NoExecute" };
const slice: ResourceSlice = {
  metadata: { name: "s" },
  spec: {
    driver: "d.io",
    pool: { name: "p", generation: 1, resourceSliceCount: 1 },
    devices: [{ name: "a", taints: [own] }, { name: "b" }],
  },
};
type Selector = DeviceTaintRule["spec"]["deviceSelector"];

describe("rules that taint devices", () => {
  it.each<[string, Selector, readonly string[]]>([
    ["no selector", undefined, ["own", ""]],
    ["all", {}, ["own,ruled", "ruled"]],
    ["a driver", { driver: "d.io" }, ["own,ruled", "ruled"]],
    ["another driver", { driver: "e.io" }, ["own", ""]],
    ["a device", { driver: "d.io", pool: "p", device: "b" }, ["own", "ruled"]],
    ["a device of another pool", { pool: "q", device: "b" }, ["own", ""]],
  ])("%s", (_, deviceSelector, expected) => {
    const rule: DeviceTaintRule = {
      metadata: { name: "r" },
      spec: { taint, ...(deviceSelector === undefined ? {} : { deviceSelector }) },
    };
    const [found] = withRules([slice], [rule]);
    expect(found?.spec.devices?.map(({ taints = [] }) => taints.map(({ key }) => key).join())).toEqual(expected);
  });

  it("slices that no rule is about stay what they are", () => expect(withRules([slice], [])[0]).toBe(slice));
});
