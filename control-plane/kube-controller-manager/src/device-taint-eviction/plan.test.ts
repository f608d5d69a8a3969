import type { Pod } from "@coracle/api/core/v1";
import type { DeviceTaint, DeviceToleration, ResourceClaim, ResourceSlice } from "@coracle/api/resource/v1";
import type { DeviceTaintRule } from "@coracle/api/resource/v1alpha3";
import { describe, expect, it } from "vitest";
import { evictionOf } from "./plan.ts";

const ADDED = Date.parse("2026-01-01T00:00:00Z");
const taint = (effect = "NoExecute"): DeviceTaint => ({
  key: "broken",
  value: "very",
  effect,
  timeAdded: "2026-01-01T00:00:00Z",
});
const pod: Pod = {
  metadata: { namespace: "ns", name: "user", uid: "u1" },
  spec: { nodeName: "a", containers: [], resourceClaims: [{ name: "gpu", resourceClaimName: "claim" }] },
};
const claim = (tolerations: DeviceToleration[] = [], uid = "u1"): ResourceClaim => ({
  metadata: { namespace: "ns", name: "claim" },
  spec: {},
  status: {
    reservedFor: [{ resource: "pods", name: "user", uid }],
    allocation: {
      devices: { results: [{ request: "r", driver: "d", pool: "p", device: "gpu-0", tolerations }] },
    },
  },
});
const slice = (generation: number, taints: DeviceTaint[]): ResourceSlice => ({
  metadata: { name: `s${generation}` },
  spec: {
    driver: "d",
    pool: { name: "p", generation, resourceSliceCount: 1 },
    devices: [{ name: "gpu-0", taints }],
  },
});
const rule = (deviceSelector: DeviceTaintRule["spec"]["deviceSelector"]): DeviceTaintRule => ({
  metadata: { name: "rule" },
  spec: { deviceSelector, taint: taint() },
});
const tolerating = (more: Partial<DeviceToleration> = {}): DeviceToleration => ({
  key: "broken",
  operator: "Exists",
  effect: "NoExecute",
  ...more,
});

describe("when a pod must go for its devices", () => {
  it.each<[string, number | undefined, ResourceClaim, ResourceSlice[], DeviceTaintRule[]]>([
    ["never: no taint", undefined, claim(), [slice(1, [])], []],
    ["never: a taint that drives nobody away", undefined, claim(), [slice(1, [taint("NoSchedule")])], []],
    ["when the taint came", ADDED, claim(), [slice(1, [taint()])], []],
    ["never: the taint is of a former generation", undefined, claim(), [slice(1, [taint()]), slice(2, [])], []],
    ["never: tolerated", undefined, claim([tolerating()]), [slice(1, [taint()])], []],
    ["never: any key is", undefined, claim([tolerating({ key: undefined })]), [slice(1, [taint()])], []],
    [
      "at once: tolerated with another effect",
      ADDED,
      claim([tolerating({ effect: undefined })]),
      [slice(1, [taint()])],
      [],
    ],
    [
      "at once: another value is tolerated",
      ADDED,
      claim([tolerating({ operator: "Equal" })]),
      [slice(1, [taint()])],
      [],
    ],
    [
      "later: tolerated for a while",
      ADDED + 60_000,
      claim([tolerating({ tolerationSeconds: 60 })]),
      [slice(1, [taint()])],
      [],
    ],
    ["at once: less than nothing", ADDED, claim([tolerating({ tolerationSeconds: -1 })]), [slice(1, [taint()])], []],
    ["never: the claim is another's", undefined, claim([], "u2"), [slice(1, [taint()])], []],
    ["by a rule for its driver", ADDED, claim(), [slice(1, [])], [rule({ driver: "d" })]],
    ["not by a rule for another device", undefined, claim(), [slice(1, [])], [rule({ driver: "d", device: "gpu-1" })]],
    ["not by a rule for none", undefined, claim(), [slice(1, [])], [rule(undefined)]],
    ["by a rule, though the device is not published", ADDED, claim(), [], [rule({ pool: "p" })]],
  ])("%s", (_when, expected, held, slices, rules) => {
    const view = { claim: () => held, slicesOf: () => slices, rules };
    expect(evictionOf(pod, view)?.time).toBe(expected);
    expect(evictionOf({ ...pod, spec: { ...pod.spec, nodeName: undefined } }, view)).toBeUndefined();
  });
});
