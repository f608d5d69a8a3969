import type { PersistentVolume, PersistentVolumeClaim } from "@coracle/api/core/v1";
import { describe, expect, it } from "vitest";
import { hasGrown, planExpansion } from "./plan.ts";

const claim = (asked: string, has: string): PersistentVolumeClaim => ({
  metadata: { namespace: "ns", name: "data", uid: "u1" },
  spec: { volumeName: "pv", resources: { requests: { storage: asked } } },
  status: { phase: "Bound", capacity: { storage: has } },
});
const volume = (spec: Partial<PersistentVolume["spec"]> = {}, annotations = {}): PersistentVolume => ({
  metadata: { name: "pv", annotations },
  spec: { claimRef: { namespace: "ns", name: "data", uid: "u1" }, ...spec },
});
const WAITS = { message: "waiting for an external controller to expand this PVC" };
const disk = { awsElasticBlockStore: { volumeID: "vol-1" } };

describe("a claim that asks for more", () => {
  it.each<[string, object | undefined, PersistentVolumeClaim, PersistentVolume]>([
    ["has enough", undefined, claim("1Gi", "1024Mi"), volume()],
    ["waits for its driver", WAITS, claim("2Gi", "1Gi"), volume({ csi: { driver: "d", volumeHandle: "h" } })],
    ["waits though nobody will come", WAITS, claim("2Gi", "1Gi"), volume({ hostPath: { path: "/x" } })],
    [
      "has enough, but its file system is smaller",
      WAITS,
      claim("1Gi", "1Gi"),
      volume({}, { "volume.alpha.kubernetes.io/pre-resize-capacity": "1Gi" }),
    ],
    [
      "waits for the driver that took over",
      {
        message: "CSI migration enabled for kubernetes.io/aws-ebs; waiting for external resizer to expand the pvc",
        resizer: "ebs.csi.aws.com",
      },
      claim("2Gi", "1Gi"),
      volume(disk),
    ],
  ])("%s", (_rule, expected, of, on) => expect(planExpansion(of, on)).toEqual(expected));

  it("is looked at again when the volume is not its own yet", () => {
    expect(() => planExpansion(claim("2Gi", "1Gi"), undefined)).toThrow('failed to get PV "pv"');
    expect(() => planExpansion(claim("2Gi", "1Gi"), volume({ claimRef: { namespace: "ns", uid: "u2" } }))).toThrow(
      "persistent Volume is not bound to PVC being updated : ns/data",
    );
  });

  it("counts when it asks for more, or has more", () => {
    expect(hasGrown(claim("1Gi", "1Gi"), claim("2Gi", "1Gi"))).toBe(true);
    expect(hasGrown(claim("2Gi", "1Gi"), claim("2Gi", "2Gi"))).toBe(true);
    expect(hasGrown(claim("2Gi", "1Gi"), claim("1Gi", "1Gi"))).toBe(false);
  });
});
